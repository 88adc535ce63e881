"""What a training took, as fields; and manifests from before there were any."""

import hashlib
import json
from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from streamer._resources import weights_dir
from streamer.errors import WeightsError
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.models.weights_manifest import (
    MANIFEST,
    GateEntry,
    Role,
    SourceAmount,
    SweepSpread,
    read_manifest,
    write_entry,
    write_gate,
)
from tests.random_weights import entry


def test_an_amount_as_text() -> None:
    amount = SourceAmount(images=4, groups=2, unit="block", with_nodule=3, labels={"benign": 1, "malignant": 2})
    assert amount.text() == "4 images of 2 blocks, 3 with a nodule; 1 benign, 2 malignant"
    assert SourceAmount(images=4, groups=2).text("case") == "4 images of 2 cases, 0 with a nodule"
    assert SourceAmount(images=60, simulated=True).text() == "60 simulated images"


def test_what_a_group_is_called() -> None:
    amount = SourceAmount(images=4, groups=2)
    assert amount.text() == "4 images of 2 groups, 0 with a nodule"
    assert amount.text("case") == "4 images of 2 cases, 0 with a nodule"
    assert amount.text("image") == "4 images, 0 with a nodule"


def test_a_network_that_does_not_exist() -> None:
    with pytest.raises(ValueError, match="there is no network 'thyroid': it is one of detector, segmenter, classifier"):
        TypeAdapter(Role).validate_python("thyroid")


def test_a_manifest_of_version_1_is_read(tmp_path: Path) -> None:
    old = json.loads(entry("classifier", "0").model_dump_json())
    del old["training"]["threads"]
    old["training"]["hardware"] = "x86_64 CPU, 4 threads"
    old["training"]["data"] = {
        "tn3k": "20 images of 8 patients, 19 with a nodule; 15 benign, 4 malignant",
        "gland": "7 images of 3 patients, 0 with a nodule",
        "phantom": "60 simulated images",
    }
    (tmp_path / MANIFEST).write_text(json.dumps({"version": 1, "models": {"classifier": old}}))
    training = read_manifest(tmp_path).models["classifier"].training
    assert (training.hardware, training.threads) == ("x86_64 CPU", 4)
    assert training.data == {
        "tn3k": SourceAmount(images=20, groups=8, with_nodule=19, labels={"benign": 15, "malignant": 4}),
        "gland": SourceAmount(images=7, groups=3),
        "phantom": SourceAmount(images=60, simulated=True),
    }


def test_a_sentence_that_is_no_amount() -> None:
    with pytest.raises(ValidationError, match="'many' is no amount"):
        SourceAmount.model_validate("many")


def test_the_published_networks_need_no_torch() -> None:
    folder = weights_dir()
    for role, model in read_manifest(folder).models.items():
        version = model.fp32
        assert version is not None, f"{role}: `streamer publish` makes its OpenVINO files"
        assert version.weights_sha256 == model.sha256
        assert version.difference < 1e-4
        xml = folder / version.file
        for path, digest in ((xml, version.xml_sha256), (xml.with_suffix(".bin"), version.bin_sha256)):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
            assert path.stat().st_size < 20e6


def test_the_published_manifest_says_what_a_group_is() -> None:
    manifest = read_manifest(weights_dir())
    for model in manifest.models.values():
        assert all(amount.unit or amount.simulated for amount in model.training.data.values())


def _gate(of: str) -> GateEntry:
    return GateEntry(
        file="gate.safetensors",
        sha256="1",
        detector_sha256=of,
        min_scores=(0.5, -0.5),
        max_distance=9,
        source="simulated views",
    )


def test_a_gate_stays_until_another_detector_comes(tmp_path: Path) -> None:
    detector = entry("detector", "0")
    write_entry(tmp_path, "detector", detector)
    gate = _gate(detector.sha256)
    write_gate(tmp_path, gate)
    manifest = read_manifest(tmp_path)
    assert (manifest.version, manifest.gate, manifest.models) == (2, gate, {"detector": detector})
    write_entry(tmp_path, "classifier", entry("classifier", "2"))
    assert read_manifest(tmp_path).gate == gate
    write_entry(tmp_path, "detector", entry("detector", "3"))
    assert read_manifest(tmp_path).gate is None


def test_a_gate_raises_the_version_of_the_manifest(tmp_path: Path) -> None:
    old = json.loads(entry("detector", "0").model_dump_json())
    (tmp_path / MANIFEST).write_text(json.dumps({"version": 1, "models": {"detector": old}}))
    write_gate(tmp_path, _gate("0"))
    written = json.loads((tmp_path / MANIFEST).read_text())
    assert (written["version"], written["gate"]["detector_sha256"]) == (2, "0")


def test_a_gate_without_a_manifest(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        write_gate(tmp_path, _gate("0"))


def test_a_manifest_that_is_no_json_is_named_as_a_whole(tmp_path: Path) -> None:
    (tmp_path / MANIFEST).write_text("no JSON")
    with pytest.raises(WeightsError, match="is damaged: the file: "):
        read_manifest(tmp_path)


def test_the_operating_point_of_a_sweep_has_all_that_was_noted() -> None:
    spread = SweepSpread(deviation=0.6, correlation_frames=3, mean=-0.5, reading_deviation=0.9, source="sweeps")
    assert spread.operating_point(0.3, 0.25) == SweepOperatingPoint(0.3, 0.6, 3, -0.25, 0.9)
