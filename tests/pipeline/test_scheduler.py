"""Queues by themselves, without threads: what is dropped, what may go, what waits, in which order it leaves."""

from __future__ import annotations

import math
import threading
from functools import partial
from typing import NoReturn, cast

import pytest

from streamer.pipeline.analyser import FrameAnalyser, FrameCandidates, FrameFindings, WrongAnswerError
from streamer.pipeline.confirmation import Settled
from streamer.pipeline.scheduler import Follower, Scheduler, StreamQueue, _answers
from streamer.sources import Source
from streamer.types import Candidate, TrackedCandidate
from tests.fakes import FakeEngine, FakeSource, finding, frame
from tests.live_fakes import until

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


def scheduler(*sources: FakeSource, batch_frames: int = 1, workers: int = 3) -> Scheduler:
    engine = FakeEngine(batch_frames=batch_frames, workers=workers)
    return Scheduler(cast(FrameAnalyser, engine), [(cast(Source, source), HoldingFollower()) for source in sources])


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
        batch = made._batch(list(made.queues), lambda queue: queue.waiting, StreamQueue.pop)
    assert [(frame.video, frame.index) for _, _, frame in batch] == [("c", 0), ("a", 0), ("b", 0), ("c", 1)]
    served = [queue.last_served for queue in made.queues]
    assert served.index(max(served)) == 2  # the one that had two comes last the next time


def test_a_frame_that_spoils_a_batch_fails_alone() -> None:
    def ask(asked: list[int]) -> list[str]:
        if 1 in asked:
            raise ValueError("bad")
        return [f"answer {one}" for one in asked]

    first, second, third = _answers(ask, [0, 1, 2])
    assert (first, third) == ("answer 0", "answer 2")
    assert isinstance(second, ValueError)


@pytest.mark.parametrize("error", [WrongAnswerError, SystemExit])
def test_a_fault_that_is_no_frames_is_not_tried_again_with_each(error: type[BaseException]) -> None:
    calls: list[list[int]] = []

    def ask(asked: list[int]) -> list[str]:
        calls.append(asked)
        raise error("bad")

    answers = _answers(ask, [0, 1, 2])
    assert [type(one) for one in answers] == [error] * 3
    assert calls == [[0, 1, 2]]


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
    _, number, settled = queue.settled[0][0], *queue.settled[0]
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


def test_what_a_recording_settles_at_once_takes_its_turn_among_live_frames() -> None:
    live, recording = LiveSource(1, name="live"), FakeSource(6, name="clip")
    made = scheduler(live, recording)
    shown, cine = made.queues
    cine.waiting.extend(recording.frames())
    for number in range(3):
        pop(cine)
        detected(cine, number, with_candidate(number))
    kinds = []
    for index in range(4):
        assert shown._put(frame(index))
        for queue in (shown, cine):
            queue._delivered = queue._submitted  # whoever waits takes them at once
        work = made._next_work()
        assert isinstance(work, partial)
        kinds.append((work.func.__name__, work.args[0][0][0].source.info.name))
    assert kinds == [("_characterise", "clip"), ("_detect", "live")] * 2


def test_a_live_frame_that_is_settled_goes_before_all_others() -> None:
    made = scheduler(FakeSource(2, name="clip"), LiveSource(1))
    cine, live = made.queues
    cine.waiting.extend(FakeSource(2).frames())
    live.read()
    pop(live)
    live.last_served = 9
    detected(live, 0, with_candidate(0))
    work = made._next_work()
    assert isinstance(work, partial)
    assert (work.func, work.args[0][0][0]) == (made._characterise, live)


def test_what_is_settled_goes_before_what_waits() -> None:
    made = scheduler(FakeSource(2))
    (queue,) = made.queues
    queue.read()
    pop(queue)
    detected(queue, 0, with_candidate(0))
    for step in ("_characterise", "_detect"):
        work = made._next_work()
        assert isinstance(work, partial)
        assert work.func == getattr(made, step)
