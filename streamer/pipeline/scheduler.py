"""Scheduler: reader threads and an inference worker pool that micro-batches frames across streams.

Each source has a queue. Recordings: every frame is analysed once, with back-pressure. Live: the newest frame wins, an
older one is dropped and counted. Findings leave a queue in the order of its frames, each as soon as it and those before
it are done. Memory is bounded.
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

from streamer.pipeline.analyser import FrameAnalyser, FrameFindings
from streamer.pipeline.views import analyse_views
from streamer.sources import Source
from streamer.sources.base import checked_frames
from streamer.types import Frame

_DECODED_AHEAD = 2
"""Frames of a recording that may wait. More make it slower to answer, not faster: with 6 instead of 2 a frame waited
100 ms longer at the same rate (640x480, 2 cores, int8)."""

_Job = tuple["StreamQueue", int, Frame]


class StreamQueue:
    """One source's way through the engine; made by a `Scheduler`.

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
        self.last_served = 0
        self._lock, self._work = lock, work
        self._moved = threading.Condition(lock)
        self._room = 1 if source.live else max(_DECODED_AHEAD, batch_frames)
        self._batch_size = 1 if source.live else batch_frames
        self._max_in_flight = workers if source.live else batch_frames * workers
        self._submitted = self._delivered = 0
        self._found: dict[int, FrameFindings | Exception] = {}
        self._error: BaseException | None = None
        self._ended = self._closed = False

    def findings(self) -> Iterator[FrameFindings]:
        """What was found, in frame order, to the end of the source or until the queue is closed.

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
        """Analyse no more of this source; the other queues go on. A live source is closed."""
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
            for frame in checked_frames(self.source):
                if not self._put(frame):
                    break
        except BaseException as caught:  # whatever happens here must surface in the thread that waits
            error = caught
        with self._lock:
            self._ended, self._error = True, None if self._closed else error
            self._moved.notify_all()
            self._work.notify_all()

    # What follows is called by the scheduler, which holds the lock.

    @property
    def over(self) -> bool:
        """Nothing more will come in."""
        return self._closed or (self._ended and not self.waiting)

    @property
    def ready(self) -> bool:
        """A frame waits and may go to the engine: not too many are out already."""
        return bool(self.waiting) and self._submitted - self._delivered + self._batch_size <= self._max_in_flight

    def deadline_s(self, max_wait_s: float) -> float:
        """When its frames must go, however few they are (`time.perf_counter`)."""
        if self.source.live:
            return self.waits_since_s + max_wait_s
        return 0.0 if self._ended or len(self.waiting) >= self._room else math.inf

    def pop(self) -> _Job:
        """Its next frame, with a number for the order."""
        number, self._submitted = self._submitted, self._submitted + 1
        frame = self.waiting.popleft()
        self._moved.notify_all()
        return self, number, frame

    def complete(self, number: int, found: FrameFindings | Exception) -> None:
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
                lambda: (
                    self._closed or self._delivered in self._found or (self.over and self._delivered == self._submitted)
                )
            )
            if self._closed or self._delivered not in self._found:
                return None
            found = self._found.pop(self._delivered)
            self._delivered += 1
            self._work.notify()
            return found


class Scheduler:
    """Readers, one a source, and the engine's workers; a context manager.

    On leaving it all threads have ended; live sources are closed for that, recordings stay their owner's.

    Args:
        analyser: loaded networks; others may use them at the same time.
        sources: one queue each, in this order.
        max_wait_s: how long a live frame may wait for company, where the engine likes several at once.
    """

    def __init__(self, analyser: FrameAnalyser, sources: Sequence[Source], *, max_wait_s: float = 0.0) -> None:
        self._analyser, self._max_wait_s = analyser, max_wait_s
        self._batch_size = analyser.batch_size
        lock = threading.Lock()
        self._lock, self._work = lock, threading.Condition(lock)
        self._stopped = False
        self._serials = count(1)
        # One worker more than the cores prepares the next frame while they are busy. Of a live source that frame would
        # only be older than need be.
        workers = analyser.workers
        if all(source.live for source in sources):
            workers = max(1, workers - 1)
        self.queues = tuple(
            StreamQueue(source, lock, self._work, batch_frames=self._batch_size, workers=workers) for source in sources
        )
        self._threads = [threading.Thread(target=queue.read, name="decode", daemon=True) for queue in self.queues]
        self._threads += [threading.Thread(target=self._serve, name="analyse", daemon=True) for _ in range(workers)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for queue in self.queues:
            queue.close()
        with self._lock:
            self._stopped = True
            self._work.notify_all()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        while batch := self._next_batch():
            found = self._find([frame for _, _, frame in batch])
            with self._lock:
                for (queue, number, _), one in zip(batch, found, strict=True):
                    queue.complete(number, one)

    def _find(self, frames: list[Frame]) -> list[FrameFindings | Exception]:
        """Findings or an error for each frame: where a batch fails, one stream's frame must not be the others' end."""
        try:
            return [*analyse_views(self._analyser, frames)]
        except Exception as error:
            if len(frames) == 1:
                return [error]
        return [found for frame in frames for found in self._find([frame])]

    def _next_batch(self) -> list[_Job]:
        """Wait for frames worth a call of the engine; none after shutdown."""
        with self._lock:
            while not self._stopped:
                ready = [queue for queue in self.queues if queue.ready]
                wait_s = self._wait_s(ready) if ready else math.inf
                if wait_s <= 0:
                    return self._batch(ready)
                self._work.wait(None if math.isinf(wait_s) else wait_s)
        return []

    def _wait_s(self, ready: Sequence[StreamQueue]) -> float:
        if sum(len(queue.waiting) for queue in ready) >= self._batch_size:
            return 0.0
        if all(queue.over or (queue.source.live and queue in ready) for queue in self.queues):
            return 0.0  # nobody could join
        return min(queue.deadline_s(self._max_wait_s) for queue in ready) - time.perf_counter()

    def _batch(self, ready: list[StreamQueue]) -> list[_Job]:
        """A frame from each queue, then a second, until the batch is full; the longest waiting first."""
        ready.sort(key=lambda queue: queue.last_served)
        batch: list[_Job] = []
        while ready and len(batch) < self._batch_size:
            for queue in ready[: self._batch_size - len(batch)]:
                batch.append(queue.pop())
                queue.last_served = next(self._serials)
            ready = [queue for queue in ready if queue.waiting]
        return batch
