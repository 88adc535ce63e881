"""Progress of long work, reported to whoever listens. Nothing listens by default and nothing is printed here."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Protocol, TypeVar

Item = TypeVar("Item")


class ProgressBar(Protocol):
    """One piece of work of known length."""

    def update(self, completed: int, description: str | None = None) -> None:
        """Report how much is done; a description replaces the one before."""


class ProgressReporter(Protocol):
    """Shows progress, for example in a terminal."""

    def bar(self, description: str, total: int) -> AbstractContextManager[ProgressBar]:
        """Show a piece of work while the context is open."""


@contextmanager
def reporting(reporter: ProgressReporter) -> Iterator[None]:
    """Report progress of the calling thread to a reporter."""
    token = _REPORTER.set(reporter)
    try:
        yield
    finally:
        _REPORTER.reset(token)


def progress_bar(description: str, total: int) -> AbstractContextManager[ProgressBar]:
    """A piece of work; the bar is updated by the caller."""
    return _REPORTER.get().bar(description, total)


def track(items: Iterable[Item], total: int, description: str) -> Iterator[Item]:
    """Pass items through and report each once it has been dealt with.

    Example:
        >>> list(track("ab", 2, "spelling"))
        ['a', 'b']
    """
    with progress_bar(description, total) as bar:
        for number, item in enumerate(items, start=1):
            yield item
            bar.update(number)


class _Silent:
    def bar(self, description: str, total: int) -> AbstractContextManager[ProgressBar]:  # noqa: ARG002
        return nullcontext(self)

    def update(self, completed: int, description: str | None = None) -> None:
        """Nobody listens."""


_REPORTER: ContextVar[ProgressReporter] = ContextVar("reporter", default=_Silent())  # noqa: B039 (it has no state)
