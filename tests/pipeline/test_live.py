"""A live source's way: the newest frame next, older ones counted, each result at once and in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from itertools import islice, pairwise

import pytest

from streamer._timing import LiveClock
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import analyse, results
from streamer.pipeline.follower import ClipFollower
from streamer.pipeline.scheduler import Scheduler
from streamer.types import Frame, FrameResult
from tests.fakes import FakeEngine, FakeSource, frame
from tests.live_fakes import GatedEngine, PushedSource, until


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith(("deco", "anal"))]
    assert left == []


def indices(results: Iterator[FrameResult]) -> list[int]:
    return [result.frame.index for result in results]


def test_a_result_does_not_wait_for_the_next_frame() -> None:
    source = PushedSource()
    engine = GatedEngine(workers=3, batch_frames=8)
    with closing(analyse(source.as_source(), analyser=engine.as_engine())) as results:
        threading.Timer(0.02, source.push).start()
        result = next(results)
        assert result.frame.index == 0
        threading.Timer(0.02, source.push).start()
        assert next(results).frame.index == 1
    assert result.latency_ms is not None
    assert result.latency_ms > 0
    assert source.closed


def test_the_newest_frame_is_next_and_the_others_are_counted() -> None:
    source, engine, clock = PushedSource(), GatedEngine(), LiveClock()
    engine.shut()
    results = analyse(source.as_source(), analyser=engine.as_engine())
    seen: list[int] = []

    def consume() -> None:
        for result in results:
            clock.add(result)
            seen.append(result.frame.index)

    consumer = threading.Thread(target=consume)
    consumer.start()
    source.push()
    assert until(lambda: engine.calls == [[("live", 0)]])
    source.push(5)
    engine.open()
    assert until(lambda: seen == [0, 5])
    source.push()
    assert until(lambda: seen == [0, 5, 6])
    source.close()
    consumer.join()
    assert engine.calls == [[("live", 0)], [("live", 5)], [("live", 6)]]
    figures = clock.summary()
    assert figures is not None
    assert figures.dropped_frames == clock.dropped_frames == 4
    assert 0 < figures.latency_ms.p50 <= figures.latency_ms.p95 <= figures.latency_ms.max


def test_several_workers_keep_the_order() -> None:
    source = PushedSource()
    engine = FakeEngine(workers=4, delay_s=0.003)
    results = analyse(source.as_source(), analyser=engine.as_engine())

    def send() -> None:
        source.push(80)
        assert until(lambda: any(79 in batch for batch in engine.batches))
        source.close()

    sender = threading.Thread(target=send)
    sender.start()
    seen = indices(results)
    sender.join()
    assert all(one < other for one, other in pairwise(seen))
    assert seen[-1] == 79
    assert sorted(index for batch in engine.batches for index in batch) == seen


def test_a_consumer_that_does_not_read_makes_nothing_pile_up() -> None:
    source, engine = PushedSource(), GatedEngine()
    with closing(analyse(source.as_source(), analyser=engine.as_engine())) as results:
        threading.Timer(0.02, source.push).start()
        assert next(results).frame.index == 0
        source.push(50)
        assert until(lambda: len(engine.calls) == 2)  # one ahead of the consumer, no more
        source.push(50)
        first, second = indices(islice(results, 2))
        assert (first, second) == (engine.calls[1][0][1], 100)


def test_closing_the_source_ends_the_analysis_and_closing_the_analysis_the_source() -> None:
    source = PushedSource()
    results = analyse(source.as_source(), analyser=GatedEngine().as_engine())
    threading.Timer(0.05, source.close).start()
    assert list(results) == []
    source = PushedSource()
    with closing(analyse(source.as_source(), analyser=GatedEngine().as_engine())) as results:
        threading.Timer(0.02, source.push).start()
        next(results)
    assert source.closed


def test_an_error_of_the_source_surfaces() -> None:
    source = PushedSource()
    results = analyse(source.as_source(), analyser=GatedEngine().as_engine())

    def break_off() -> None:
        source.push()
        source.fail(OSError("unplugged"))

    threading.Timer(0.02, break_off).start()
    assert next(results).frame.index == 0
    with pytest.raises(OSError, match="unplugged"):
        next(results)


@pytest.mark.parametrize(("pause_s", "tracks"), [(0.0, {1}), (5.0, {1, 2})])
def test_tracks_outlive_dropped_frames_but_not_a_long_silence(pause_s: float, tracks: set[int]) -> None:
    source, engine = PushedSource(), GatedEngine()
    numbers: set[int] = set()
    with closing(analyse(source.as_source(), analyser=engine.as_engine())) as results:

        def take(count: int, pause_s: float) -> None:
            for _ in range(count):
                threading.Timer(0.01, lambda: source.push(pause_s=pause_s)).start()
                numbers.update(nodule.track_id for nodule in next(results).nodules)

        take(5, 0.0)
        engine.shut()
        source.push()
        assert until(lambda: engine.has_been_called(6))  # the others come while it is held there
        source.push(7)
        engine.open()
        indices(islice(results, 2))
        take(1, pause_s)
        take(4, 0.0)  # live, a track is shown once it is confirmed
    assert numbers == tracks


class _TimedSource(FakeSource):
    """Frames that came at these times, none of which is dropped."""

    def __init__(self, times_s: Sequence[float]) -> None:
        super().__init__(len(times_s))
        self._times_s = times_s

    def frames(self) -> Iterator[Frame]:
        for index, time_s in enumerate(self._times_s):
            yield replace(frame(index), time_s=time_s)


def followed_live(times_s: Sequence[float]) -> PatientAggregator:
    """What is known of a nodule that is seen at each of these times, without looking ahead."""
    engine = FakeEngine()
    aggregator = PatientAggregator(engine.settings)
    follower = ClipFollower(aggregator.settings, live=True)
    with Scheduler(engine.as_engine(), [(_TimedSource(times_s).as_source(), follower)]) as scheduler:
        assert len(list(results(scheduler.queues[0], follower, aggregator))) == len(times_s)
    return aggregator


@pytest.mark.parametrize(
    ("interval_s", "tracks", "too_slow"),
    [(0.5, 1, False), (1.43, 1, False), (4.0, 1, False), (9.0, 1, False), (11.0, 0, True)],
)
def test_what_counts_as_silence_depends_on_the_rate(interval_s: float, tracks: int, too_slow: bool) -> None:
    aggregator = followed_live([n * interval_s for n in range(12)])
    assert [track.qualifies for track in aggregator.tracks()] == [True] * tracks
    assert aggregator.is_too_slow("clip.mp4") is too_slow


def test_a_slow_source_whose_first_pictures_come_at_once_is_followed() -> None:
    times_s = [0.0, 0.001, 0.002, *(0.002 + 3.3 * n for n in range(1, 10))]  # as a camera's, after it was opened
    aggregator = followed_live(times_s)
    assert [track.supporting_frames for track in aggregator.tracks() if track.qualifies] == [
        5
    ]  # of nine, from the fifth on


def test_a_fast_source_that_pauses_is_not_followed_over_the_pause() -> None:
    times_s = [*(n / 25 for n in range(6)), *(3 + n / 25 for n in range(6))]
    aggregator = followed_live(times_s)
    assert len(aggregator.tracks()) == 2


def test_a_recording_has_no_latency() -> None:
    (result,) = analyse(FakeSource(1).as_source(), analyser=FakeEngine().as_engine())
    clock = LiveClock()
    clock.add(result)
    assert (result.latency_ms, clock.summary()) == (None, None)
