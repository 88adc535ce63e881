"""Networks in torch: built by name, with the weights of a safetensors file. Nothing is ever unpickled."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from streamer._files import write_whole
from streamer.errors import WeightsError
from streamer.models.registry import OTHER_TASKS, TASKS, load_object
from streamer.models.weights import checked_weights
from streamer.models.weights_manifest import Manifest, Role

_REASON_CHARACTERS = 200  # torch lists every tensor that does not fit


def build(architecture: str) -> nn.Module:
    """A randomly initialised network by its manifest name.

    Raises:
        WeightsError: unknown name.
    """
    specs = [*TASKS.values(), *OTHER_TASKS.values()]
    for spec in specs:
        if architecture in spec.architectures:
            network: nn.Module = load_object(spec.architectures[architecture])(architecture, len(spec.classes))
            return network
    known = ", ".join(name for spec in specs for name in spec.architectures)
    raise WeightsError(f"unknown architecture {architecture!r}: {known}")


def load_network(folder: Path, role: Role, manifest: Manifest) -> nn.Module:
    """The network of a role with its weights, float32, in evaluation mode.

    Raises:
        WeightsError: as `checked_weights`, or tensors do not fit.
    """
    content = checked_weights(folder, role, manifest)
    entry = manifest.models[role]
    network = build(entry.architecture)
    try:
        tensors = {name: _single(tensor) for name, tensor in load(content).items()}
        network.load_state_dict(tensors)
    except (SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:_REASON_CHARACTERS]
        raise WeightsError(f"{folder / entry.file} does not fit {entry.architecture}: {reason}") from error
    return network.eval()


def load_fitting(network: nn.Module, tensors: Mapping[str, torch.Tensor]) -> int:
    """Copy into `network` every tensor whose name and shape fit; return how many did."""
    own = network.state_dict()
    fitting = {
        name: _single(value) for name, value in tensors.items() if name in own and own[name].shape == value.shape
    }
    network.load_state_dict(fitting, strict=False)
    return len(fitting)


def save_half(tensors: Mapping[str, torch.Tensor], path: Path) -> str:
    """Write tensors in half precision as safetensors, atomically; return the file's sha256.

    Raises:
        OutputError: the file cannot be written.
    """
    half = {
        name: (value.half() if value.is_floating_point() else value).contiguous() for name, value in tensors.items()
    }
    content = save(half)
    write_whole(path, content)
    return hashlib.sha256(content).hexdigest()


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
