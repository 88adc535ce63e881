"""The seam between the archive's bookkeeping and what runs the clips: Ray, or this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

from streamer.archive.clips import ClipTask, Failure, Outcome
from streamer.archive.worker import Worker


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What is to be done with a clip whose content is known.

    Attributes:
        key: of its result.
        analyse: False where that result is there, or on its way.
        picture_below: a picture is wanted if the key is below this.
    """

    key: str
    analyse: bool
    picture_below: str = ""


ClaimClip = Callable[[ClipTask, str], Claim]
"""Asked with a clip and the digest of its content, on the thread that iterates over the outcomes."""


class Executor(Protocol):
    """Runs clips in one or many workers."""

    def run(self, tasks: Iterable[ClipTask], claim: ClaimClip) -> Iterator[Outcome | None]:
        """Fetch each clip, ask what to do, and analyse it.

        Args:
            tasks: taken one by one as workers are free; where they end, what has begun is finished.
            claim: see `ClaimClip`.

        Yields:
            One outcome per clip, in any order; None now and then while there is none.

        Raises:
            StreamerError: no clip can be analysed: weights, device, disk.
        """
        ...

    @property
    def frames_done(self) -> int:
        """Frames analysed so far, those of unfinished clips included as far as they are known."""
        ...


class InProcess:
    """One worker in this process: without Ray, for small folders and tests. A clip that hangs or kills it ends the run.

    Example:
        >>> executor = InProcess(lambda: ClipWorker(given))  # doctest: +SKIP
    """

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._make_worker = make_worker
        self._worker: Worker | None = None

    @property
    def frames_done(self) -> int:
        """See `Executor`."""
        return 0 if self._worker is None else self._worker.frames_done()

    def run(self, tasks: Iterable[ClipTask], claim: ClaimClip) -> Iterator[Outcome | None]:
        """See `Executor`."""
        for task in tasks:
            if self._worker is None:
                self._worker = self._make_worker()
            yield _one(self._worker, task, claim)


def _one(worker: Worker, task: ClipTask, claim: ClaimClip) -> Outcome:
    began_s = time.perf_counter()
    digest = worker.fetch(task)
    if isinstance(digest, Failure):
        return Outcome(task=task, failure=digest, seconds=time.perf_counter() - began_s)
    wanted = claim(task, digest)
    if not wanted.analyse:
        worker.release()
        return Outcome(task=task, key=wanted.key)
    found = worker.analyse(task, wanted.key, wanted.picture_below)
    return outcome(task, wanted.key, found, seconds=time.perf_counter() - began_s)


def outcome(task: ClipTask, key: str, found: object, *, seconds: float, attempts: int = 1) -> Outcome:
    """The outcome of what a worker gave back."""
    if isinstance(found, Failure):
        return Outcome(task=task, key=key, failure=found, seconds=seconds, attempts=attempts)
    return Outcome(task=task, key=key, result=found, seconds=seconds, attempts=attempts)  # type: ignore[arg-type]
