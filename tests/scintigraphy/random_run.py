"""A run folder whose network has random weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from safetensors.torch import save
from torch import nn

from streamer.scintigraphy.architectures import Architecture
from streamer.scintigraphy.classes import CLASSES
from streamer.scintigraphy.honesty import Teacher
from streamer.scintigraphy.networks import build
from streamer.scintigraphy.weights import TENSORS, ScintigraphyEntry, ScintigraphyTraining, write_entry


def write_random_run(folder: Path, *, taught_by: tuple[Teacher, ...] = ("simulated",)) -> Path:
    """Write ShuffleNetV2 of 64 px with random weights that say they were taught by `taught_by`."""
    torch.manual_seed(0)
    return write_run(folder, "shufflenet-v2", build("shufflenet-v2"), size_px=64, taught_by=taught_by)


def write_run(
    folder: Path,
    architecture: Architecture,
    network: nn.Module,
    *,
    size_px: int,
    taught_by: tuple[Teacher, ...] = ("simulated",),
) -> Path:
    """Write a run folder of a network as it is."""
    content = save({name: tensor.contiguous() for name, tensor in network.state_dict().items()})
    folder.mkdir(parents=True, exist_ok=True)
    (folder / TENSORS).write_bytes(content)
    training = ScintigraphyTraining(
        config={}, data={}, data_sha256="", internal="north", rule="", fold=0, pictures=(), hours=0, epochs=0,
        hardware="", versions={},
    )  # fmt: skip
    entry = ScintigraphyEntry(
        sha256=hashlib.sha256(content).hexdigest(), architecture=architecture, size_px=size_px, mean=0.449, std=0.226,
        hidden=(256, 64), leak=0.01, classes=CLASSES, taught_by=taught_by, training=training, licence="",
    )  # fmt: skip
    write_entry(folder, entry)
    return folder
