"""The crew: threads that read sources ahead and run the engine on what waits, in micro-batches across streams.

Each source has a lane. In a recording's lane the reader waits for room: every frame is analysed exactly once. In a live
source's lane only the newest frame waits: an older one is dropped and counted. Either way findings leave the lane in
the order of its frames, each as soon as it and those before it are done, and memory is bounded.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from itertools import count
from types import TracebackType
from typing import Self

from streamer.engine import Engine, FrameFindings
from streamer.records import Frame
from streamer.sources import Source

_DECODED_AHEAD = 2
"""Frames of a recording that may wait. More make it slower to answer, not faster: with 6 instead of 2 a frame waited
100 ms longer at the same rate (640x480, 2 cores, int8)."""

_Job = tuple["Lane", int, Frame]


class Lane:
    """One source's way through the engine; made by a `Crew`.

    Attributes:
        source: where its frames come from.
        dropped: frames of a live source that a newer one replaced before they could be analysed.
    """

    def __init__(
        self, source: Source, lock: threading.Lock, work: threading.Condition, *, batch_frames: int, workers: int
    ) -> None:
        self.source = source
        self.dropped = 0
        self.waiting: deque[Frame] = deque()
        self.waits_since_s = 0.0
        self.turn = 0
        self._lock, self._work = lock, work
        self._moved = threading.Condition(lock)
        self._room = 1 if source.live else max(_DECODED_AHEAD, batch_frames)
        self._grain = 1 if source.live else batch_frames
        self._most_out = workers if source.live else batch_frames * workers
        self._given = self._taken = 0
        self._found: dict[int, FrameFindings | Exception] = {}
        self._error: BaseException | None = None
        self._ended = self._closed = False

    def findings(self) -> Iterator[FrameFindings]:
        """What was found, in frame order, to the end of the source or until the lane is closed.

        Raises:
            BaseException: what ended the source or the engine too early, after all that came before it.
        """
        while (found := self._next()) is not None:
            if isinstance(found, Exception):
                raise found
            yield found
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Analyse no more of this source; the other lanes go on. A live source is closed."""
        with self._lock:
            self._closed, self._error = True, None
            self.waiting.clear()
            self._moved.notify_all()
        if self.source.live:
            self.source.close()

    def read(self) -> None:
        """Bring the source's frames in: the whole life of its reader's thread."""
        error: BaseException | None = None
        try:
            for frame in self.source.frames():
                if not self._put(frame):
                    break
        except BaseException as caught:  # whatever happens here must surface in the thread that waits
            error = caught
        with self._lock:
            self._ended, self._error = True, None if self._closed else error
            self._moved.notify_all()
            self._work.notify_all()

    # What follows is called by the crew, which holds the lock.

    @property
    def over(self) -> bool:
        """Nothing more will come in."""
        return self._closed or (self._ended and not self.waiting)

    @property
    def ready(self) -> bool:
        """A frame waits and may go to the engine: not too many are out already."""
        return bool(self.waiting) and self._given - self._taken + self._grain <= self._most_out

    def due_s(self, patience_s: float) -> float:
        """When its frames must go, however few they are (`time.perf_counter`)."""
        if self.source.live:
            return self.waits_since_s + patience_s
        return 0.0 if self._ended or len(self.waiting) >= self._room else math.inf

    def give(self) -> _Job:
        """Its next frame, with a number for the order."""
        number, self._given = self._given, self._given + 1
        frame = self.waiting.popleft()
        self._moved.notify_all()
        return self, number, frame

    def done(self, number: int, found: FrameFindings | Exception) -> None:
        """Take back what was found in the frame of that number."""
        self._found[number] = found
        self._moved.notify_all()

    def _put(self, frame: Frame) -> bool:
        with self._lock:
            if self.source.live and self.waiting:
                self.waiting.popleft()
                self.dropped += 1
            elif not self.waiting:
                self.waits_since_s = time.perf_counter()
            self._moved.wait_for(lambda: self._closed or len(self.waiting) < self._room)
            if self._closed:
                return False
            self.waiting.append(frame)
            self._work.notify()
            return True

    def _next(self) -> FrameFindings | Exception | None:
        with self._lock:
            self._moved.wait_for(
                lambda: self._closed or self._taken in self._found or (self.over and self._taken == self._given)
            )
            if self._closed or self._taken not in self._found:
                return None
            found = self._found.pop(self._taken)
            self._taken += 1
            self._work.notify()
            return found


class Crew:
    """Readers, one a source, and the engine's workers; a context manager.

    On leaving it all threads have ended; live sources are closed for that, recordings stay their owner's.

    Args:
        engine: loaded networks; others may use them at the same time.
        sources: one lane each, in this order.
        patience_s: how long a live frame may wait for company, where the engine likes several at once.
    """

    def __init__(self, engine: Engine, sources: Sequence[Source], *, patience_s: float = 0.0) -> None:
        self._engine, self._patience_s = engine, patience_s
        self._batch_frames = engine.batch_frames
        lock = threading.Lock()
        self._lock, self._work = lock, threading.Condition(lock)
        self._stopped = False
        self._turns = count(1)
        # One worker more than the cores prepares the next frame while they are busy. Of a live source that frame would
        # only be older than need be.
        workers = engine.backend.workers
        if all(source.live for source in sources):
            workers = max(1, workers - 1)
        self.lanes = tuple(
            Lane(source, lock, self._work, batch_frames=self._batch_frames, workers=workers) for source in sources
        )
        self._threads = [threading.Thread(target=lane.read, name="decode", daemon=True) for lane in self.lanes]
        self._threads += [threading.Thread(target=self._serve, name="analyse", daemon=True) for _ in range(workers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for lane in self.lanes:
            lane.close()
        with self._lock:
            self._stopped = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while batch := self._next_batch():
            found = self._find([frame for _, _, frame in batch])
            with self._lock:
                for (lane, number, _), one in zip(batch, found, strict=True):
                    lane.done(number, one)

    def _find(self, frames: list[Frame]) -> list[FrameFindings | Exception]:
        """Findings or an error for each frame: where a batch fails, one stream's frame must not be the others' end."""
        try:
            return [*self._engine.find(frames)]
        except Exception as error:
            if len(frames) == 1:
                return [error]
        return [found for frame in frames for found in self._find([frame])]

    def _next_batch(self) -> list[_Job]:
        """Wait for frames worth a call of the engine; none once the crew is dismissed."""
        with self._lock:
            while not self._stopped:
                ready = [lane for lane in self.lanes if lane.ready]
                wait_s = self._wait_s(ready) if ready else math.inf
                if wait_s <= 0:
                    return self._batch(ready)
                self._work.wait(None if math.isinf(wait_s) else wait_s)
        return []

    def _wait_s(self, ready: Sequence[Lane]) -> float:
        if sum(len(lane.waiting) for lane in ready) >= self._batch_frames:
            return 0.0
        if all(lane.over or (lane.source.live and lane in ready) for lane in self.lanes):
            return 0.0  # nobody could join
        return min(lane.due_s(self._patience_s) for lane in ready) - time.perf_counter()

    def _batch(self, ready: list[Lane]) -> list[_Job]:
        """A frame from each lane, then a second, until the batch is full; first those whose turn was longest ago."""
        ready.sort(key=lambda lane: lane.turn)
        batch: list[_Job] = []
        while ready and len(batch) < self._batch_frames:
            for lane in ready[: self._batch_frames - len(batch)]:
                batch.append(lane.give())
                lane.turn = next(self._turns)
            ready = [lane for lane in ready if lane.waiting]
        return batch
