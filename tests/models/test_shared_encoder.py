"""Segmenter and classifier as one network: the same answers, and apart again where they do not belong together."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from streamer.backends import Backend
from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.torch_cpu import TorchCpuBackend
from streamer.geometry import CropWindow
from streamer.models.classifier import Classifier
from streamer.models.crop_analyser import (
    Roi,
    RoiPrediction,
    SeparateCropAnalyser,
    SharedCropAnalyser,
    load_crop_analyser,
)
from streamer.models.grad_cam import classifier_heat_maps
from streamer.models.loading import load_runner
from streamer.models.networks import load_network, save_half
from streamer.models.publish import publish
from streamer.models.segmenter import Segmenter
from streamer.models.weights_manifest import HEAT_ABOVE_CHANCE, ModelEntry, ReportedFigure, read_manifest, write_entry
from streamer.pipeline.thyroid import Engine
from streamer.settings import ClassificationSettings
from tests.cli.command_line import Cli
from tests.fakes import frame
from tests.pipeline.test_thyroid import comparable, speckle
from tests.random_weights import entry, random_settings, write_joint_weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_joint_weights(tmp_path_factory.mktemp("joint"))


@pytest.fixture(params=[lambda: OpenVinoBackend(1, precision="fp32"), TorchCpuBackend], ids=["openvino", "torch"])
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


def views(count: int) -> list[Roi]:
    grey = speckle(3)[..., 0]
    return [Roi(grey, (5.0 + 9 * number, 4.0, 60.0 + 7 * number, 50.0)) for number in range(count)]


def silent(stage: str) -> None:
    """Nobody looks at the time."""


def numbers(predictions: Sequence[RoiPrediction]) -> list[float]:
    return [value for one in predictions for value in (one.malignancy, one.outline.area_px, one.outline.long_axis_px)]


@pytest.mark.parametrize("mirrored", [True, False])
def test_it_reads_what_the_two_read_apart(folder: Path, backend: Backend, mirrored: bool) -> None:
    manifest, settings = read_manifest(folder), ClassificationSettings(mirrored=mirrored)
    joint = load_crop_analyser(folder, manifest, backend, settings)
    assert isinstance(joint, SharedCropAnalyser)
    apart = SeparateCropAnalyser(
        Segmenter(load_runner(folder, "segmenter", manifest, backend), manifest.models["segmenter"]),
        Classifier(load_runner(folder, "classifier", manifest, backend), manifest.models["classifier"], settings),
    )
    laps: list[str] = []
    found, expected = joint(views(3), laps.append), apart(views(3), laps.append)
    assert laps == ["segment, classify", "segment", "classify"]
    assert [one.box_xyxy for one in found] == [view.box_xyxy for view in views(3)]
    assert len({one.malignancy for one in found}) == 3
    # Sums in another order: an outline may differ by a pixel where a logit is next to the cut.
    np.testing.assert_allclose([one.malignancy for one in found], [one.malignancy for one in expected], atol=1e-4)
    np.testing.assert_allclose(numbers(found), numbers(expected), atol=4)
    assert {one.heat for one in expected} == {None}  # apart, nobody asks for the map
    assert joint([], laps.append) == apart([], laps.append) == []


def test_a_mirror_image_counts_as_much(folder: Path, backend: Backend) -> None:
    """The mirrored frame's nodule has the same malignancy, as both views are looked at."""
    reader = load_crop_analyser(folder, read_manifest(folder), backend, ClassificationSettings(mirrored=True))
    (view,) = views(1)
    x0, y0, x1, y1 = view.box_xyxy
    width = view.grey.shape[1]
    mirrored = Roi(np.ascontiguousarray(view.grey[:, ::-1]), (width - x1, y0, width - x0, y1))
    (one,), (other,) = reader([view], silent), reader([mirrored], silent)
    assert one.malignancy == pytest.approx(other.malignancy, abs=1e-3)


@pytest.mark.parametrize("mirrored", [True, False])
def test_its_map_is_that_of_the_classifier_alone(folder: Path, backend: Backend, mirrored: bool) -> None:
    manifest, settings = read_manifest(folder), ClassificationSettings(mirrored=mirrored)
    heat_maps = classifier_heat_maps(folder, manifest, settings)
    (roi,) = views(1)
    (found,) = load_crop_analyser(folder, manifest, backend, settings)([roi], silent)
    assert found.heat is not None
    window = CropWindow.around(roi.box_xyxy, manifest.models["segmenter"].preprocessing.margin)
    assert found.heat.window_xyxy == (window.left, window.top, window.right, window.bottom)
    alone = heat_maps._evidence(heat_maps.crop(roi.grey, roi.box_xyxy))
    cells = np.maximum(found.heat.cells, 0)
    assert cells.shape == alone.shape  # the network's own cells: repeated ones would say more all together
    np.testing.assert_allclose(cells, alone, atol=1e-4)


def test_weights_whose_map_is_no_better_than_chance_give_none(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "weights")
    model = read_manifest(folder).models["classifier"]
    low = ReportedFigure(
        name=HEAT_ABOVE_CHANCE, value=0.0, low=-0.1, high=0.1, data="s", split="val", count=9, clusters=9, method="m"
    )
    write_entry(tmp_path / "weights", "classifier", model.model_copy(update={"figures": (low,)}))
    manifest = read_manifest(tmp_path / "weights")
    analyser = load_crop_analyser(tmp_path / "weights", manifest, TorchCpuBackend(), ClassificationSettings())
    assert analyser(views(1), silent)[0].heat is None


def test_an_engine_runs_it(folder: Path) -> None:
    engine = Engine(random_settings(folder).with_runtime(device="cpu", backend="openvino", threads=1))
    frames = [frame(index, image=speckle(index)) for index in range(3)]
    together = engine.analyse(frames)
    assert set(together[0].timing_ms) == {"detect", "segment, classify"}
    assert [comparable(found) for found in together] == [comparable(engine.analyse([one])[0]) for one in frames]


@pytest.mark.parametrize("change", ["another classifier", "another crop"])
def test_what_does_not_belong_together_runs_apart(folder: Path, tmp_path: Path, change: str) -> None:
    shutil.copytree(folder, tmp_path / "weights")
    entry = read_manifest(folder).models["segmenter"]
    if change == "another classifier":
        entry = entry.model_copy(update={"encoder_from": "0" * 64})
    else:
        preprocessing = entry.preprocessing.model_copy(update={"margin": 0.5})
        entry = entry.model_copy(update={"preprocessing": preprocessing})
    write_entry(tmp_path / "weights", "segmenter", entry)
    manifest = read_manifest(tmp_path / "weights")
    reader = load_crop_analyser(tmp_path / "weights", manifest, TorchCpuBackend(), ClassificationSettings())
    assert isinstance(reader, SeparateCropAnalyser)


def test_a_new_classifier_parts_them_and_says_so(
    folder: Path, tmp_path: Path, cli: Cli, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    exported: list[Path] = []
    monkeypatch.setattr("streamer.models.publish.export", exported.append)  # it takes long; test_quantise.py has it
    weights, run = tmp_path / "weights", changed_classifier(folder, tmp_path, "features.conv0.weight")
    shutil.copytree(folder, weights)
    assert cli("publish", run, "--weights", weights) == 0
    assert exported == [weights]
    printed = capsys.readouterr().out
    assert "no longer share an encoder: `streamer train segmenter` joins them again" in printed
    assert "no int8 version of detector, segmenter, classifier: make it with `streamer quantise`" in printed
    assert not read_manifest(weights).one_encoder


def test_a_new_classifier_on_the_same_encoder_does_not_part_them(folder: Path, tmp_path: Path) -> None:
    weights, run = tmp_path / "weights", changed_classifier(folder, tmp_path, "classifier.0.weight")
    shutil.copytree(folder, weights)
    assert publish(run, weights) == ["classifier"]
    models = read_manifest(weights).models
    assert models["segmenter"].encoder_from == models["classifier"].sha256 != entry_of(folder).sha256
    assert read_manifest(weights).one_encoder


@pytest.mark.parametrize("spoil", ["apart", "damaged", "absent"])
def test_only_what_ran_as_one_stays_together(folder: Path, tmp_path: Path, spoil: str) -> None:
    weights, run = tmp_path / "weights", changed_classifier(folder, tmp_path, "classifier.0.weight")
    if spoil != "absent":
        shutil.copytree(folder, weights)
        segmenter = read_manifest(weights).models["segmenter"]
        other = segmenter.model_copy(update={"encoder_from": "0" * 64})
        write_entry(weights, "segmenter", segmenter if spoil == "damaged" else other)
    if spoil == "damaged":
        (weights / "segmenter.safetensors").write_bytes(b"")
    publish(run, weights)
    assert not read_manifest(weights).one_encoder


def changed_classifier(folder: Path, tmp_path: Path, parameter: str) -> Path:
    """A run folder of the folder's classifier, of which one number is another."""
    run = tmp_path / "run"
    run.mkdir()
    classifier = load_network(folder, "classifier", read_manifest(folder))
    classifier.get_parameter(parameter).data.flatten()[0] += 1
    write_entry(
        run, "classifier", entry("classifier", save_half(classifier.state_dict(), run / "classifier.safetensors"))
    )
    return run


def entry_of(folder: Path) -> ModelEntry:
    return read_manifest(folder).models["classifier"]
