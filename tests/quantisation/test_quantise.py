"""`streamer quantise` from data to files, with a detector of random weights; its int8 version then runs."""

from __future__ import annotations

import hashlib
import logging
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from streamer.backends.openvino import OpenVinoBackend
from streamer.errors import OutputError, StreamerError
from streamer.models.joint_output import MASK, class_logits
from streamer.models.loading import JOINT_ROLES, load_joint, load_runner
from streamer.models.openvino_files import probe_image
from streamer.models.publish import publish
from streamer.models.weights import openvino_files
from streamer.models.weights_manifest import Int8Version, ModelEntry, Role, read_manifest, write_entry
from streamer.quantisation import command
from streamer.quantisation.command import quantise
from tests.cli.command_line import Cli
from tests.random_weights import entry, write_joint_weights
from tests.training.tiny import config, write_data


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture
def folder(weights_folder: Path, tmp_path: Path) -> Path:
    """The random detector alone, said to be trained on the tiny data."""
    folder = tmp_path / "weights"
    folder.mkdir()
    shutil.copy(weights_folder / "detector.safetensors", folder)
    made = entry("detector", read_manifest(weights_folder).models["detector"].sha256)
    training = made.training.model_copy(update={"config": config("detector").model_dump(mode="json")})
    write_entry(folder, "detector", made.model_copy(update={"training": training}))
    return folder


def version(folder: Path) -> Int8Version:
    made = read_manifest(folder).models["detector"].int8
    assert made is not None
    return made


def test_from_data_to_a_network_that_runs(folder: Path, data: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    ours = logging.NullHandler()
    logging.getLogger("nncf").addHandler(ours)  # as pytest adds its own to every logger that keeps its lines to itself
    assert cli("quantise", "--data", data, "--weights", folder, "--images", "4") == 0
    logging.getLogger("nncf").removeHandler(ours)
    assert ours.level == logging.NOTSET
    made, (xml, binary) = version(folder), openvino_files(folder, "int8", "detector")
    assert sorted((folder / "int8").iterdir()) == [binary, xml]
    assert hashlib.sha256(xml.read_bytes()).hexdigest() == made.xml_sha256
    assert hashlib.sha256(binary.read_bytes()).hexdigest() == made.bin_sha256
    assert made.weights_sha256 == read_manifest(folder).models["detector"].sha256
    assert (made.file, made.calibration) == ("int8/detector.xml", {"tiny": 4})
    assert binary.stat().st_size < 0.6 * (folder / "detector.safetensors").stat().st_size  # a byte where there were two
    assert str(folder).encode() not in xml.read_bytes()

    exact_version = read_manifest(folder).models["detector"].fp32
    assert exact_version is not None
    assert (exact_version.file, exact_version.weights_sha256) == ("fp32/detector.xml", made.weights_sha256)
    assert exact_version.difference < 1e-4
    half = (folder / "detector.safetensors").stat().st_size
    assert openvino_files(folder, "fp32", "detector")[1].stat().st_size < 1.1 * half
    monkeypatch.setattr(OpenVinoBackend, "converted", lambda *_, **__: pytest.fail("the files need no torch"))

    image = probe_image((96, 64))
    outputs = {}
    for precision in ("auto", "int8", "fp32"):
        backend = OpenVinoBackend(1, precision=precision)
        outputs[precision] = load_runner(folder, "detector", read_manifest(folder), backend)(image)
        assert backend.warnings == ()
        assert backend.precision == precision or precision == "auto"
    boxes, exact = outputs["int8"][0, :4], outputs["fp32"][0, :4]
    assert 0 < np.abs(boxes - exact).mean() < 2
    scores, exact_scores = outputs["int8"][0, 4], outputs["fp32"][0, 4]
    assert np.abs(scores - exact_scores).max() < 0.1 * exact_scores.max()  # its three levels score 1 : 4 : 16


def test_a_folder_that_cannot_be_written(folder: Path, data: Path) -> None:
    (folder / "int8").write_text("")
    with pytest.raises(OutputError, match=r"cannot write .*detector\.xml"):
        quantise(data, folder, images=2)
    assert read_manifest(folder).models["detector"].int8 is None


def test_without_nncf(folder: Path, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(StreamerError, match=r"needs nncf: python -m pip install 'streamer\[quantise\]'"):
        quantise(data, folder, images=2)


@pytest.mark.slow
def test_segmenter_and_classifier_as_one(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One file for both; each alone gets its part of it, and both together look at mirror images, too."""
    monkeypatch.setattr(command, "load_proposer", lambda _: None)  # the tiny data have boxes
    folder = write_joint_weights(tmp_path)
    joint = joint_models(folder)
    for role, one in joint.items():
        training = one.training.model_copy(update={"config": config(role).model_dump(mode="json")})
        joint[role] = one.model_copy(update={"training": training})
    (folder / "manifest.json").unlink()  # the detector has a test of its own
    for role, one in joint.items():
        write_entry(folder, role, one)
    left = openvino_files(folder, "int8", "classifier")[0]  # of an earlier version, which was not joined
    left.parent.mkdir()
    left.touch()
    quantise(data, folder, images=3)
    monkeypatch.undo()

    assert sorted((folder / "int8").iterdir()) == sorted(openvino_files(folder, "int8", "joint"))
    manifest = read_manifest(folder)
    segmenter, classifier = (manifest.models[role] for role in JOINT_ROLES)
    assert segmenter.int8 is not None
    assert classifier.int8 is not None
    assert segmenter.int8.joined_with == {"classifier": classifier.sha256}
    assert classifier.int8.joined_with == {"segmenter": segmenter.sha256}
    assert (segmenter.int8.file, segmenter.int8.calibration) == ("int8/joint.xml", {"tiny": 6})

    backends = {precision: OpenVinoBackend(1, precision=precision) for precision in ("int8", "fp32")}
    image = probe_image((64, 64))
    pair = np.concatenate([image, image[:, :, ::-1]])
    assert segmenter.fp32 is not None
    assert classifier.fp32 is not None
    assert segmenter.fp32.file == classifier.fp32.file == "fp32/joint.xml"
    assert segmenter.fp32.difference < 1e-4
    alone, both = (load_joint(folder, manifest, backends["int8"], views=views)(pair[:views]) for views in (1, 2))
    assert (alone.shape, both.shape) == ((1, 4, 64, 64), (1, 7, 64, 64))
    np.testing.assert_allclose(both[:, :4], alone, atol=0.05 * float(np.ptp(alone)))
    mask, logits = (load_runner(folder, role, manifest, backends["int8"])(image) for role in JOINT_ROLES)
    np.testing.assert_array_equal(mask, alone[:, MASK])
    np.testing.assert_array_equal(logits, class_logits(alone)[:, 0])
    exact = load_runner(folder, "segmenter", manifest, backends["fp32"])(image)
    assert 0 < np.abs(mask - exact).mean() < 0.1 * np.ptp(exact)
    assert [backend.precision for backend in backends.values()] == ["int8", "fp32"]

    openvino_files(folder, "int8", "joint")[1].write_bytes(b"")
    monkeypatch.setattr("streamer.backends.openvino.has_int8_instructions", lambda: True)  # "auto" looks
    backend = OpenVinoBackend(1)
    assert load_joint(folder, manifest, backend, views=2)(pair).shape == (1, 7, 64, 64)
    assert backend.precision == "fp32"
    assert "is damaged: its sha256 differs" in backend.warnings[0]

    run = tmp_path / "run"  # a new classifier: the segmenter's int8 version holds the old one
    run.mkdir()
    shutil.copy(folder / classifier.file, run)
    write_entry(run, "classifier", classifier)
    publish(run, folder)
    assert [entry.int8 for entry in joint_models(folder).values()] == [None, None]
    assert [entry.fp32 for entry in joint_models(folder).values()] == [None, None]
    assert list((folder / "int8").iterdir()) == list((folder / "fp32").iterdir()) == []


def joint_models(folder: Path) -> dict[Role, ModelEntry]:
    return {role: read_manifest(folder).models[role] for role in JOINT_ROLES}
