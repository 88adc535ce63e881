"""Many streams on one engine: as alone, in fair turns, and none at the mercy of another."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial

import pytest

from streamer.errors import InputError
from streamer.pipeline.analyse import analyse
from streamer.pipeline.multistream import Serving, StreamEvent, analyse_streams
from streamer.types import FrameResult
from tests.fakes import FakeEngine, FakeSource, finding
from tests.live_fakes import PATIENCE_S, GatedEngine, PushedSource, until


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    assert until(lambda: not set(threading.enumerate()) - before)


class Desk:
    """Collects what a serving tells."""

    def __init__(self) -> None:
        self.results: dict[int, list[FrameResult]] = defaultdict(list)
        self.events: list[StreamEvent] = []

    def take(self, stream: int, result: FrameResult) -> None:
        self.results[stream].append(result)

    def has(self, stream: int, count: int) -> bool:
        return len(self.results[stream]) == count

    def indices(self, stream: int) -> list[int]:
        return [result.frame.index for result in self.results[stream]]


def start(sources: list[PushedSource], engine: FakeEngine, desk: Desk, budget_ms: float = 5.0) -> Serving:
    return analyse_streams(
        [source.as_source() for source in sources],
        engine.as_engine(),
        on_result=desk.take,
        on_event=desk.events.append,
        latency_budget_ms=budget_ms,
    )


def has_analysed(serving: Serving, stream: int, frames: int) -> bool:
    return serving.figures()[stream].frames == frames


def pushed(count: int) -> list[PushedSource]:
    return [PushedSource(f"live {number}") for number in range(count)]


def flat(results: list[FrameResult]) -> list[tuple[object, ...]]:
    return [(r.frame.index, r.patient_malignancy, [(n.track_id, n.malignancy) for n in r.nodules]) for r in results]


@pytest.mark.parametrize(("batch", "workers"), [(1, 3), (8, 1), (8, 2)])
def test_each_stream_is_as_it_would_be_alone(batch: int, workers: int) -> None:
    engine = FakeEngine(
        lambda index: (finding(malignancy=index / 100),) * (index % 7 > 0), workers=workers, batch_frames=batch
    )
    lengths, desk = (40, 1, 25), Desk()
    sources = [FakeSource(length, name=f"clip {length}").as_source() for length in lengths]
    with analyse_streams(sources, engine.as_engine(), on_result=desk.take, on_event=desk.events.append) as serving:
        assert serving.wait(PATIENCE_S)
        assert [figures.frames for figures in serving.figures()] == list(lengths)
    for stream, length in enumerate(lengths):
        alone = analyse(FakeSource(length, name=f"clip {length}").as_source(), analyser=engine.as_engine())
        assert flat(desk.results[stream]) == flat(list(alone))
    assert sorted((event.stream, event.kind) for event in desk.events) == [(0, "ended"), (1, "ended"), (2, "ended")]
    studies = [study.tracks()[0].supporting_frames for study in (serving.aggregators[0], serving.aggregators[2])]
    assert studies == [sum(index % 7 > 0 for index in range(length)) for length in (40, 25)]


def test_batches_are_formed_across_streams() -> None:
    sources, engine, desk = pushed(5), GatedEngine(workers=1, batch_frames=4), Desk()
    with start(sources, engine, desk) as serving:
        engine.shut()
        sources[0].push()
        assert until(lambda: len(engine.calls) == 1)  # nobody joined it within the budget
        for source in sources[1:]:
            source.push()
        engine.open()
        assert until(lambda: len(desk.results) == 5)
        assert sorted(engine.calls[1]) == [(f"live {number}", 0) for number in range(1, 5)]
        assert [figures.dropped_frames for figures in serving.figures()] == [0] * 5


def test_turns_are_fair() -> None:
    """Six streams, each with a frame always waiting, on an engine that takes one at a time."""
    sources, engine, desk = pushed(6), GatedEngine(workers=1), Desk()
    stop = threading.Event()

    def feed(source: PushedSource) -> None:
        while not stop.is_set():
            source.push()
            time.sleep(0.001)

    with start(sources, engine, desk):
        engine.shut()
        feeders = [threading.Thread(target=feed, args=(source,)) for source in sources]
        for feeder in feeders:
            feeder.start()
        assert until(lambda: all(source._index > 3 for source in sources))
        for _ in range(48):
            calls = len(engine.calls)
            engine.open()
            assert until(partial(engine.has_been_called, calls + 1))
            engine.shut()
            time.sleep(0.003)
        stop.set()
        engine.open()
        for feeder in feeders:
            feeder.join()
    turns = Counter(name for call in engine.calls for name, _ in call)
    assert len(turns) == 6
    assert max(turns.values()) <= 2 * min(turns.values())


def test_a_consumer_that_stops_reading_harms_only_itself() -> None:
    sources, engine, desk = pushed(2), GatedEngine(workers=3), Desk()
    reads_on = threading.Event()

    def take(stream: int, result: FrameResult) -> None:
        desk.take(stream, result)
        if stream == 0:
            assert reads_on.wait(PATIENCE_S)

    both = [source.as_source() for source in sources]
    with analyse_streams(both, engine.as_engine(), on_result=take, latency_budget_ms=0) as serving:
        for number in range(20):
            for stream, source in enumerate(sources):
                source.push()
                assert until(partial(has_analysed, serving, stream, number + 1))
            assert until(partial(desk.has, 1, number + 1))
        assert desk.indices(0) == [0]
        assert [figures.undelivered_results for figures in serving.figures()] == [18, 0]
        reads_on.set()
        assert until(lambda: desk.indices(0) == [0, 19])  # the newest
        assert serving.aggregators[0].tracks()[0].supporting_frames == 16  # all but the four before it was confirmed


def test_a_stream_that_dies_is_told_and_the_rest_go_on() -> None:
    sources, desk = pushed(3), Desk()
    with start(sources, GatedEngine(), desk) as serving:
        sources[0].push()
        sources[1].push()
        sources[1].fail(InputError("the plug\nis out"))
        sources[2].fail(OSError("rtsp://user:secret@host"))
        assert until(lambda: len(desk.events) == 2)
        sources[0].push()
        assert until(lambda: desk.indices(0) == [0, 1])
        assert not serving.wait(0.01)
    told = sorted((event.stream, event.name, event.kind, event.message) for event in desk.events)
    assert told == [
        (0, "live 0", "ended", "the stream ended"),
        (1, "live 1", "failed", "the plug is out"),
        (2, "live 2", "failed", "OSError"),
    ]
    assert all(source.closed for source in sources)


def test_a_frame_that_the_engine_cannot_take_ends_only_its_stream() -> None:
    class Picky(GatedEngine):
        def analyse(self, frames: list) -> list:  # type: ignore[type-arg, override]
            if any(item.video == "live 1" for item in frames):
                raise ValueError
            return super().analyse(frames)

    sources, engine, desk = pushed(3), Picky(workers=1, batch_frames=4), Desk()
    with start(sources, engine, desk, budget_ms=200):
        for _ in range(3):
            for source in sources:
                source.push()
        assert until(lambda: len(desk.events) == 1)
        for source in (sources[0], sources[2]):
            source.push()
        assert until(lambda: desk.indices(0)[-1:] == desk.indices(2)[-1:] == [3])
    assert (desk.events[0].stream, desk.events[0].kind, desk.events[0].message) == (1, "failed", "ValueError")
    assert not desk.results[1]


def test_a_consumer_that_fails_ends_only_its_stream() -> None:
    sources, desk = pushed(2), Desk()

    def take(stream: int, result: FrameResult) -> None:
        desk.take(stream, result)
        if stream == 0:
            raise KeyError("consumer")

    both = [source.as_source() for source in sources]
    with analyse_streams(both, GatedEngine().as_engine(), on_result=take, on_event=desk.events.append):
        for count in (1, 2):
            sources[0].push()
            sources[1].push()
            assert until(partial(desk.has, 1, count))
        assert until(lambda: len(desk.events) == 1)
        assert (desk.events[0].stream, desk.events[0].kind) == (0, "failed")
        assert len(desk.results[0]) == 1


def test_stopped_by_a_consumer_and_once_more() -> None:
    sources, desk, stopped = pushed(3), Desk(), threading.Event()

    def take(stream: int, result: FrameResult) -> None:
        desk.take(stream, result)
        if stream == 2:
            serving.stop()
            stopped.set()

    everything = [source.as_source() for source in sources]
    serving = analyse_streams(everything, GatedEngine().as_engine(), on_result=take, on_event=desk.events.append)
    for source in sources:
        source.push()
    assert stopped.wait(PATIENCE_S)
    serving.stop()
    assert serving.wait(PATIENCE_S)
    assert {event.stream for event in desk.events} == {0, 1, 2}


def test_who_stops_second_waits_for_the_first() -> None:
    """A consumer stops the serving; its owner, who stops it too, may then close what the threads were reading."""
    (source,), engine = pushed(1), GatedEngine()
    shown, go_on = threading.Event(), threading.Event()

    def take(_: int, __: FrameResult) -> None:
        shown.set()
        assert go_on.wait(PATIENCE_S)
        serving.stop()

    serving = analyse_streams([source.as_source()], engine.as_engine(), on_result=take)
    source.push()
    assert shown.wait(PATIENCE_S)
    engine.shut()
    source.push()
    assert until(partial(engine.has_been_called, 2))
    go_on.set()
    assert until(lambda: source.closed)  # the consumer's stop is under way, and waits for the engine
    owner = threading.Thread(target=serving.stop)
    owner.start()
    owner.join(0.2)
    assert owner.is_alive()
    engine.open()
    owner.join(PATIENCE_S)
    assert not owner.is_alive()
    assert "analyse" not in {thread.name for thread in threading.enumerate()}


def test_stopped_while_nothing_comes() -> None:
    sources = pushed(4)
    serving = start(sources, GatedEngine(), Desk())
    serving.stop()
    assert all(source.closed for source in sources)
    assert serving.wait(PATIENCE_S)


def test_live_figures() -> None:
    sources, desk = pushed(1), Desk()
    with start(sources, GatedEngine(), desk) as serving:
        assert serving.figures()[0].live is None
        sources[0].push()
        assert until(lambda: len(desk.results[0]) == 1)
        live = serving.figures()[0].live
        assert live is not None
        assert live.dropped_frames == 0
        assert live.latency_ms.max == desk.results[0][0].latency_ms
