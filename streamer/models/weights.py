"""Weights: safetensors in half precision, checked before use. Nothing is ever unpickled."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from streamer._files import write_whole
from streamer.errors import OutputError, WeightsError
from streamer.models.registry import TASKS, load_object, task
from streamer.models.weights_manifest import MANIFEST, Manifest, Role, read_manifest, write_entry

JOINT = "joint"
"""Name of segmenter and classifier where they run as one network."""

_REASON_CHARACTERS = 200  # torch lists every tensor that does not fit


def build(architecture: str) -> nn.Module:
    """A randomly initialised network by its manifest name.

    Raises:
        WeightsError: unknown name.
    """
    for spec in TASKS.values():
        if architecture in spec.architectures:
            network: nn.Module = load_object(spec.architectures[architecture])(architecture, len(spec.classes))
            return network
    known = ", ".join(name for spec in TASKS.values() for name in spec.architectures)
    raise WeightsError(f"unknown architecture {architecture!r}: {known}")


def checked_weights(folder: Path, role: Role, manifest: Manifest) -> bytes:
    """The content of a role's weights file.

    Raises:
        WeightsError: the role or file is missing, the checksum differs, or the architecture is not one for the role.
    """
    entry = manifest.models.get(role)
    if entry is None:
        raise WeightsError(f"{folder / MANIFEST} has no {role}")
    path = folder / entry.file
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read the {role}'s weights {path}: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != entry.sha256:
        raise WeightsError(f"{path} is damaged: its sha256 differs from the manifest's; restore or retrain it")
    if entry.architecture not in task(role).architectures:
        raise WeightsError(f"{folder / MANIFEST}: {entry.architecture!r} is not an architecture for the {role}")
    return content


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


def publish(run: Path, weights: Path) -> list[Role]:
    """Take the networks of a training run's folder over into a weights folder, beside those already there.

    Their int8 versions there are dropped, and those of networks in the same file: they were made from what is replaced.

    Raises:
        WeightsError: the run has no manifest or a file is missing or damaged.
        OutputError: the weights folder cannot be written.
    """
    manifest = read_manifest(run)
    for role, entry in manifest.models.items():
        load_network(run, role, manifest)  # checksum and shapes
        try:
            weights.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the weights folder {weights}: {error.strerror}") from error
        file = f"{role}.safetensors"  # whatever the run calls it: another name could be another network's
        write_whole(weights / file, (run / entry.file).read_bytes())
        write_entry(weights, role, entry.model_copy(update={"file": file, "int8": None}))
        _drop_int8_with(role, weights)
    return list(manifest.models)


def _drop_int8_with(role: Role, weights: Path) -> None:
    """Drop the int8 versions that were made from a network that is replaced, those it is joined with included."""
    names = [role]
    for other, entry in read_manifest(weights).models.items():
        if entry.int8 is not None and role in entry.int8.joined_with:
            write_entry(weights, other, entry.model_copy(update={"int8": None}))
            names.append(JOINT)
    for name in names:
        for path in int8_files(weights, name):
            with contextlib.suppress(OSError):  # the manifest no longer names them
                path.unlink()


def int8_files(folder: Path, name: str) -> tuple[Path, Path]:
    """Where the int8 version of a network lies in a weights folder: OpenVINO's `.xml` and `.bin`."""
    return folder / "int8" / f"{name}.xml", folder / "int8" / f"{name}.bin"


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
