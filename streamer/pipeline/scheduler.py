"""Scheduler: reader threads and an inference worker pool that micro-batches frames across streams.

Each source has a queue. Recordings: every frame is analysed once, with back-pressure. Live: the newest frame wins, an
older one is dropped and counted. A frame is read, then detected in, then followed in its turn, which may hold it until
its tracks are confirmed; then what is shown in it is characterised, and it leaves in its turn. Candidates that are
never confirmed are not characterised. Memory is bounded.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence, Sized
from functools import partial
from itertools import count
from types import TracebackType
from typing import Protocol, Self, TypeVar

from streamer.pipeline.analyser import (
    FrameAnalyser,
    FrameCandidates,
    FrameFindings,
    WrongAnswerError,
    findings_of,
)
from streamer.pipeline.confirmation import Settled
from streamer.pipeline.views import characterise_in_views, detect_in_views
from streamer.sources import Source
from streamer.sources.base import checked_frames
from streamer.types import Frame

_DECODED_AHEAD = 2
"""Frames of a recording that may wait. More make it slower to answer, not faster: with 6 instead of 2 a frame waited
100 ms longer at the same rate (640x480, 2 cores, int8)."""

_DetectJob = tuple["StreamQueue", int, Frame]
_CharacteriseJob = tuple["StreamQueue", int, Settled[FrameCandidates]]

_Job = TypeVar("_Job")
_Asked = TypeVar("_Asked")
_Answer = TypeVar("_Answer")


class Follower(Protocol):
    """Settles what is shown in a clip's frames; `follower.ClipFollower` is one. Used by one thread at a time."""

    def add(self, detected: FrameCandidates) -> Sequence[Settled[FrameCandidates]]:
        """Take the next frame; give those that are settled by it, in order, each with the candidates that are shown."""
        ...

    def end(self) -> Sequence[Settled[FrameCandidates]]:
        """Give the frames that still wait, in order: no more come."""
        ...


class StreamQueue:
    """One source's way through the engine; made by a `Scheduler`.

    Attributes:
        source: where its frames come from.
        dropped: frames of a live source that a newer one replaced before they could be analysed.
        waiting: frames to detect in.
        settled: frames with candidates to characterise, each with its number in the order in which they leave.
    """

    def __init__(
        self,
        source: Source,
        follower: Follower,
        lock: threading.Lock,
        work: threading.Condition,
        *,
        batch_frames: int,
        workers: int,
    ) -> None:
        self.source = source
        self.dropped = 0
        self.waiting: deque[Frame] = deque()
        self.settled: deque[tuple[int, Settled[FrameCandidates]]] = deque()
        self.waits_since_s = 0.0
        self.last_served = 0
        self._lock, self._work = lock, work
        self._moved = threading.Condition(lock)
        self._room = 1 if source.live else max(_DECODED_AHEAD, batch_frames)
        self._batch_size = 1 if source.live else batch_frames
        self._max_in_flight = workers if source.live else batch_frames * workers
        self._follower, self._following = follower, False
        self._submitted = self._followed = self._held = self._settled = self._delivered = 0
        self._detected: dict[int, FrameCandidates | BaseException] = {}
        self._done: dict[int, Settled[FrameFindings] | BaseException] = {}
        self._error: BaseException | None = None
        self._ended = self._all_settled = self._closed = False

    def results(self) -> Iterator[Settled[FrameFindings]]:
        """What was found and is shown, in frame order, to the end of the source or until the queue is closed.

        Raises:
            BaseException: what ended the source or the engine too early, after all that came before it.
        """
        while (done := self._next()) is not None:
            if isinstance(done, BaseException):
                raise done
            yield done
        if self._error is not None:
            raise self._error

    def close(self) -> None:
        """Analyse no more of this source; the other queues go on. A live source is closed."""
        with self._lock:
            self._closed, self._error = True, None
            for frames in (self.waiting, self.settled, self._detected, self._done):
                frames.clear()
            self._moved.notify_all()
        self.follow()  # lets go of what is held
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
            self._work.notify_all()
        self.follow()

    def follow(self) -> None:
        """Follow what is detected as far as it is the frames' turn: one thread does, the others leave it to that."""
        with self._lock:
            if self._following:
                return
            self._following = True
        while (step := self._next_step()) is not None:
            step()

    # What follows is called by the scheduler, which holds the lock.

    @property
    def over(self) -> bool:
        """Nothing more will come in."""
        return self._closed or self._all_settled or (self._ended and not self.waiting)

    @property
    def ready(self) -> bool:
        """A frame waits and may go to the engine: not too many are out, beside those that a track may yet confirm."""
        out = self._submitted - self._held - self._delivered
        return bool(self.waiting) and not self._all_settled and out + self._batch_size <= self._max_in_flight

    def deadline_s(self, max_wait_s: float) -> float:
        """When its frames must go, however few they are (`time.perf_counter`)."""
        if self.source.live:
            return self.waits_since_s + max_wait_s
        return 0.0 if self._ended or len(self.waiting) >= self._room else math.inf

    def pop(self) -> _DetectJob:
        """Its next frame to detect in, with a number for the order."""
        number, self._submitted = self._submitted, self._submitted + 1
        frame = self.waiting.popleft()
        self._moved.notify_all()
        return self, number, frame

    def pop_settled(self) -> _CharacteriseJob:
        """Its next frame to characterise candidates in, with a number for the order."""
        return self, *self.settled.popleft()

    def detected(self, number: int, detected: FrameCandidates | BaseException) -> None:
        """Take back what was detected in the frame of that number; to be followed."""
        if not self._closed:
            self._detected[number] = detected

    def complete(self, number: int, settled: Settled[FrameCandidates], found: FrameFindings | BaseException) -> None:
        """Take back what was found in the settled frame of that number."""
        if not self._closed:
            self._done[number] = found if isinstance(found, BaseException) else _with_findings(settled, found)
            self._moved.notify_all()

    # What follows is the queue's own.

    def _next_step(self) -> Callable[[], None] | None:
        """How to follow on; None where another frame's turn comes first, or nothing is left."""
        with self._lock:
            if not self._all_settled:
                if (detected := self._detected.pop(self._followed, None)) is not None:
                    self._followed += 1
                    if isinstance(detected, BaseException):
                        return partial(self._end, detected)
                    return partial(self._follow_frame, detected)
                if self._closed or (self._ended and not self.waiting and self._followed == self._submitted):
                    return self._end
            self._following = False
        return None

    def _follow_frame(self, detected: FrameCandidates) -> None:
        try:
            settled = self._follower.add(detected)
        except BaseException as error:  # whatever happens here must surface in the thread that waits
            self._end(error)
        else:
            self._settle(settled, entered=1)

    def _end(self, error: BaseException | None = None) -> None:
        try:
            settled = self._follower.end()
        except BaseException as caught:  # as above
            settled, error = (), error or caught
        self._settle(settled, error=error, last=True)

    def _settle(
        self,
        settled: Sequence[Settled[FrameCandidates]],
        *,
        entered: int = 0,
        error: BaseException | None = None,
        last: bool = False,
    ) -> None:
        with self._lock:
            self._all_settled = last
            if self._closed:
                return
            self._held += entered - len(settled)
            for one in settled:
                if (found := findings_of(one.item)) is not None:
                    self._done[self._settled] = _with_findings(one, found)
                else:
                    self.settled.append((self._settled, one))
                self._settled += 1
            if error is not None:
                self._done[self._settled] = error
                self._settled += 1
            self._moved.notify_all()
            self._work.notify(max(1, len(settled)))

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

    def _next(self) -> Settled[FrameFindings] | BaseException | None:
        with self._lock:
            self._moved.wait_for(
                lambda: (
                    self._closed
                    or self._delivered in self._done
                    or (self._all_settled and self._delivered == self._settled)
                )
            )
            if self._closed or self._delivered not in self._done:
                return None
            done = self._done.pop(self._delivered)
            self._delivered += 1
            self._work.notify()
            return done


def _with_findings(settled: Settled[FrameCandidates], found: FrameFindings) -> Settled[FrameFindings]:
    return Settled(found, settled.shown, settled.ahead, settled.ended)


class Scheduler:
    """Readers, one a source, and the engine's workers; a context manager.

    On leaving it all threads have ended; live sources are closed for that, recordings stay their owner's.

    Args:
        analyser: loaded networks; others may use them at the same time.
        streams: one queue each, in this order: where frames come from, and what settles which candidates are shown.
        max_wait_s: how long a live frame may wait for company, where the engine likes several at once.
    """

    def __init__(
        self, analyser: FrameAnalyser, streams: Sequence[tuple[Source, Follower]], *, max_wait_s: float = 0.0
    ) -> None:
        self._analyser, self._max_wait_s = analyser, max_wait_s
        self._batch_size = analyser.batch_size
        lock = threading.Lock()
        self._lock, self._work = lock, threading.Condition(lock)
        self._stopped = False
        self._serials = count(1)
        # One worker more than the cores prepares the next frame while they are busy. Of a live source that frame would
        # only be older than need be.
        workers = analyser.workers
        if all(source.live for source, _ in streams):
            workers = max(1, workers - 1)
        self.queues = tuple(
            StreamQueue(source, follower, lock, self._work, batch_frames=self._batch_size, workers=workers)
            for source, follower in streams
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
        while (work := self._next_work()) is not None:
            work()

    def _detect(self, batch: Sequence[_DetectJob]) -> None:
        answers = _answers(partial(detect_in_views, self._analyser), [frame for _, _, frame in batch])
        with self._lock:
            for (queue, number, _), detected in zip(batch, answers, strict=True):
                queue.detected(number, detected)
        for queue in dict.fromkeys(queue for queue, _, _ in batch):
            queue.follow()

    def _characterise(self, batch: Sequence[_CharacteriseJob]) -> None:
        answers = _answers(partial(characterise_in_views, self._analyser), [settled.item for _, _, settled in batch])
        with self._lock:
            for (queue, number, settled), found in zip(batch, answers, strict=True):
                queue.complete(number, settled, found)

    def _next_work(self) -> Callable[[], None] | None:
        """Wait for frames worth a call of the engine; None after shutdown.

        Of one stream, frames that are nearly done go first; of a live one also before any other's. What a recording
        settles at once, as at a cut, takes its turn among the streams: else it would hold live frames up.
        """
        with self._lock:
            while not self._stopped:
                ready = [queue for queue in self.queues if queue.ready]
                settled = [queue for queue in self.queues if queue.settled]
                wait_s = self._wait_s(ready) if ready else math.inf
                able = [*settled, *(ready if wait_s <= 0 else ())]
                if able:
                    first = min(able, key=lambda queue: (not (queue.settled and queue.source.live), queue.last_served))
                    if first.settled:
                        batch = self._batch(settled, lambda queue: queue.settled, StreamQueue.pop_settled)
                        return partial(self._characterise, batch)
                    return partial(self._detect, self._batch(ready, lambda queue: queue.waiting, StreamQueue.pop))
                self._work.wait(None if math.isinf(wait_s) else wait_s)
        return None

    def _wait_s(self, ready: Sequence[StreamQueue]) -> float:
        if sum(len(queue.waiting) for queue in ready) >= self._batch_size:
            return 0.0
        if all(queue.over or (queue.source.live and queue in ready) for queue in self.queues):
            return 0.0  # nobody could join
        return min(queue.deadline_s(self._max_wait_s) for queue in ready) - time.perf_counter()

    def _batch(
        self,
        queues: list[StreamQueue],
        left: Callable[[StreamQueue], Sized],
        pop: Callable[[StreamQueue], _Job],
    ) -> list[_Job]:
        """A frame from each queue, then a second, until the batch is full; the longest waiting first."""
        queues.sort(key=lambda queue: queue.last_served)
        batch: list[_Job] = []
        while queues and len(batch) < self._batch_size:
            for queue in queues[: self._batch_size - len(batch)]:
                batch.append(pop(queue))
                queue.last_served = next(self._serials)
            queues = [queue for queue in queues if left(queue)]
        return batch


def _answers(ask: Callable[[list[_Asked]], list[_Answer]], asked: list[_Asked]) -> list[_Answer | BaseException]:
    """An answer or an error for each: where a batch fails, one stream's frame must not be the others' end."""
    try:
        return [*ask(asked)]
    except BaseException as error:  # whatever happens here must surface in the thread that waits
        if len(asked) == 1 or isinstance(error, WrongAnswerError) or not isinstance(error, Exception):
            return [error] * len(asked)
    return [answer for one in asked for answer in _answers(ask, [one])]
