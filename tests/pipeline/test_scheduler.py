"""Queues by themselves, without threads: what is dropped, what may go, what waits, in which order it leaves."""

from __future__ import annotations

import math
import threading
from typing import cast

import pytest

from streamer.pipeline.analyser import FrameAnalyser, FrameFindings
from streamer.pipeline.scheduler import Scheduler, StreamQueue
from streamer.sources import Source
from streamer.types import Frame
from tests.fakes import FakeEngine, FakeSource, frame
from tests.live_fakes import until


class LiveSource(FakeSource):
    """Four pictures that arrive at once."""

    live = True

    def __init__(self, count: int = 4, *, name: str = "live") -> None:
        super().__init__(count, name=name)
        self.closed = False

    def close(self) -> None:
        """Note it."""
        self.closed = True


def queue_of(source: FakeSource, *, batch_frames: int = 1, workers: int = 2) -> StreamQueue:
    lock = threading.Lock()
    return StreamQueue(
        cast(Source, source), lock, threading.Condition(lock), batch_frames=batch_frames, workers=workers
    )


def pop(queue: StreamQueue) -> int:
    """The index of the next frame, taken as the scheduler takes it."""
    with queue._lock:
        return queue.pop()[2].index


def complete(queue: StreamQueue, number: int, result: FrameFindings | Exception) -> None:
    """Take back what was found, as the scheduler does."""
    with queue._lock:
        queue.complete(number, result)


def is_ready(queue: StreamQueue) -> bool:
    """Asked anew each time."""
    return queue.ready


def is_over(queue: StreamQueue) -> bool:
    """Asked anew each time."""
    return queue.over


def found(name: str) -> FrameFindings:
    """Findings that a test can tell apart."""
    return cast(FrameFindings, name)


def test_of_a_live_source_the_newest_frame_waits_and_the_others_are_counted() -> None:
    queue = queue_of(LiveSource(4))
    queue.read()
    assert queue.dropped == 3
    assert [frame.index for frame in queue.waiting] == [3]


def test_a_live_frame_that_was_taken_in_time_is_not_dropped() -> None:
    queue = queue_of(LiveSource(1))
    queue.read()
    pop(queue)
    assert queue.dropped == 0


@pytest.mark.parametrize(("batch_frames", "room"), [(1, 2), (2, 2), (5, 5)])
def test_a_recording_waits_with_two_frames_or_a_batch_and_drops_none(batch_frames: int, room: int) -> None:
    source = FakeSource(7)
    queue = queue_of(source, batch_frames=batch_frames)
    reader = threading.Thread(target=queue.read, daemon=True)
    reader.start()
    taken: list[int] = []
    while len(taken) < 7:
        left = min(room, 7 - len(taken))
        assert until(lambda left=left: len(queue.waiting) == left)  # type: ignore[misc]
        taken.append(pop(queue))
    reader.join()
    assert is_over(queue)
    assert taken == list(range(7))
    assert queue.dropped == 0


def test_no_more_frames_are_out_than_the_workers_can_take() -> None:
    queue = queue_of(FakeSource(2), batch_frames=1, workers=1)
    queue.read()
    assert is_ready(queue)
    pop(queue)
    assert not is_ready(queue)  # one is out, one waits
    complete(queue, 0, found("first"))
    assert queue._next() == found("first")
    assert is_ready(queue)
    pop(queue)
    assert not is_ready(queue)  # nothing waits


def test_a_batch_may_be_out_for_each_worker() -> None:
    queue = queue_of(FakeSource(4), batch_frames=2, workers=2)
    threading.Thread(target=queue.read, daemon=True).start()
    for _ in range(2):
        assert until(lambda: len(queue.waiting) == 2)
        assert is_ready(queue)
        pop(queue)
        pop(queue)
    queue.waiting.extend(FakeSource(1).frames())
    assert not is_ready(queue)


def test_a_batch_goes_out_only_where_all_of_it_has_room() -> None:
    queue = queue_of(FakeSource(0), batch_frames=4, workers=2)
    queue.waiting.extend(FakeSource(6).frames())
    for _ in range(6):  # of eight that may be out
        assert is_ready(queue) is (queue._submitted <= 4)
        pop(queue)


def test_a_live_source_waits_since_the_first_frame_that_nobody_took(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 20.0, 30.0])
    monkeypatch.setattr("streamer.pipeline.scheduler.time.perf_counter", lambda: next(clock))
    queue = queue_of(LiveSource())
    queue._put(frame(0))
    assert queue.waits_since_s == 10.0
    queue._put(frame(1))  # replaces the other, but the stream has waited as long
    assert (queue.waits_since_s, queue.deadline_s(0.5)) == (10.0, 10.5)
    pop(queue)
    queue._put(frame(2))
    assert queue.waits_since_s == 20.0


def test_of_a_live_source_a_frame_for_each_worker_is_out_whatever_the_batch() -> None:
    queue = queue_of(LiveSource(), batch_frames=4, workers=3)
    for index in range(3):
        assert queue._put(frame(index))
        assert is_ready(queue)
        pop(queue)
    assert queue._put(frame(3))
    assert not is_ready(queue)


def test_findings_leave_in_the_order_of_the_frames() -> None:
    queue = queue_of(FakeSource(2))
    queue.read()
    pop(queue)
    pop(queue)
    complete(queue, 1, found("second"))
    complete(queue, 0, found("first"))
    assert list(queue.findings()) == [found("first"), found("second")]


def test_an_error_comes_after_what_came_before_it() -> None:
    queue = queue_of(FakeSource(4, fails_after=2))
    queue.read()
    for number in range(2):
        pop(queue)
        complete(queue, number, found(str(number)))
    findings = queue.findings()
    assert [next(findings), next(findings)] == [found("0"), found("1")]
    with pytest.raises(OSError, match="the disk is gone"):
        next(findings)


def test_an_error_of_the_engine_is_raised_in_its_turn() -> None:
    queue = queue_of(FakeSource(2))
    queue.read()
    pop(queue)
    pop(queue)
    complete(queue, 1, ValueError("bad frame"))
    complete(queue, 0, found("first"))
    findings = queue.findings()
    assert next(findings) == found("first")
    with pytest.raises(ValueError, match="bad frame"):
        next(findings)


def test_a_closed_queue_gives_nothing_more_and_forgets_its_error() -> None:
    source = LiveSource(1)
    queue = queue_of(source)
    queue.read()
    assert not is_over(queue)
    queue.close()
    assert is_over(queue)
    assert source.closed
    assert (list(queue.waiting), list(queue.findings())) == ([], [])
    failing = queue_of(FakeSource(1, fails_after=0))
    failing.close()
    failing.read()
    assert list(failing.findings()) == []


def test_deadlines() -> None:
    live = queue_of(LiveSource(1))
    live.read()
    live.waits_since_s = 100.0
    assert live.deadline_s(0.25) == 100.25
    ended = queue_of(FakeSource(1))
    assert ended.deadline_s(0.25) == math.inf
    ended.read()
    assert ended.deadline_s(0.25) == 0.0
    full = queue_of(FakeSource(3))
    full.waiting.extend(list(FakeSource(1).frames()))
    assert full.deadline_s(0.25) == math.inf
    full.waiting.extend(list(FakeSource(1).frames()))
    assert full.deadline_s(0.25) == 0.0


def scheduler(*sources: FakeSource, batch_frames: int = 1, workers: int = 3) -> Scheduler:
    engine = FakeEngine(batch_frames=batch_frames, workers=workers)
    return Scheduler(cast(FrameAnalyser, engine), [cast(Source, source) for source in sources])


def test_live_sources_alone_leave_one_worker_out() -> None:
    """A frame that is prepared ahead of a live source would only be older than need be."""

    def analysing(made: Scheduler) -> int:
        return sum(thread.name == "analyse" for thread in made._threads)

    assert analysing(scheduler(LiveSource(), LiveSource())) == 2
    assert analysing(scheduler(LiveSource(), FakeSource(1))) == 3
    assert analysing(scheduler(LiveSource(), workers=1)) == 1


def test_a_batch_takes_turns_with_the_longest_waiting_queue_first() -> None:
    made = scheduler(FakeSource(2, name="a"), FakeSource(2, name="b"), FakeSource(2, name="c"), batch_frames=4)
    for queue in made.queues:
        queue.read()
    made.queues[0].last_served, made.queues[1].last_served, made.queues[2].last_served = 2, 3, 1
    with made._lock:
        batch = made._batch(list(made.queues))
    assert [(frame.video, frame.index) for _, _, frame in batch] == [("c", 0), ("a", 0), ("b", 0), ("c", 1)]
    served = [queue.last_served for queue in made.queues]
    assert served.index(max(served)) == 2  # the one that had two comes last the next time


def test_a_frame_that_spoils_a_batch_fails_alone() -> None:
    class Spoilt(FakeEngine):
        def analyse(self, frames: object) -> list[FrameFindings]:
            listed = cast(list[Frame], frames)
            if any(one.index == 1 for one in listed):
                raise ValueError("bad")
            return [FrameFindings(one, (), {}) for one in listed]

    made = Scheduler(cast(FrameAnalyser, Spoilt()), [])
    first, second, third = made._find([frame(0), frame(1), frame(2)])
    assert isinstance(first, FrameFindings)
    assert isinstance(third, FrameFindings)
    assert (first.frame.index, third.frame.index) == (0, 2)
    assert isinstance(second, ValueError)
