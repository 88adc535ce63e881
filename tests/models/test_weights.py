"""Weights and manifest: what is missing, damaged or does not fit is refused in one line, before anything runs."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from streamer.errors import OutputError, WeightsError
from streamer.models.networks import build, load_fitting, load_network, save_half
from streamer.models.registry import TASKS
from streamer.models.weights import remove_unnamed_files
from streamer.models.weights_manifest import Fp32Version, Role, read_manifest, write_entry
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from tests.random_weights import entry

Edit = Callable[[dict[str, Any]], object]


@pytest.fixture
def folder(weights_folder: Path, tmp_path: Path) -> Path:
    """A copy that may be spoilt: the files are links until a test replaces them."""
    for path in weights_folder.iterdir():
        (tmp_path / path.name).symlink_to(path)
    return tmp_path


def edit_manifest(folder: Path, edit: Edit) -> None:
    data = json.loads((folder / "manifest.json").read_text())
    edit(data)
    replace(folder / "manifest.json", json.dumps(data).encode())


def replace(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


def replace_weights(folder: Path, role: Role, content: bytes) -> None:
    """Other content under a checksum that is right."""
    replace(folder / f"{role}.safetensors", content)
    digest = hashlib.sha256(content).hexdigest()
    edit_manifest(folder, lambda data: data["models"][role].update(sha256=digest))


def complaint(folder: Path, role: Role = "detector") -> str:
    with pytest.raises(WeightsError) as caught:
        load_network(folder, role, read_manifest(folder))
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 500
    return message


@pytest.mark.parametrize("role", TASKS)
def test_weights_come_back(weights_folder: Path, role: Role) -> None:
    manifest = read_manifest(weights_folder)
    network = load_network(weights_folder, role, manifest)
    stored = load_file(weights_folder / f"{role}.safetensors")
    assert not network.training
    assert set(stored) == set(network.state_dict())
    for name, tensor in network.state_dict().items():
        assert tensor.dtype in (torch.float32, torch.int64)
        assert torch.equal(tensor, stored[name].to(tensor.dtype)), name


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=r"no weights at .*cannot read manifest\.json \(No such file"):
        Engine(Settings(weights=tmp_path / "absent"))


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", b"[]", b'{"version": 1}', b'{"version": 3, "models": {}}'])
def test_a_malformed_manifest(folder: Path, content: bytes) -> None:
    replace(folder / "manifest.json", content)
    assert "is damaged" in complaint(folder)


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (lambda data: data["models"]["detector"].pop("sha256"), "detector.sha256"),
        (lambda data: data["models"]["detector"].update(temperature=0), "detector.temperature"),
        (lambda data: data["models"]["detector"].update(spare=1), "detector.spare"),
        (lambda data: data["models"]["detector"]["preprocessing"].update(size_wh=[100, 96]), "multiple of 32"),
        (lambda data: data["models"]["segmenter"]["preprocessing"].update(size_wh=[96, 64]), "crops are square"),
        (lambda data: data["models"].update(painter=data["models"]["detector"]), "painter"),
    ],
)
def test_a_wrong_entry_is_named(folder: Path, edit: Edit, named: str) -> None:
    edit_manifest(folder, edit)
    message = complaint(folder)
    assert "is damaged" in message
    assert named in message


def test_a_missing_role(folder: Path) -> None:
    edit_manifest(folder, lambda data: data["models"].pop("detector"))
    assert complaint(folder).endswith("has no detector")


@pytest.mark.parametrize("role", TASKS)
def test_an_engine_needs_all_roles(weights_folder: Path, tmp_path: Path, role: Role) -> None:
    shutil.copytree(weights_folder, tmp_path / "weights")
    edit_manifest(tmp_path / "weights", lambda data: data["models"].pop(role))
    with pytest.raises(WeightsError, match=f"has no {role}$"):
        Engine(Settings(weights=tmp_path / "weights"))


def test_a_missing_file(folder: Path) -> None:
    (folder / "detector.safetensors").unlink()
    assert "cannot read the detector's weights" in complaint(folder)
    (folder / "detector.safetensors").mkdir()
    assert "cannot read the detector's weights" in complaint(folder)


@pytest.mark.parametrize(
    "spoil", [lambda content: content[:-1], lambda content: content[:-1] + bytes([content[-1] ^ 1])]
)
def test_a_wrong_checksum(folder: Path, spoil: Callable[[bytes], bytes]) -> None:
    path = folder / "detector.safetensors"
    replace(path, spoil(path.read_bytes()))
    assert complaint(folder).endswith("sha256 differs from the manifest's; restore or retrain it")


@pytest.mark.parametrize("length", [0, 7, 100, -1000])
def test_a_truncated_file_with_a_matching_checksum(folder: Path, length: int) -> None:
    content = (folder / "detector.safetensors").read_bytes()
    replace_weights(folder, "detector", content[:length])
    assert "does not fit yolov5n" in complaint(folder)


def test_a_pickle_is_not_opened(folder: Path, tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(tmp_path / "made"),)

    torch.save({"weight": Evil()}, tmp_path / "evil.pt")
    replace_weights(folder, "detector", (tmp_path / "evil.pt").read_bytes())
    assert "does not fit" in complaint(folder)
    assert not (tmp_path / "made").exists()


def test_tensors_that_do_not_fit(folder: Path) -> None:
    replace_weights(folder, "detector", (folder / "classifier.safetensors").read_bytes())
    message = complaint(folder)
    assert "does not fit yolov5n" in message
    assert "Missing key" in message


def test_a_tensor_of_the_wrong_shape(folder: Path, tmp_path: Path) -> None:
    tensors = load_file(folder / "classifier.safetensors")
    tensors["classifier.3.bias"] = torch.zeros(3)
    save_file(tensors, tmp_path / "changed")
    replace_weights(folder, "classifier", (tmp_path / "changed").read_bytes())
    assert "classifier.3.bias" in complaint(folder, "classifier")


@pytest.mark.parametrize("architecture", ["yolov5", "yolov5nano", "resnet50", "", "densenet121"])
def test_an_architecture_of_another_role(folder: Path, architecture: str) -> None:
    edit_manifest(folder, lambda data: data["models"]["detector"].update(architecture=architecture))
    assert f"{architecture!r} is not an architecture for the detector" in complaint(folder)


def test_an_unknown_architecture() -> None:
    with pytest.raises(WeightsError, match="unknown architecture 'resnet50'"):
        build("resnet50")


def test_only_fitting_tensors_are_taken_over() -> None:
    network = torch.nn.Linear(3, 2)
    bias = network.bias.detach().clone()
    tensors = {"weight": torch.ones(2, 3, dtype=torch.float16), "bias": torch.ones(5), "other": torch.ones(1)}
    assert load_fitting(network, tensors) == 1
    assert torch.equal(network.weight, torch.ones(2, 3))
    assert torch.equal(network.bias, bias)


def test_saving_halves_floats_keeps_integers_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "w.safetensors"
    tensors = {"kernel": torch.arange(6.0).reshape(2, 3).T, "count": torch.tensor(70_000)}
    digest = save_half(tensors, path)
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
    stored = load_file(path)
    assert stored["kernel"].dtype == torch.float16
    assert torch.equal(stored["kernel"].float(), tensors["kernel"])
    assert stored["count"].item() == 70_000
    assert [item.name for item in tmp_path.iterdir()] == ["w.safetensors"]


def test_saving_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "w.safetensors").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        save_half({"a": torch.zeros(1)}, tmp_path / "w.safetensors")
    (tmp_path / "manifest.json").mkdir()
    with pytest.raises(OutputError, match="cannot write"):
        write_entry(tmp_path, "detector", entry("detector", "0" * 64))
    assert sorted(item.name for item in tmp_path.iterdir()) == ["manifest.json", "w.safetensors"]
    with pytest.raises(OutputError, match="cannot write"):
        save_half({"a": torch.zeros(1)}, tmp_path / "absent" / "w.safetensors")


def test_entries_are_added_and_replaced(tmp_path: Path) -> None:
    write_entry(tmp_path, "classifier", entry("classifier", "1" * 64))
    write_entry(tmp_path, "detector", entry("detector", "2" * 64))
    write_entry(tmp_path, "classifier", entry("classifier", "3" * 64))
    models = read_manifest(tmp_path).models
    assert [(role, model.sha256[0]) for role, model in models.items()] == [("detector", "2"), ("classifier", "3")]


def test_only_files_that_the_manifest_does_not_name_are_removed(tmp_path: Path) -> None:
    version = Fp32Version(
        file="fp32/detector.xml",
        xml_sha256="",
        bin_sha256="",
        weights_sha256="",
        preprocessing=entry("detector", "").preprocessing,
        versions={},
        probe=(),
        difference=0.0,
    )
    write_entry(tmp_path, "detector", entry("detector", "1" * 64).model_copy(update={"fp32": version}))
    (tmp_path / "int8" / "joint.bin").mkdir(parents=True)  # what cannot be removed stays, without a word
    for name in ("fp32/detector.xml", "fp32/detector.bin", "fp32/mine.xml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    for name in ("fp32/joint.xml", "fp32/joint.bin", "int8/detector.xml", "int8/detector.bin", "fp32/segmenter.xml"):
        (tmp_path / name).touch()
    remove_unnamed_files(tmp_path)
    left = sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.glob("*/*"))
    assert left == ["fp32/detector.bin", "fp32/detector.xml", "fp32/mine.xml", "int8/joint.bin"]
