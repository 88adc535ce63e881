"""The terminal as the library's listener: log messages as lines, progress as bars."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import wraps
from typing import ParamSpec, TypeVar

from rich import progress as bars
from rich.console import Console
from rich.text import Text

from streamer._progress import ProgressBar, reporting
from streamer.monitoring.logs import JsonFormatter

Arguments = ParamSpec("Arguments")
Outcome = TypeVar("Outcome")


class TerminalProgress:
    """Bars on standard error."""

    @contextmanager
    def bar(self, description: str, total: int) -> Iterator[ProgressBar]:
        """One bar with count and remaining time."""
        columns = (
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TimeElapsedColumn(),
            bars.TimeRemainingColumn(),
        )
        with bars.Progress(*columns, console=Console(stderr=True)) as progress:
            yield _Bar(progress, progress.add_task(description, total=total))


class _Bar:
    def __init__(self, progress: bars.Progress, task: bars.TaskID) -> None:
        self._progress, self._task = progress, task

    def update(self, completed: int, description: str | None = None) -> None:
        self._progress.update(self._task, completed=completed, description=description)


class _Lines(logging.Handler):
    """Messages as they are on standard output; warnings in yellow on standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        if record.levelno >= logging.WARNING:
            Console(stderr=True).print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)
        else:
            Console().print(Text(message), soft_wrap=True)


@contextmanager
def reported_to_terminal() -> Iterator[None]:
    """Show the library's messages and progress while the context is open; not where logs are JSON lines."""
    if any(isinstance(handler.formatter, JsonFormatter) for handler in logging.getLogger().handlers):
        yield
        return
    logger, handler = logging.getLogger("streamer"), _Lines()
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        with reporting(TerminalProgress()):
            yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def talking(command: Callable[Arguments, Outcome]) -> Callable[Arguments, Outcome]:
    """A command whose library calls report to the terminal."""

    @wraps(command)
    def reported(*args: Arguments.args, **kwargs: Arguments.kwargs) -> Outcome:
        with reported_to_terminal():
            return command(*args, **kwargs)

    return reported
