from __future__ import annotations

import pickle
import warnings
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from streamer.errors import SettingsError, WeightsError
from streamer.scintigraphy.architectures import ARCHITECTURES, Architecture
from streamer.scintigraphy.config import ScintigraphyConfig
from streamer.scintigraphy.networks import Parted, build, start_from_file
from streamer.scintigraphy.training import start_network


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_each_network_gives_four_logits_and_is_parted_at_its_last_convolution(architecture: Architecture) -> None:
    network = build(architecture).eval()
    parted = Parted(network, architecture).eval()
    pictures = torch.rand(2, 3, 64, 64)
    with torch.inference_mode():
        logits, whole, cells = network(pictures), parted(pictures), parted.body(pictures)
    assert logits.shape == (2, 4)
    assert torch.allclose(whole[:, :4], logits, atol=1e-5)
    assert torch.equal(whole[:, 4:], cells.flatten(1))
    assert cells.shape[1] == parted.channels
    convolutions = [name for name, module in parted.named_modules() if isinstance(module, nn.Conv2d)]
    assert convolutions[-1].startswith("body")


def test_the_modified_resnet_has_the_papers_head() -> None:
    head = build("resnet34-fc", dropout=0.8, hidden=(256, 64)).get_submodule("fc")
    kinds = [type(layer).__name__ for layer in head.children()]
    assert kinds == ["Linear", "LeakyReLU", "Dropout", "Linear", "LeakyReLU", "Linear"]
    assert [layer.in_features for layer in head.children() if isinstance(layer, torch.nn.Linear)] == [512, 256, 64]
    assert [layer.p for layer in head.children() if isinstance(layer, torch.nn.Dropout)] == [0.8]


@pytest.mark.parametrize("suffix", ["safetensors", "pth"])
def test_a_state_dict_of_another_number_of_classes_is_taken_over_but_for_its_head(suffix: str, tmp_path: Path) -> None:
    from torchvision.models import shufflenet_v2_x1_0

    torch.manual_seed(0)
    given = {name: tensor.contiguous() for name, tensor in shufflenet_v2_x1_0(weights=None).state_dict().items()}
    path = tmp_path / f"imagenet.{suffix}"
    save_file(given, path) if suffix == "safetensors" else torch.save(given, path)
    network = build("shufflenet-v2")
    assert len(start_from_file(network, "shufflenet-v2", path)) == 64
    own = network.state_dict()
    assert torch.equal(own["conv5.0.weight"], given["conv5.0.weight"])
    assert own["fc.weight"].shape == (4, 1024)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    save_file({"conv1.weight": torch.zeros(64, 3, 7, 7)}, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match="does not fit AlexNet: it lacks"):
        start_from_file(build("alexnet"), "alexnet", tmp_path / "a.safetensors")


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in build("shufflenet-v2").state_dict().items()}
    tensors["conv1.0.weight"] = torch.zeros(24, 1, 3, 3)
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"has the shape \(24, 1, 3, 3\), not \(24, 3, 3, 3\)"):
        start_from_file(build("shufflenet-v2"), "shufflenet-v2", tmp_path / "a.safetensors")


def test_a_pickle_of_anything_but_tensors_is_never_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return (Path(tmp_path / "sprung").touch, ())

    (tmp_path / "a.pth").write_bytes(pickle.dumps({"fc.weight": Trap()}))
    with pytest.raises(WeightsError, match="is no state dict"):
        start_from_file(build("shufflenet-v2"), "shufflenet-v2", tmp_path / "a.pth")
    assert not (tmp_path / "sprung").exists()


def test_a_pickle_is_refused_without_a_warning_of_torchs(tmp_path: Path, recwarn: pytest.WarningsRecorder) -> None:
    warnings.simplefilter("always")
    (tmp_path / "a.pth").write_bytes(pickle.dumps({"fc.weight": Path("x")}, protocol=4))
    with pytest.raises(WeightsError, match="is no state dict"):
        start_from_file(build("shufflenet-v2"), "shufflenet-v2", tmp_path / "a.pth")
    assert not recwarn.list


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    tensors = {name: tensor.contiguous() for name, tensor in build("shufflenet-v2").state_dict().items()}
    tensors["conv1.0.weight"] = torch.full_like(tensors["conv1.0.weight"], float("nan"))
    save_file(tensors, tmp_path / "a.safetensors")
    with pytest.raises(WeightsError, match=r"'conv1\.0\.weight' holds what is no number"):
        start_from_file(build("shufflenet-v2"), "shufflenet-v2", tmp_path / "a.safetensors")


def test_the_cache_is_used_where_it_is_there_and_nothing_is_downloaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    network = build("shufflenet-v2")
    assert start_network(network, ScintigraphyConfig(architecture="shufflenet-v2"), None) == ""
    with pytest.raises(SettingsError, match="are not downloaded: put them at"):
        start_network(network, ScintigraphyConfig(architecture="shufflenet-v2", start="cache"), None)
    (tmp_path / "checkpoints").mkdir()
    torch.save(build("shufflenet-v2").state_dict(), tmp_path / "checkpoints" / "shufflenetv2_x1-5666bf0f80.pth")
    assert start_network(network, ScintigraphyConfig(architecture="shufflenet-v2", start="cache"), None)


@pytest.mark.parametrize("architecture", ["mobilenet-v3", "shufflenet-v2", "resnet34-fc"])
def test_batch_statistics_follow_within_a_few_hundred_images(architecture: Architecture) -> None:
    momenta = {module.momentum for module in build(architecture).modules() if isinstance(module, nn.BatchNorm2d)}
    assert momenta == {0.1}
