"""The engine: from frames to findings, the same in any company."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from streamer.models.registry import TASKS
from streamer.models.weights_manifest import SweepSpread
from streamer.pipeline.analyser import FrameFindings
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings, StudySettings
from streamer.types import Frame, Image
from tests.fakes import frame


def speckle(seed: int, width: int = 120, height: int = 90) -> Image:
    grey = np.random.default_rng(seed).integers(0, 256, (height, width, 1), np.uint8)
    return np.repeat(grey, 3, axis=2)


def comparable(found: FrameFindings) -> list[tuple[object, ...]]:
    return [(f.box_xyxy, f.confidence, f.malignancy, f.area_px, f.contour_xy.tolist()) for f in found.findings]


def test_findings_lie_in_the_frame(engine: Engine) -> None:
    (found,) = engine.analyse([frame(0, image=speckle(0))])
    assert len(found.findings) == engine.settings.detection.max_nodules
    for finding in found.findings:
        left, top, right, bottom = finding.box_xyxy
        assert 0 <= left < right <= 120
        assert 0 <= top < bottom <= 90
        assert 0 <= finding.malignancy <= 1
        assert 0 < finding.confidence <= 1
        assert finding.contour_xy.dtype == np.int32
        if len(finding.contour_xy):
            assert finding.contour_xy.min() >= 0
            assert (finding.contour_xy.max(axis=0) < (120, 90)).all()
            assert finding.long_axis_px >= finding.short_axis_px >= 1
        else:
            assert finding.area_px == finding.long_axis_px == finding.short_axis_px == 0
    assert set(found.timing_ms) == {"detect", "segment", "classify"}


def test_a_frames_findings_do_not_depend_on_its_company(engine: Engine) -> None:
    frames = [frame(index, image=speckle(index)) for index in range(4)]
    alone = [comparable(engine.analyse([one])[0]) for one in frames]
    together = [comparable(found) for found in engine.analyse(frames)]
    assert together == alone


def test_sizes_may_differ_within_a_batch(engine: Engine) -> None:
    frames = [frame(0, image=speckle(0)), frame(1, image=speckle(1, 1, 1)), frame(2, image=speckle(2, 31, 400))]
    found = engine.analyse(frames)
    assert [one.frame.index for one in found] == [0, 1, 2]
    assert [comparable(one) for one in found] == [comparable(engine.analyse([one])[0]) for one in frames]


def test_threads_share_it(engine: Engine) -> None:
    frames = [frame(index, image=speckle(index)) for index in range(12)]
    expected = [comparable(engine.analyse([one])[0]) for one in frames]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda one: comparable(engine.analyse([one])[0]), frames))
    assert found == expected


def test_colour_counts_only_as_grey(engine: Engine) -> None:
    """The same luma in another colour gives the same findings."""
    grey = np.full((90, 120, 3), 76, np.uint8)
    red = np.zeros((90, 120, 3), np.uint8)
    red[..., 0] = 254  # 0.299 * 254 = 76 (ITU-R BT.601)
    pair = [Frame(image=image, index=0, time_s=0.0, video="clip") for image in (grey, red)]
    first, second = engine.analyse(pair)
    assert comparable(first) == comparable(second)


def test_no_detection_no_crop(engine: Engine) -> None:
    detection = Settings().detection.model_copy(update={"confidence": 1.0})
    tracking = Settings().tracking.model_copy(update={"confidence": 1.0, "candidate_confidence": 1.0})
    blind = Engine(engine.settings.model_copy(update={"detection": detection, "tracking": tracking}))
    (found,) = blind.analyse([frame(0, image=speckle(0))])
    assert found.findings == ()


def test_threshold_is_the_weights_unless_set(engine: Engine, random_engine_settings: Settings) -> None:
    assert engine.threshold == engine.manifest.models["classifier"].operating_point
    changed = Engine.__new__(Engine)
    study = StudySettings(threshold=0.0)
    changed.__dict__.update(engine.__dict__, settings=random_engine_settings.model_copy(update={"study": study}))
    assert changed.threshold == 0.0


def test_the_point_of_a_sweep_rises_with_its_frames_unless_the_settings_hold_it(
    engine: Engine, random_engine_settings: Settings
) -> None:
    entry = engine.manifest.models["classifier"]
    spread = SweepSpread(deviation=0.6, correlation_frames=3.0, mean=-0.6, reading_deviation=0.9, source="simulated")
    models = {**engine.manifest.models, "classifier": entry.model_copy(update={"sweep": spread})}
    held = Engine.__new__(Engine)
    held.__dict__.update(engine.__dict__, manifest=engine.manifest.model_copy(update={"models": models}))
    assert held.operating_point.over(40) > held.operating_point.over(1) + 0.05
    settings = random_engine_settings.model_copy(update={"study": StudySettings(threshold_rises=False, threshold=0.65)})
    held.__dict__.update(settings=settings)
    assert [held.operating_point.over(frames) for frames in (1, 5, 500)] == [0.65] * 3


def test_versions_name_what_runs(engine: Engine) -> None:
    assert [version.role for version in engine.versions] == list(TASKS)
    assert all(len(version.sha256) == 64 for version in engine.versions)


@pytest.mark.parametrize(("asked", "expected"), [(0, 1), (5, 5)])
def test_batch_is_the_backends_unless_set(engine: Engine, asked: int, expected: int) -> None:
    changed = Engine.__new__(Engine)
    changed.__dict__.update(engine.__dict__, settings=engine.settings.with_runtime(batch_frames=asked))
    assert changed.batch_size == expected
