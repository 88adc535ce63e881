"""The scheduler without threads: how many workers, whose turn it is, what a failing batch costs."""

from __future__ import annotations

from functools import partial
from typing import cast

import pytest

from streamer.pipeline.analyser import FrameAnalyser, WrongAnswerError
from streamer.pipeline.scheduler import Scheduler, StreamQueue, _answers
from streamer.sources import Source
from tests.fakes import FakeEngine, FakeSource, frame
from tests.pipeline.queues import (
    HoldingFollower,
    LiveSource,
    detected,
    pop,
    with_candidate,
)


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
