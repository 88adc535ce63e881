"""The four networks of Front Endocrinol 2023;14:1224191, from torchvision, with four logits; softmax is left outside.

The paper replaces the last layer of ResNet-34 by two fully connected layers with leaky ReLU and a last one, with a
dropout of 0.8 in the first; it does not give their widths. 256 and 64 are chosen here (`hidden`).
"""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from streamer.errors import WeightsError
from streamer.scintigraphy.architectures import TITLES, Architecture
from streamer.scintigraphy.classes import CLASSES

_CHANNELS = {"resnet34-fc": 512, "alexnet": 256, "shufflenet-v2": 1024, "mobilenet-v3": 960}
"""Of the last convolution."""
_CELLS_PX = {"resnet34-fc": (32, 0), "alexnet": (16, 15), "shufflenet-v2": (32, 0), "mobilenet-v3": (32, 0)}
"""Distance of its cells, and where the first one lies, in pixels of the input: the middle of what a cell sees. A layer
of step s, kernel k and padding p after layers of step d multiplies the distance by s and adds d * ((k - 1) / 2 - p).
All pad by (k - 1) / 2, but for AlexNet's first convolution (11, padded by 2) and its poolings (3, not padded)."""
_HEAD = {"resnet34-fc": "fc.", "alexnet": "classifier.6.", "shufflenet-v2": "fc.", "mobilenet-v3": "classifier.3."}
_CACHED = {
    "resnet34-fc": "resnet34-b627a593.pth",
    "alexnet": "alexnet-owt-7be5be79.pth",
    "shufflenet-v2": "shufflenetv2_x1-5666bf0f80.pth",
    "mobilenet-v3": "mobilenet_v3_large-8738ca79.pth",
}
"""Files of torchvision's ImageNet weights; their names end with the beginning of their SHA-256."""

_STATISTICS_MOMENTUM = 0.1
"""Torch's default. MobileNetV3 comes with 0.01, for ImageNet's thousands of steps: of a few hundred images the averages
of its batch statistics stay near their start, and what is validated answers one class."""


def build(
    architecture: Architecture,
    classes: int = len(CLASSES),
    *,
    dropout: float = 0.8,
    hidden: tuple[int, int] = (256, 64),
    leak: float = 0.01,
) -> nn.Module:
    """A network with a logit per class, randomly initialised; takes float images of shape (n, 3, side, side).

    Args:
        architecture: which.
        classes: their number.
        dropout: of the modified ResNet-34's first fully connected layer; the others keep torchvision's.
        hidden: widths of its two fully connected layers.
        leak: slope of leaky ReLU below zero (torch's default).

    Example:
        >>> build("shufflenet-v2")(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 4])
    """
    from torchvision import models

    if architecture == "resnet34-fc":
        network: nn.Module = models.resnet34(weights=None)
        network.fc = nn.Sequential(
            nn.Linear(512, hidden[0]),
            nn.LeakyReLU(leak),
            nn.Dropout(dropout),
            nn.Linear(hidden[0], hidden[1]),
            nn.LeakyReLU(leak),
            nn.Linear(hidden[1], classes),
        )
        return network
    builders: Mapping[str, Callable[..., nn.Module]] = {
        "alexnet": models.alexnet,
        "shufflenet-v2": models.shufflenet_v2_x1_0,
        "mobilenet-v3": models.mobilenet_v3_large,
    }
    network = builders[architecture](weights=None, num_classes=classes)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = _STATISTICS_MOMENTUM
    return network


class Parted(nn.Module):
    """A network parted at its last convolution, whose output Grad-CAM weighs.

    Attributes:
        body: up to the last convolution and its activation.
        head: from there to the logits; its first layer is a pooling.
        channels: of what the body gives.
        cells_px: distance of its cells, and place of the first one, in pixels of the input.
    """

    def __init__(self, network: nn.Module, architecture: Architecture) -> None:
        """Part a network that `build` made; the layers are shared with it."""
        super().__init__()
        parts = dict(network.named_children())
        if architecture == "alexnet":
            *body, pooling = parts["features"].children()
            head = [pooling, parts["avgpool"], nn.Flatten(), parts["classifier"]]
        else:
            last = "classifier" if architecture == "mobilenet-v3" else "fc"
            body = [part for name, part in parts.items() if name not in ("avgpool", last)]
            head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), parts[last]]
        self.body, self.head = nn.Sequential(*body), nn.Sequential(*head)
        self.channels, self.cells_px = _CHANNELS[architecture], _CELLS_PX[architecture]

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits and behind them what the body gives, flattened: shape (n, classes + channels * rows * columns)."""
        cells = self.body(image)
        return torch.cat([self.head(cells), cells.flatten(1)], dim=1)


def start_from_file(network: nn.Module, architecture: Architecture, path: Path) -> str:
    """Take the tensors of a state dict over, but for a head of another number of classes.

    Args:
        network: as `build` made it.
        architecture: of both.
        path: safetensors, or a torch file of tensors alone (read with `weights_only`).

    Returns:
        The file's SHA-256.

    Raises:
        WeightsError: it cannot be read, a tensor is missing or of another shape, or holds what is no number.
    """
    content, tensors = _tensors(path)
    own = network.state_dict()
    head = _HEAD[architecture]
    taken = {}
    for name, tensor in own.items():
        given = tensors.get(name)
        if given is not None and given.shape == tensor.shape:
            taken[name] = given
        elif not (name.startswith(head) or name.endswith("num_batches_tracked")):
            problem = (
                "lacks" if given is None else f"has the shape {tuple(given.shape)}, not {tuple(tensor.shape)}, for"
            )
            raise WeightsError(f"{path} does not fit {TITLES[architecture]}: it {problem} {name!r}")
    for name, tensor in taken.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path} is of no use: {name!r} holds what is no number")
    network.load_state_dict({**own, **taken})
    return hashlib.sha256(content).hexdigest()


def cached_file(architecture: Architecture) -> Path | None:
    """torchvision's ImageNet weights, if they lie in its cache; nothing is ever downloaded."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / _CACHED[architecture]
    return path if path.is_file() else None


def cache_hint(architecture: Architecture) -> str:
    """Where the ImageNet weights would have to lie, and where they come from."""
    name = _CACHED[architecture]
    return f"{Path(torch.hub.get_dir()) / 'checkpoints' / name} (from https://download.pytorch.org/models/{name})"


def _tensors(path: Path) -> tuple[bytes, Mapping[str, torch.Tensor]]:
    try:
        content = path.read_bytes()
        if path.suffix == ".safetensors":
            return content, load(content)
        with warnings.catch_warnings(action="ignore"):  # of what is refused below in one line
            found: Any = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise WeightsError(f"cannot read the weights {path}: {error.strerror}") from error
    except (SafetensorError, Exception) as error:  # rubbish can fail anywhere in the reader
        raise WeightsError(f"{path} is no state dict: neither safetensors nor a torch file of tensors alone") from error
    if isinstance(found, dict) and isinstance(found.get("state_dict"), dict):
        found = found["state_dict"]
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise WeightsError(f"{path} is no state dict: it must map names to tensors")
    return content, found
