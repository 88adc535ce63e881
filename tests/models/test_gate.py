"""The gate in front of the answers: its score, its file, and the engine that asks it."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.torch_cpu import TorchCpuBackend
from streamer.errors import WeightsError
from streamer.models.detector import Detector
from streamer.models.frame_features import anchors, frame_features
from streamer.models.gate import COLOURED, GATE_FILE, LIFTED, REJECTED, Gate, load_gate, save_gate
from streamer.models.loading import load_runner
from streamer.models.publish import export
from streamer.models.weights_manifest import GateEntry, read_manifest, write_entry, write_gate
from streamer.pipeline.thyroid import Engine
from streamer.settings import DetectionSettings, Settings
from streamer.types import Frame
from tests.random_weights import write_random_weights


def gate(min_score: float = 0.0, organ_score: float = -1e9, max_distance: float = 1e9, features: int = 3) -> Gate:
    """Passes what lies above the mean in its first two features; what is high in the last is a probe in the air."""
    weight = np.zeros((3, features), np.float32)
    weight[0, 0] = weight[1, 1] = weight[2, -1] = 1
    nothing = np.zeros((1, features), np.float32)
    mean, scale = np.full(features, 2, np.float32), np.full(features, 0.5, np.float32)
    axes = np.eye(features, dtype=np.float32)[:1]
    return Gate(
        mean=mean,
        scale=scale,
        known_weight=weight[:1],
        known_bias=np.zeros(1, np.float32),
        other_weight=nothing,
        other_bias=np.zeros(1, np.float32),
        score_weight=weight[1:],
        score_bias=np.array([0, -4], np.float32),
        axes=axes,
        gain=np.array([-0.75], np.float32),
        min_scores=(min_score, organ_score),
        max_distance=max_distance,
    )


def stored(folder: Path, made: Gate) -> None:
    detector = read_manifest(folder).models["detector"].sha256
    sha256 = save_gate(made, folder)
    entry = GateEntry(
        file=GATE_FILE,
        sha256=sha256,
        detector_sha256=detector,
        min_scores=made.min_scores,
        max_distance=made.max_distance,
        source="a test",
    )
    write_gate(folder, entry)


def test_a_frame_passes_from_the_threshold_on() -> None:
    features = np.array([[1.9, 9, 9, 0], [2.0, 9, 9, 0], [2.5, 0, 0, 0]], np.float32)
    assert gate().passes(features).tolist() == [False, True, True]
    assert gate(1.0).passes(features).tolist() == [False, False, True]
    assert gate(organ_score=0).passes(features).tolist() == [False, True, False]


def test_a_frame_is_held_against_the_kind_that_it_is_most_like() -> None:
    """Log-odds of the known kinds together against the other kinds together, as probabilities say."""
    two = replace(
        gate(),
        known_weight=np.array([[1, 0, 0], [0, 1, 0]], np.float32),
        known_bias=np.array([0, -1], np.float32),
        other_weight=np.array([[0, 0, 1], [0, 0, -1], [0, 0, 0]], np.float32),
        other_bias=np.array([0, 0, 0.5], np.float32),
    )
    standard = np.array([[1, 2, 3], [4, -1, -2]])
    likeness = np.exp([[1, 1, 3, -3, 0.5], [4, -2, -2, 2, 0.5]])
    expected = np.log(likeness[:, :2].sum(1) / likeness[:, 2:].sum(1))
    assert two.scores((2 + 0.5 * standard).astype(np.float32))[:, 0] == pytest.approx(expected, rel=1e-5)


def test_one_feature_that_goes_wild_counts_no_more_than_eight_deviations() -> None:
    assert gate().scores(np.array([[1e6, 2, 2]], np.float32))[:, 0].tolist() == [8.0]


def test_what_is_unlike_all_known_views_does_not_pass() -> None:
    """Along an axis on which known views vary twice as much as elsewhere, a step counts half."""
    features = np.array([[4, 2, 2], [2, 4, 2], [2, 2, 2]], np.float32)
    assert gate().distances(features) == pytest.approx(np.array([2, 4, 0]) / 3**0.5)
    assert gate(max_distance=2).passes(features).tolist() == [True, False, True]


def test_a_rejection_says_why() -> None:
    features = np.array([[2, 2, 2], [1, 2, 2], [1, 2, 5], [2, 2, 5]], np.float32)
    assert gate().rejections(features) == ["", REJECTED, LIFTED, ""]


def test_features_stand_behind_the_anchors() -> None:
    size_wh = (64, 32)
    raw = np.zeros((2, 5, anchors(size_wh) + 2), np.float32)
    raw[:, :, -2:] = np.arange(10).reshape(5, 2)
    found = frame_features(raw, size_wh)
    assert found is not None
    assert found.tolist() == [list(range(10))] * 2
    assert frame_features(raw[:, :, :-2], size_wh) is None
    assert anchors(size_wh) == 8 * 4 + 4 * 2 + 2 * 1


def test_a_gate_of_another_detector_or_damaged_is_refused(tmp_path: Path) -> None:
    write_random_weights(tmp_path)
    assert load_gate(tmp_path, read_manifest(tmp_path)) is None
    stored(tmp_path, gate(0.25))
    found = load_gate(tmp_path, read_manifest(tmp_path))
    assert found is not None
    assert (found.min_scores, found.max_distance, found.mean.tolist()) == ((0.25, -1e9), 1e9, [2, 2, 2])
    (tmp_path / GATE_FILE).write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match="is damaged"):
        load_gate(tmp_path, read_manifest(tmp_path))
    old = {
        "mean": np.zeros(3, np.float32),
        "weight": np.zeros((3, 3), np.float32),
    }  # an earlier gate's
    content = save(old)
    (tmp_path / GATE_FILE).write_bytes(content)
    manifest = read_manifest(tmp_path)
    assert manifest.gate is not None
    write_gate(tmp_path, manifest.gate.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()}))
    with pytest.raises(WeightsError, match=r"no gate of this version: repeat `streamer fit-gate`"):
        load_gate(tmp_path, read_manifest(tmp_path))
    manifest = read_manifest(tmp_path)
    other = manifest.models["detector"].model_copy(update={"sha256": "of another"})
    with pytest.raises(WeightsError, match="repeat `streamer fit-gate`"):
        load_gate(tmp_path, manifest.model_copy(update={"models": {**manifest.models, "detector": other}}))
    write_entry(tmp_path, "classifier", manifest.models["classifier"])
    assert read_manifest(tmp_path).gate is not None
    write_entry(tmp_path, "detector", other)  # a new detector: the gate knows nothing of its features
    assert read_manifest(tmp_path).gate is None


def test_the_engine_looks_for_nothing_in_a_frame_that_does_not_pass(tmp_path: Path) -> None:
    write_random_weights(tmp_path)
    stored(tmp_path, gate(-1e9, features=896))
    detection = {"confidence": 1e-7}
    settings = Settings.model_validate(
        {"weights": str(tmp_path), "detection": detection, "runtime": {"threads": 1, "precision": "fp32"}}
    )
    image = np.random.default_rng(0).integers(0, 255, (64, 96), np.uint8)
    frame = Frame(image=np.repeat(image[:, :, None], 3, 2), index=0, time_s=0.0, video="clip")
    flow = frame.image.copy()
    flow[10:40, 20:60] = (220, 30, 10)
    engine = Engine(settings)
    passing, coloured = engine.analyse([frame, replace(frame, image=flow)])
    assert (passing.rejected, coloured.rejected, coloured.findings) == ("", COLOURED, ())
    assert passing.findings
    engine._gate = gate(1e9, features=896)
    (rejected,) = engine.analyse([frame])
    assert (rejected.rejected, rejected.findings) == (REJECTED, ())
    engine._gate = None  # as with `detection.gate: false`
    (anyway,) = engine.analyse([replace(frame, image=flow)])
    assert anyway.rejected == ""
    assert anyway.findings


def test_openvino_files_made_before_the_gate_give_the_features_that_torch_gives(tmp_path: Path) -> None:
    write_random_weights(tmp_path)
    export(tmp_path)
    stored(tmp_path, gate(features=896))
    manifest = read_manifest(tmp_path)
    entry = manifest.models["detector"]
    grey = np.random.default_rng(0).integers(0, 255, (64, 96), np.uint8)
    found = []
    for backend in (TorchCpuBackend(), OpenVinoBackend(1, "fp32")):
        detector = Detector(load_runner(tmp_path, "detector", manifest, backend), entry, DetectionSettings())
        features = detector.with_features([grey])[1]
        assert features is not None
        assert backend.warnings == ()
        found.append(features)
    np.testing.assert_allclose(found[1], found[0], rtol=1e-3, atol=1e-4)
    assert np.abs(found[0]).max() > 0
