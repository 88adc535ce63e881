"""Streamer and the baselines on a clip of a few frames, with networks of random numbers."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamer.benchmark.agreement import agreement
from streamer.benchmark.baselines import OVERLAY, Baseline, BaselineName
from streamer.benchmark.clip import write_phantom
from streamer.benchmark.own import OwnAnalysis
from streamer.benchmark.passes import NetworkKind, Pass, stop_after
from streamer.benchmark.peer_networks import PeerNetworks, _EagerRunner
from streamer.errors import SettingsError
from streamer.settings import Settings
from tests.cli.command_line import clip_in, overlay_frames
from tests.random_weights import random_settings, write_joint_weights

FRAMES = 6
STAGES = {
    BaselineName.naive: ["decode", "detect", "segment", "classify", "draw", "encode"],
    BaselineName.ultralytics: ["decode, detect, track", "segment", "classify", "draw", "encode"],
    BaselineName.supervision: ["detect", "track", "segment", "classify", "draw"],
}
needs_lap = pytest.mark.skipif(importlib.util.find_spec("lap") is None, reason="lap is not installed")


def never() -> bool:
    return False


@pytest.fixture(scope="module")
def cpu_settings(random_engine_settings: Settings) -> Settings:
    return random_engine_settings.with_runtime(device="cpu", threads=1)


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As large as the detector's input, so that letterboxes cannot differ."""
    return clip_in(tmp_path_factory.mktemp("clip"), frames=FRAMES)


@pytest.fixture(scope="module")
def own(cpu_settings: Settings) -> OwnAnalysis:
    return OwnAnalysis(cpu_settings)


@pytest.fixture(scope="module")
def own_pass(own: OwnAnalysis, clip: Path, tmp_path_factory: pytest.TempPathFactory) -> Pass:
    return own.analyse(clip, tmp_path_factory.mktemp("own"), never)


def test_own_analysis_notes_every_stage_of_every_frame(own_pass: Pass) -> None:
    assert (own_pass.frames, own_pass.dropped_frames, len(own_pass.boxes)) == (FRAMES, 0, FRAMES)
    assert set(own_pass.stages_ms) >= {"decode", "detect", "segment", "classify", "track", "draw", "encode"}
    assert {len(times) for times in own_pass.stages_ms.values()} == {FRAMES}
    assert len(own_pass.latency_ms) == FRAMES
    assert all(0 < latency < 1000 * own_pass.elapsed_s for latency in own_pass.latency_ms)
    # No frame leaves before its own stages are over.
    for number, latency in enumerate(own_pass.latency_ms):
        assert latency > own_pass.stages_ms["detect"][number] + own_pass.stages_ms["encode"][number]


def test_own_analysis_stops_when_told(own: OwnAnalysis, clip: Path, tmp_path: Path) -> None:
    assert own.analyse(clip, tmp_path, stop_after(0)).frames == 1


def test_networks_alone(own: OwnAnalysis) -> None:
    times = own.networks_ms()
    assert list(times) == ["detector", "segmenter", "classifier"]
    assert min(times.values()) > 0


def test_joined_networks(clip: Path, tmp_path: Path) -> None:
    """Where segmenter and classifier run as one, so they do for us and for peers with our networks."""
    weights, results = tmp_path / "weights", tmp_path / "results"
    weights.mkdir()
    settings = random_settings(write_joint_weights(weights)).with_runtime(device="cpu", threads=1)
    own = OwnAnalysis(settings)
    assert list(own.networks_ms()) == ["detector", "segmenter, classifier"]
    ours = own.analyse(clip, results, never)
    theirs = Baseline(BaselineName.naive, NetworkKind.compiled, settings).analyse(clip, results, never)
    assert "segment, classify" in ours.stages_ms
    assert list(theirs.stages_ms) == ["decode", "detect", "segment, classify", "draw", "encode"]
    assert agreement(ours.boxes, theirs.boxes).share == 1


def test_published_networks_find_the_same_candidates_in_a_peer(tmp_path: Path) -> None:
    """Their compiled detector's output holds the gate's features behind the boxes, which are no boxes."""
    settings = Settings().with_runtime(device="cpu", backend="openvino", threads=1)
    clip = tmp_path / "phantom.mp4"
    write_phantom(clip)
    ours = OwnAnalysis(settings).analyse(clip, tmp_path, never)
    theirs = Baseline(BaselineName.naive, NetworkKind.compiled, settings).analyse(clip, tmp_path, never)
    assert any(ours.boxes)
    assert agreement(ours.boxes, theirs.boxes).same_boxes


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (BaselineName.naive, NetworkKind.torch),
        (BaselineName.supervision, NetworkKind.compiled),
        pytest.param(BaselineName.ultralytics, NetworkKind.torch, marks=needs_lap),
        pytest.param(BaselineName.naive, NetworkKind.compiled, marks=pytest.mark.slow),
        pytest.param(BaselineName.supervision, NetworkKind.torch, marks=pytest.mark.slow),
        pytest.param(BaselineName.ultralytics, NetworkKind.compiled, marks=[needs_lap, pytest.mark.slow]),
    ],
)
def test_baseline_finds_the_same_boxes(
    name: BaselineName, kind: NetworkKind, cpu_settings: Settings, clip: Path, own_pass: Pass, tmp_path: Path
) -> None:
    baseline = Baseline(name, kind, cpu_settings)
    for _ in range(2):  # nothing of the first pass is left in the second
        done = baseline.analyse(clip, tmp_path, never)
        assert done.frames == overlay_frames(tmp_path / OVERLAY) == FRAMES
        assert list(done.stages_ms) == STAGES[name]
        assert {len(times) for times in done.stages_ms.values()} == {FRAMES}
        assert len(done.latency_ms) == (0 if name is BaselineName.supervision else FRAMES)
        assert agreement(own_pass.boxes, done.boxes).share == 1
    assert baseline.analyse(clip, tmp_path, stop_after(0)).frames <= 1


def test_paper_networks_work_at_the_size_of_its_code(
    cpu_settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shapes: list[tuple[int, ...]] = []
    run = _EagerRunner.__call__

    def spy(runner: _EagerRunner, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        shapes.append(grey.shape)
        return run(runner, grey)

    monkeypatch.setattr(_EagerRunner, "__call__", spy)
    networks = PeerNetworks(cpu_settings, NetworkKind.paper)
    assert networks.predict_options["imgsz"] == [512, 512]
    frame = np.zeros((48, 64, 3), np.uint8)
    readings = networks.read(frame, np.array([(10, 10, 40, 30)], np.float32), lambda _: None)
    assert len(readings) == 1
    assert shapes == [(1, 512, 512)] * 2
    assert networks.environment().precision == "fp32"


def test_ultralytics_without_its_solver_is_told_with_the_line_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, cpu_settings: Settings
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(SettingsError, match="pip install lap"):
        Baseline(BaselineName.ultralytics, NetworkKind.torch, cpu_settings)
