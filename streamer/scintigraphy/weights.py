"""A run as a weights folder: tensors, and a manifest that says where they come from and what they were taught by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from streamer._files import write_whole
from streamer.errors import WeightsError
from streamer.models.weights import checked_content
from streamer.scintigraphy.architectures import Architecture
from streamer.scintigraphy.classes import CLASSES
from streamer.scintigraphy.honesty import Teacher
from streamer.scintigraphy.networks import build

MANIFEST = "scintigraphy.json"
TENSORS = "scintigraphy.safetensors"


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ScintigraphyTraining(_Section):
    """Where weights come from.

    `data` gives the class balance of a split, `pictures` the checksums of those learned from, as the network saw them:
    none of them may be judged on. `started_from` is the SHA-256 of the tensors it started from; empty for none.
    """

    config: dict[str, Any]
    data: dict[str, str]
    data_sha256: str
    internal: str
    rule: str
    fold: Annotated[int, Field(ge=0)]
    pictures: tuple[str, ...]
    started_from: str = ""
    hours: float
    epochs: int
    hardware: str
    versions: dict[str, str]


class ScintigraphyEntry(_Section):
    """One network: what it is, how pictures reach it, what taught it."""

    version: Literal[1] = 1
    file: Annotated[str, Field(pattern=r"^\w[\w.-]*$")] = TENSORS
    sha256: str
    architecture: Architecture
    size_px: int
    mean: float
    std: Annotated[float, Field(gt=0)]
    hidden: tuple[int, int]
    leak: float
    classes: tuple[str, ...]
    taught_by: tuple[Teacher, ...]
    training: ScintigraphyTraining
    licence: str


def read_entry(folder: Path) -> ScintigraphyEntry:
    """Read and validate the manifest of a weights folder.

    Raises:
        WeightsError: it is missing, malformed or of other classes.
    """
    path = folder / MANIFEST
    try:
        entry = ScintigraphyEntry.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WeightsError(
            f"no scintigraphy weights at {folder}: cannot read {MANIFEST} ({error.strerror}); make them with "
            "`streamer scintigraphy train`"
        ) from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise WeightsError(f"{path} is damaged: {place}: {problem['msg']}") from error
    if entry.classes != CLASSES:
        raise WeightsError(f"{path} has the classes {', '.join(entry.classes)}, not {', '.join(CLASSES)}")
    return entry


def write_entry(folder: Path, entry: ScintigraphyEntry) -> None:
    """Write the manifest of a weights folder.

    Raises:
        OutputError: it cannot be written.
    """
    write_whole(folder / MANIFEST, (json.dumps(entry.model_dump(mode="json"), indent=2) + "\n").encode())


def load_network(folder: Path, entry: ScintigraphyEntry) -> nn.Module:
    """The network in a weights folder, float32, in evaluation mode.

    Raises:
        WeightsError: its file is missing, has another checksum, or does not fit.
    """
    path = folder / entry.file
    content = checked_content(path, entry.sha256, what="the weights", remedy="train or copy it again")
    network = build(entry.architecture, hidden=entry.hidden, leak=entry.leak)
    try:
        network.load_state_dict(_floats(load(content)))
    except (SafetensorError, RuntimeError) as error:
        raise WeightsError(f"{path} does not fit {entry.architecture}") from error
    return network.eval()


def _floats(tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in tensors.items()}
