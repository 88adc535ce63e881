"""The int8 version of a network: stale, damaged, missing or miscalculated is found before anything runs."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import openvino
import pytest
import torch
from torch import nn

from streamer.backends.openvino import OpenVinoBackend
from streamer.errors import WeightsError
from streamer.models.architectures import GreyInput
from streamer.models.loading import load_runner
from streamer.models.openvino_files import NetworkFiles, agree, probe_image, summary
from streamer.models.publish import publish
from streamer.models.weights import openvino_files
from streamer.models.weights_manifest import Int8Version, read_manifest, write_entry


class Logits(nn.Module):
    """Two numbers an image: its mean, and one that is given."""

    def __init__(self, second: float) -> None:
        super().__init__()
        self.second = nn.Parameter(torch.tensor(second))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        mean = image.mean(dim=(1, 2, 3))
        return torch.stack([mean, 0 * mean + self.second], dim=1)


def ir(second: float) -> object:
    return OpenVinoBackend(1).converted(
        lambda: GreyInput(Logits(second), 0.0, 1.0).eval(), (64, 64), f"logits {second}"
    )


@pytest.fixture
def folder(weights_folder: Path, tmp_path: Path) -> Path:
    """Random weights whose classifier has an "int8 version" that gives 0.5 for the second logit."""
    folder = tmp_path / "weights"
    shutil.copytree(weights_folder, folder)
    entry = read_manifest(folder).models["classifier"]
    xml, binary = openvino_files(folder, "int8", "classifier")
    xml.parent.mkdir()
    openvino.save_model(ir(0.5), xml)
    probe = summary(OpenVinoBackend(1).ready(ir(0.5))(probe_image((64, 64))))
    version = Int8Version(
        file="int8/classifier.xml",
        xml_sha256=hashlib.sha256(xml.read_bytes()).hexdigest(),
        bin_sha256=hashlib.sha256(binary.read_bytes()).hexdigest(),
        weights_sha256=entry.sha256,
        preprocessing=entry.preprocessing,
        calibration={"here": 3},
        fp32_layers=(),
        versions={},
        correlation=1.0,
        probe=probe,
    )
    write_entry(folder, "classifier", entry.model_copy(update={"int8": version}))
    return folder


def change(folder: Path, **values: object) -> None:
    entry = read_manifest(folder).models["classifier"]
    assert entry.int8 is not None
    write_entry(folder, "classifier", entry.model_copy(update={"int8": entry.int8.model_copy(update=values)}))


def complaint(folder: Path) -> str:
    with pytest.raises(WeightsError) as caught:
        load_runner(folder, "classifier", read_manifest(folder), OpenVinoBackend(1, precision="int8"))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_it_runs_in_place_of_the_network(folder: Path) -> None:
    backend = OpenVinoBackend(1, precision="int8")
    runner = load_runner(folder, "classifier", read_manifest(folder), backend)
    assert runner(np.zeros((2, 64, 64), np.uint8)).tolist() == [[0, 0.5], [0, 0.5]]
    assert backend.precision == "int8"


def test_made_from_other_weights(folder: Path) -> None:
    change(folder, weights_sha256="0" * 64)
    assert (
        complaint(folder)
        == "the int8 version of the classifier was made from other weights: repeat `streamer quantise`"
    )


def test_made_for_other_preprocessing(folder: Path) -> None:
    entry = read_manifest(folder).models["classifier"]
    preprocessing = entry.preprocessing.model_copy(update={"mean": 0.31})
    write_entry(folder, "classifier", entry.model_copy(update={"preprocessing": preprocessing}))
    assert "was made from other weights" in complaint(folder)


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
@pytest.mark.parametrize(
    ("spoil", "expected"),
    [
        (lambda path: path.write_bytes(path.read_bytes()[:-1]), "is damaged: its sha256 differs"),
        (lambda path: path.write_bytes(b""), "is damaged: its sha256 differs"),
        (Path.unlink, "cannot read the int8 version of the classifier"),
    ],
    ids=["cut", "empty", "absent"],
)
def test_files_that_are_not_whole(folder: Path, suffix: str, spoil: Callable[[Path], object], expected: str) -> None:
    spoil((folder / "int8" / "classifier.xml").with_suffix(suffix))
    assert expected in complaint(folder)


def test_another_network_under_a_checksum_that_is_right(folder: Path) -> None:
    xml, binary = openvino_files(folder, "int8", "classifier")
    openvino.save_model(ir(0.7), xml)
    change(
        folder,
        xml_sha256=hashlib.sha256(xml.read_bytes()).hexdigest(),
        bin_sha256=hashlib.sha256(binary.read_bytes()).hexdigest(),
    )
    assert complaint(folder) == "the int8 version of the classifier computes something else on this processor"


def test_new_weights_drop_it(folder: Path, weights_folder: Path) -> None:
    publish(weights_folder, folder)
    assert read_manifest(folder).models["classifier"].int8 is None
    assert list((folder / "int8").iterdir()) == []
    publish(weights_folder, folder)  # nothing to drop


def test_new_weights_come_without_theirs(folder: Path, tmp_path: Path) -> None:
    publish(folder, tmp_path / "published")
    assert read_manifest(tmp_path / "published").models["classifier"].int8 is None


def test_the_probe_image_is_the_same_everywhere() -> None:
    image = probe_image((96, 64))
    assert image.shape == (1, 64, 96)
    assert image[0, 32, 48] < image[0, 2, 2]
    assert hashlib.sha256(image.tobytes()).hexdigest()[:16] == "5bd78f3a0eca3f1e"


def test_a_summary_is_small() -> None:
    assert summary(np.array([[1.5, -2.0]], np.float32)) == ((1.5, -2.0),)
    boxes = np.stack([np.arange(100), np.full(100, 0.25)])[None].astype(np.float32)
    first, second = summary(boxes)
    assert len(first) == len(second) == 16
    assert (first[0], set(second)) == (3.0, {0.25})
    ((top, *_, bottom),) = summary(np.linspace(0, 1, 64 * 64, dtype=np.float32).reshape(1, 1, 64, 64))
    assert bottom - top == pytest.approx(15 / 16, abs=1e-3)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (((1.0, 5.05), (0.02,)), True),
        (((1.0, 5.6), (0.02,)), False),
        (((1.0, 5.0), (0.03,)), False),
        (((1.0, float("nan")), (0.02,)), False),
        (((1.0, 5.0),), False),
        (((1.0,), (0.02,)), False),
    ],
)
def test_agreement_is_by_channel(found: tuple[tuple[float, ...], ...], expected: bool) -> None:
    assert agree(found, ((1.0, 5.0), (0.02,)), 0.1) is expected


def test_a_network_that_does_not_run(folder: Path) -> None:
    def fails(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        raise RuntimeError("no kernel\n")

    with pytest.raises(WeightsError, match=r"does not run: no kernel$"):
        NetworkFiles(folder, "classifier", read_manifest(folder), "int8").check_output(fails)
