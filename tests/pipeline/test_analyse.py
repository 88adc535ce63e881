"""The way of a frame: once, in order, bounded, the same however it is run; and a clean end from anywhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import InputError
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import analyse, results
from streamer.pipeline.follower import ClipFollower
from streamer.pipeline.scheduler import Scheduler
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings, TrackingSettings, load_settings
from streamer.sources import open_source
from streamer.types import Finding, FrameResult
from tests.fakes import FakeEngine, FakeSource, finding
from tests.sources.media import read_number, write_clip

AHEAD = 7 + TrackingSettings().look_ahead_frames
"""Frames in the decoder's queue and hands, and those that wait for what comes after them."""


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    left = [thread.name for thread in set(threading.enumerate()) - before if thread.name.startswith(("deco", "anal"))]
    assert left == []


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", codec="libx264", frames=14)


def indices(results: Iterator[FrameResult]) -> list[int]:
    return [result.frame.index for result in results]


@pytest.mark.parametrize("frames", [0, 1, 2, 50])
@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (1, 3), (3, 2), (8, 1), (8, 3)])
def test_every_frame_once_and_in_order(frames: int, batch: int, workers: int) -> None:
    source = FakeSource(frames)
    engine = FakeEngine(workers=workers, batch_frames=batch)
    assert indices(analyse(source.as_source(), analyser=engine.as_engine())) == list(range(frames))
    assert sorted(index for part in engine.batches for index in part) == list(range(frames))
    assert all(len(part) == batch for part in engine.batches if frames - 1 not in part)
    assert source.complete


def test_a_file_is_opened_read_and_closed(clip: Path) -> None:
    results = list(analyse(clip, analyser=FakeEngine().as_engine()))
    assert [read_number(result.frame.image) for result in results] == list(range(14))
    assert [result.frame.time_s for result in results] == pytest.approx([index / 25 for index in range(14)])
    assert {result.frame.video for result in results} == {"clip.mp4"}
    assert set(results[0].timing_ms) == {"decode", "detect", "track"}


def test_an_open_source_stays_its_owners(clip: Path) -> None:
    with open_source(clip) as source:
        assert indices(analyse(source, analyser=FakeEngine().as_engine())) == list(range(14))
        assert source.complete


def test_a_path_that_is_no_clip(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file or folder absent\.mp4"):
        next(analyse(tmp_path / "absent.mp4", analyser=FakeEngine().as_engine()))


def test_settings_are_the_engines_or_the_studys() -> None:
    def found(index: int) -> tuple[Finding, ...]:
        return (finding(),) if index < 6 else ()

    settings = Settings.model_validate({"study": {"min_track_frames": 7}})
    engine = FakeEngine(found, settings=settings)
    own = [result.patient_malignancy for result in analyse(FakeSource(20).as_source(), analyser=engine.as_engine())]
    assert own == [None] * 20
    given = analyse(FakeSource(20).as_source(), analyser=engine.as_engine(), aggregator=PatientAggregator(Settings()))
    assert [result.patient_malignancy for result in given] == [0.5] * 20
    with pytest.raises(ValueError, match="not both"):
        next(analyse(FakeSource(2).as_source(), settings, analyser=engine.as_engine()))


def test_clips_of_a_study_share_its_numbers() -> None:
    engine, aggregator = FakeEngine(), PatientAggregator(Settings())
    numbers = []
    for name in ("a.mp4", "b.mp4"):
        results = analyse(FakeSource(6, name=name).as_source(), analyser=engine.as_engine(), aggregator=aggregator)
        numbers.append({nodule.track_id for result in results for nodule in result.nodules})
    assert numbers == [{1}, {2}]
    assert [(track.video, track.supporting_frames) for track in aggregator.tracks()] == [("a.mp4", 6), ("b.mp4", 6)]


@pytest.mark.parametrize(("live", "before"), [(False, 1), (True, 9)])
def test_a_nodule_counts_from_its_first_frame_on_in_a_recording_and_live_from_the_fifth_that_is_shown(
    live: bool, before: int
) -> None:
    def found(index: int) -> tuple[Finding, ...]:
        return (finding(),) if index else ()

    engine = FakeEngine(found)
    aggregator = PatientAggregator(engine.settings)
    follower = ClipFollower(aggregator.settings, live=live)
    with Scheduler(engine.as_engine(), [(FakeSource(12).as_source(), follower)]) as scheduler:
        shown = list(results(scheduler.queues[0], follower, aggregator))
    assert [any(nodule.qualifies for nodule in one.nodules) for one in shown] == [False] * before + [True] * (
        12 - before
    )
    assert [one.patient_malignancy is None for one in shown] == [True] * before + [False] * (12 - before)


def test_by_the_papers_rules_one_box_in_one_frame_decides() -> None:
    def found(index: int) -> tuple[Finding, ...]:
        return (finding(malignancy=0.66, confidence=0.3),) if index == 30 else ()

    analyser, patient = FakeEngine(found).as_engine(), PatientAggregator(load_settings("paper"))
    results = list(analyse(FakeSource(60).as_source(), analyser=analyser, aggregator=patient))
    assert [result.patient_malignancy for result in results] == [None] * 30 + [0.66] * 30
    assert patient.decision(SweepOperatingPoint(0.65)) == "malignant"
    usual = PatientAggregator(Settings())
    assert {
        result.patient_malignancy for result in analyse(FakeSource(60).as_source(), analyser=analyser, aggregator=usual)
    } == {None}


def test_a_nodule_of_four_frames_counts_in_none_of_them() -> None:
    def found(index: int) -> tuple[Finding, ...]:
        return (finding(),) if 2 <= index < 6 else ()

    settings = Settings.model_validate({"tracking": {"confidence": 0.0}, "study": {"min_track_frames": 5}})
    results = list(analyse(FakeSource(20).as_source(), analyser=FakeEngine(found, settings=settings).as_engine()))
    assert not any(nodule.qualifies for result in results for nodule in result.nodules)
    assert {result.patient_malignancy for result in results} == {None}


@pytest.mark.parametrize("taken", [1, 5])
def test_closing_early_stops_at_once(taken: int) -> None:
    source = FakeSource(10_000)
    results = analyse(source.as_source(), analyser=FakeEngine().as_engine())
    assert indices(islice(results, taken)) == list(range(taken))
    results.close()
    read = source.read
    assert read < 100
    time.sleep(0.05)
    assert source.read == read


def test_an_error_of_the_consumer_stops_the_threads() -> None:
    def consume() -> None:
        for _ in analyse(FakeSource(10_000).as_source(), analyser=FakeEngine().as_engine()):
            raise KeyError("consumer")

    with pytest.raises(KeyError, match="consumer"):
        consume()


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (1, 3), (8, 2)])
@pytest.mark.parametrize("fails_after", [0, 1, 13])
def test_an_error_of_the_source_comes_after_the_frames_before_it(batch: int, workers: int, fails_after: int) -> None:
    engine = FakeEngine(workers=workers, batch_frames=batch)
    results = analyse(FakeSource(30, fails_after=fails_after).as_source(), analyser=engine.as_engine())
    seen: list[int] = []
    with pytest.raises(OSError, match="the disk is gone"):
        seen.extend(result.frame.index for result in results)
    # `extend` keeps what came before the error.
    assert seen == list(range(fails_after))


def test_an_error_of_the_engine_surfaces() -> None:
    def findings(index: int) -> tuple[()]:
        raise ValueError(f"frame {index}")

    with pytest.raises(ValueError, match="frame 0"):
        list(analyse(FakeSource(30).as_source(), analyser=FakeEngine(findings).as_engine()))


@pytest.mark.parametrize(("batch", "workers"), [(1, 1), (1, 3), (4, 2)])
def test_the_source_is_never_far_ahead(batch: int, workers: int) -> None:
    """However slow the consumer: queue, one in hand, a batch for each worker and one being filled."""
    source = FakeSource(200)
    results = analyse(source.as_source(), analyser=FakeEngine(workers=workers, batch_frames=batch).as_engine())
    for result in islice(results, 30):
        if result.frame.index % 10 == 0:
            time.sleep(0.05)
        assert source.read <= result.frame.index + AHEAD + batch * (workers + 1) + 1
    results.close()


def test_two_clips_at_once_share_an_engine() -> None:
    engine = FakeEngine(lambda index: (finding(malignancy=index / 100),))
    pairs = zip(
        analyse(FakeSource(40, name="a").as_source(), analyser=engine.as_engine()),
        analyse(FakeSource(40, name="b").as_source(), analyser=engine.as_engine()),
        strict=True,
    )
    for index, pair in enumerate(pairs):
        for result in pair:
            assert (result.frame.index, result.nodules[0].malignancy) == (index, index / 100)


def flat(results: Iterator[FrameResult]) -> list[list[tuple[object, ...]]]:
    """Everything that was found, comparable."""
    return [
        [
            (
                n.track_id,
                *n.box_xyxy,
                n.track_confidence,
                n.malignancy,
                n.long_axis_px,
                n.short_axis_px,
                n.area_px,
                n.contour_xy.tolist(),
            )
            for n in result.nodules
        ]
        for result in results
    ]


def run_engine(engine: Engine, clip: Path, **runtime: int) -> list[list[tuple[object, ...]]]:
    changed = Engine.__new__(Engine)  # the same networks under other settings: loading takes seconds
    changed.__dict__.update(engine.__dict__, settings=engine.settings.with_runtime(**runtime))
    return flat(analyse(clip, analyser=changed))


def test_results_do_not_depend_on_the_batch(engine: Engine, clip: Path) -> None:
    reference = run_engine(engine, clip, batch_frames=1)
    assert len(reference) == 14
    assert all(len(found) == 2 for found in reference)
    for batch in (3, 8):
        assert run_engine(engine, clip, batch_frames=batch) == reference


def test_results_do_not_depend_on_threads(engine: Engine, clip: Path) -> None:
    two = Engine(engine.settings.with_runtime(threads=2))
    assert two.backend.workers != engine.backend.workers
    assert flat(analyse(clip, analyser=two)) == flat(analyse(clip, analyser=engine))


def test_results_of_both_backends_agree(engine: Engine, clip: Path) -> None:
    torch_engine = Engine(engine.settings.with_runtime(backend="torch"))
    assert "torch" in torch_engine.backend.device
    for ours, theirs in zip(analyse(clip, analyser=engine), analyse(clip, analyser=torch_engine), strict=True):
        assert [nodule.track_id for nodule in ours.nodules] == [nodule.track_id for nodule in theirs.nodules]
        for one, other in zip(ours.nodules, theirs.nodules, strict=True):
            np.testing.assert_allclose(one.box_xyxy, other.box_xyxy, atol=0.05)
            assert one.track_confidence == pytest.approx(other.track_confidence, rel=1e-3)
            assert one.malignancy == pytest.approx(other.malignancy, abs=1e-4)
            assert one.area_px == pytest.approx(other.area_px, rel=0.02)
