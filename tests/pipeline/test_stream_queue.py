"""Queues by themselves, without threads: what is dropped, what may go, what waits, in which order it leaves."""

from __future__ import annotations

import math
import threading
from typing import NoReturn

import pytest

from streamer.pipeline.analyser import FrameCandidates, FrameFindings
from streamer.pipeline.confirmation import Settled
from tests.fakes import FakeSource, finding, frame
from tests.live_fakes import until
from tests.pipeline.queues import (
    CANDIDATE,
    HoldingFollower,
    LiveSource,
    detected,
    is_over,
    is_ready,
    numbers,
    pop,
    queue_of,
    with_candidate,
)


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
    detected(queue, 0)
    assert not is_ready(queue)  # nobody has taken it
    assert queue._next() is not None
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
    detected(queue, 1)
    assert queue._done == {}
    detected(queue, 0)
    assert numbers(queue) == [0, 1]


def test_an_error_comes_after_what_came_before_it() -> None:
    queue = queue_of(FakeSource(4, fails_after=2))
    queue.read()
    for number in range(2):
        pop(queue)
        detected(queue, number)
    results = queue.results()
    assert [next(results).item.frame.index, next(results).item.frame.index] == [0, 1]
    with pytest.raises(OSError, match="the disk is gone"):
        next(results)


def test_an_error_of_the_engine_is_raised_in_its_turn() -> None:
    queue = queue_of(FakeSource(2))
    queue.read()
    pop(queue)
    pop(queue)
    detected(queue, 1, ValueError("bad frame"))
    detected(queue, 0)
    results = queue.results()
    assert next(results).item.frame.index == 0
    with pytest.raises(ValueError, match="bad frame"):
        next(results)


def test_a_closed_queue_gives_nothing_more_and_forgets_its_error() -> None:
    source = LiveSource(1)
    queue = queue_of(source)
    queue.read()
    assert not is_over(queue)
    queue.close()
    assert is_over(queue)
    assert source.closed
    assert (list(queue.waiting), list(queue.results())) == ([], [])
    failing = queue_of(FakeSource(1, fails_after=0))
    failing.close()
    failing.read()
    assert list(failing.results()) == []


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


def test_a_frame_with_candidates_leaves_when_they_are_characterised_one_without_at_once() -> None:
    queue = queue_of(FakeSource(2))
    queue.read()
    for number in range(2):
        pop(queue)
        detected(queue, number, with_candidate(0) if number == 0 else None)
    assert list(queue._done) == [1]
    with queue._lock:
        _, number, settled = queue.pop_settled()
        assert (number, settled.item.candidates, len(queue.settled)) == (0, (CANDIDATE,), 0)
        queue.complete(number, settled, FrameFindings(settled.item.frame, (finding(),), {}))
    first, second = queue._next(), queue._next()
    assert isinstance(first, Settled)
    assert isinstance(second, Settled)
    assert (len(first.item.findings), first.shown[0].candidate) == (1, CANDIDATE)
    assert second.item.findings == ()


def test_an_error_in_the_second_step_comes_in_its_turn() -> None:
    queue = queue_of(FakeSource(2))
    queue.read()
    for number in range(2):
        pop(queue)
        detected(queue, number, with_candidate(number))
    with queue._lock:
        for _ in range(2):
            _, number, settled = queue.pop_settled()
            spoilt = ValueError("bad crop") if number else FrameFindings(settled.item.frame, (finding(),), {})
            queue.complete(number, settled, spoilt)
    results = queue.results()
    assert next(results).item.frame.index == 0
    with pytest.raises(ValueError, match="bad crop"):
        next(results)


def test_frames_that_are_held_for_their_tracks_keep_no_other_from_the_engine() -> None:
    queue = queue_of(FakeSource(0), workers=1, follower=HoldingFollower(holds=2))
    queue.waiting.extend(FakeSource(5).frames())
    for number in range(2):
        assert is_ready(queue)
        pop(queue)
        assert not is_ready(queue)
        detected(queue, number)  # held
    assert is_ready(queue)
    pop(queue)
    detected(queue, 2)  # lets the first out, which nobody has taken
    assert not is_ready(queue)
    assert queue._next() is not None
    assert is_ready(queue)


@pytest.mark.parametrize("count", [0, 1, 5])
def test_what_is_held_leaves_at_the_end_of_the_source(count: int) -> None:
    queue = queue_of(FakeSource(count), workers=9, batch_frames=9, follower=HoldingFollower(holds=3))
    queue.read()
    for number in range(count):
        pop(queue)
        detected(queue, number)
    assert numbers(queue) == list(range(count))


def test_what_is_held_leaves_before_an_error() -> None:
    queue = queue_of(FakeSource(9), workers=9, batch_frames=9, follower=HoldingFollower(holds=3))
    queue.read()
    for number in range(3):
        pop(queue)
        detected(queue, number, ValueError("bad frame") if number == 2 else None)
    assert not is_ready(queue)  # what comes after an error is wanted no more
    assert is_over(queue)
    results = queue.results()
    assert [next(results).item.frame.index for _ in range(2)] == [0, 1]
    with pytest.raises(ValueError, match="bad frame"):
        next(results)


@pytest.mark.parametrize("step", ["add", "end"])
@pytest.mark.parametrize("error", [ZeroDivisionError, SystemExit])
def test_an_error_of_the_follower_ends_the_queue(
    step: str, error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> NoReturn:
        raise error("at fault")

    follower = HoldingFollower(holds=9)
    queue = queue_of(FakeSource(3), batch_frames=3, follower=follower)
    queue.read()
    for number in range(3):
        if number == 2:
            monkeypatch.setattr(follower, step, fail)
        pop(queue)
        detected(queue, number)
    results = queue.results()
    if step == "add":  # what was held comes first
        assert [next(results).item.frame.index for _ in range(2)] == [0, 1]
    with pytest.raises(error, match="at fault"):
        next(results)


def test_a_queue_closed_meanwhile_asks_for_nothing_more() -> None:
    queue = queue_of(FakeSource(2))
    queue.read()
    pop(queue)
    detected(queue, 0, with_candidate(0))
    assert len(queue.settled) == 1
    number, settled = queue.settled[0]
    queue.close()
    assert len(queue.settled) == 0
    detected(queue, 1, with_candidate(1))
    with queue._lock:
        queue.complete(number, settled, FrameFindings(settled.item.frame, (finding(),), {}))
    assert (len(queue.settled), queue._detected, queue._done) == (0, {}, {})


def test_a_closed_queue_holds_no_frame_any_more() -> None:
    follower = HoldingFollower(holds=5)
    queue = queue_of(FakeSource(4), batch_frames=4, follower=follower)
    queue.read()
    for number in range(3):
        pop(queue)
        detected(queue, number)
    assert len(follower.held) == 3
    queue.close()
    assert (follower.held, len(queue.waiting), queue._done) == ([], 0, {})


def test_one_thread_follows_at_a_time_and_takes_over_what_others_bring() -> None:
    """A frame that is detected while another is followed is not followed beside it, nor forgotten."""
    entered, go_on = threading.Event(), threading.Event()
    followed: list[tuple[int, str]] = []

    class Slow(HoldingFollower):
        def add(self, detected: FrameCandidates) -> list[Settled[FrameCandidates]]:
            followed.append((detected.frame.index, threading.current_thread().name))
            entered.set()
            assert go_on.wait(10)
            return super().add(detected)

    queue = queue_of(FakeSource(2), follower=Slow())
    queue.read()
    pop(queue)
    pop(queue)
    first = threading.Thread(target=detected, args=(queue, 0), name="first")
    first.start()
    assert entered.wait(10)
    detected(queue, 1)  # returns at once
    go_on.set()
    first.join()
    assert followed == [(0, "first"), (1, "first")]
    assert numbers(queue) == [0, 1]
