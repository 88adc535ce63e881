"""Queues by themselves, and what a scheduler does with them, for the tests of both."""

from __future__ import annotations

import threading
from typing import cast

from streamer.pipeline.analyser import FrameCandidates
from streamer.pipeline.confirmation import Settled
from streamer.pipeline.scheduler import Follower, StreamQueue
from streamer.sources import Source
from streamer.types import Candidate, TrackedCandidate
from tests.fakes import FakeSource, frame

CANDIDATE = Candidate(box_xyxy=(8.0, 8.0, 24.0, 24.0), confidence=0.7)


class LiveSource(FakeSource):
    """Four pictures that arrive at once."""

    live = True

    def __init__(self, count: int = 4, *, name: str = "live") -> None:
        super().__init__(count, name=name)
        self.closed = False

    def close(self) -> None:
        """Note it."""
        self.closed = True


class HoldingFollower:
    """Shows every candidate, and holds back so many frames for what comes after them."""

    def __init__(self, holds: int = 0) -> None:
        self.holds = holds
        self.held: list[FrameCandidates] = []

    def add(self, detected: FrameCandidates) -> list[Settled[FrameCandidates]]:
        """Hold one more."""
        self.held.append(detected)
        over = len(self.held) - self.holds
        given, self.held = self.held[: max(0, over)], self.held[max(0, over) :]
        return [_settled(one) for one in given]

    def end(self) -> list[Settled[FrameCandidates]]:
        """Give all."""
        given, self.held = self.held, []
        return [_settled(one) for one in given]


def _settled(one: FrameCandidates) -> Settled[FrameCandidates]:
    shown = [
        TrackedCandidate(track_id=number, track_confidence=candidate.confidence, candidate=candidate)
        for number, candidate in enumerate(one.candidates, 1)
    ]
    return Settled(one, tuple(shown), {}, ())


def queue_of(
    source: FakeSource, *, batch_frames: int = 1, workers: int = 2, follower: Follower | None = None
) -> StreamQueue:
    lock = threading.Lock()
    return StreamQueue(
        cast(Source, source),
        follower or HoldingFollower(),
        lock,
        threading.Condition(lock),
        batch_frames=batch_frames,
        workers=workers,
    )


def pop(queue: StreamQueue) -> int:
    """The index of the next frame, taken as the scheduler takes it."""
    with queue._lock:
        return queue.pop()[2].index


def detected(queue: StreamQueue, number: int, result: FrameCandidates | Exception | None = None) -> None:
    """Take back what was detected, nothing if None, as the scheduler does."""
    with queue._lock:
        queue.detected(number, FrameCandidates(frame(number), (), {}) if result is None else result)
    queue.follow()


def numbers(queue: StreamQueue) -> list[int]:
    """The frames that leave, to the end."""
    return [settled.item.frame.index for settled in queue.results()]


def with_candidate(index: int) -> FrameCandidates:
    """A frame in which something was detected."""
    return FrameCandidates(frame(index), (CANDIDATE,), {"detect": 1.0})


def is_ready(queue: StreamQueue) -> bool:
    """Asked anew each time."""
    return queue.ready


def is_over(queue: StreamQueue) -> bool:
    """Asked anew each time."""
    return queue.over
