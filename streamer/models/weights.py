"""Weights and their manifest: what a network needs to run as it was trained, checked before use.

A weights folder holds `manifest.json` and one safetensors file a network, half precision. Nothing is ever unpickled.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import nn

from streamer.errors import OutputError, WeightsError
from streamer.models.networks import build_classifier, build_detector, build_segmenter

Role = Literal["detector", "segmenter", "classifier"]
ROLES: tuple[Role, ...] = ("detector", "segmenter", "classifier")
MANIFEST = "manifest.json"
ARCHITECTURES: dict[Role, tuple[str, ...]] = {
    "detector": ("yolov5n", "yolov5s", "yolov5m", "yolov5l", "yolov5x"),
    "segmenter": ("densenet121-fpn",),
    "classifier": ("densenet121",),
}
_REASON_CHARACTERS = 200  # torch lists every tensor that does not fit


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Preprocessing(_Entry):
    """How pixels reach a network; it travels with the weights.

    `frame` is letterboxed whole, `crop` is a square window around a box with `margin` times its longer side all round.
    Both are grey (ITU-R BT.601 luma), scaled to `size_wh`, padded with zero, and normalised as
    `(value / 255 - mean) / std`. The networks halve their input five times, so its sides are multiples of 32.
    """

    view: Literal["frame", "crop"]
    size_wh: tuple[Annotated[int, Field(ge=32, multiple_of=32)], Annotated[int, Field(ge=32, multiple_of=32)]]
    mean: float
    std: Annotated[float, Field(gt=0)]
    margin: Annotated[float, Field(ge=0)] = 0.0

    @model_validator(mode="after")
    def _crops_are_square(self) -> Self:
        if self.view == "crop" and self.size_wh[0] != self.size_wh[1]:
            raise ValueError("crops are square, but size_wh is not")
        return self


class ReportedFigure(_Entry):
    """An accuracy figure with the data and split it was measured on, their number, and a 95 % interval."""

    name: str
    value: float
    low: float
    high: float
    data: str
    split: str
    count: int
    clusters: int
    method: str


class Training(_Entry):
    """Where weights come from: configuration, data (images and patients a source), time and versions.

    `splits` says by source how images came into their splits; `built_on` holds the SHA-256 of what the training started
    from or was taught by: networks by role, and "init" for a file of tensors.
    """

    config: dict[str, Any]
    data: dict[str, str]
    data_sha256: str
    hours: float
    epochs: int
    hardware: str
    versions: dict[str, str]
    splits: dict[str, str] = {}
    built_on: dict[str, str] = {}


class Int8Version(_Entry):
    """A network quantised to int8 for OpenVINO on the CPU, and what it was made from.

    Attributes:
        file: OpenVINO's `.xml`, relative to the weights folder; the `.bin` lies beside it.
        xml_sha256: checksum of that file.
        bin_sha256: checksum of the file beside it.
        weights_sha256: checksum of the weights it was made from.
        preprocessing: the preprocessing that is built into it.
        calibration: images a source that set the ranges of its integers; all of the training split.
        fp32_layers: patterns of layer names that were left in float32.
        versions: of the libraries that made it.
        correlation: of its output with float32's on calibration images; the lowest of the output's channels.
        probe: what it gives for the synthetic probe image, see `streamer.models.int8.summary`.
        cost: figures in int8 minus the same in float32, by name and data, as `streamer evaluate` measured them.
    """

    file: str
    xml_sha256: str
    bin_sha256: str
    weights_sha256: str
    preprocessing: Preprocessing
    calibration: dict[str, int]
    fp32_layers: tuple[str, ...]
    versions: dict[str, str]
    correlation: float
    probe: tuple[tuple[float, ...], ...]
    cost: dict[str, float] = {}


class ModelEntry(_Entry):
    """One network in the manifest.

    `operating_point` is the detector's confidence, the segmenter's cut on its probability map, or the malignancy
    probability from which a nodule is called malignant. The classifier's log-odds are divided by `temperature`, and
    `offset` is added, before they become a probability.
    """

    file: str
    sha256: str
    architecture: str
    preprocessing: Preprocessing
    classes: tuple[str, ...]
    operating_point: Annotated[float, Field(ge=0, le=1)]
    operating_point_source: str
    temperature: Annotated[float, Field(gt=0)] = 1.0
    offset: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    training: Training
    figures: tuple[ReportedFigure, ...] = ()
    licence: str
    int8: Int8Version | None = None


class Manifest(_Entry):
    """All networks of a weights folder."""

    version: Literal[1] = 1
    models: dict[Role, ModelEntry]


def read_manifest(folder: Path) -> Manifest:
    """Read and validate a weights folder's manifest.

    Raises:
        WeightsError: it is missing or malformed.
    """
    path = folder / MANIFEST
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except OSError as error:
        raise WeightsError(f"no weights at {folder}: cannot read {MANIFEST} ({error.strerror})") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"])) or "the file"
        raise WeightsError(f"{path} is damaged: {place}: {problem['msg']}") from error


def build(architecture: str) -> nn.Module:
    """A randomly initialised network by its manifest name.

    Raises:
        WeightsError: unknown name.
    """
    if architecture in ARCHITECTURES["detector"]:
        return build_detector(architecture)
    if architecture == "densenet121-fpn":
        return build_segmenter()
    if architecture == "densenet121":
        return build_classifier()
    raise WeightsError(f"unknown architecture {architecture!r}: yolov5n to yolov5x, densenet121-fpn, densenet121")


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
    if entry.architecture not in ARCHITECTURES[role]:
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
    _write(path, content)
    return hashlib.sha256(content).hexdigest()


def publish(run: Path, weights: Path) -> list[Role]:
    """Take the networks of a training run's folder over into a weights folder, beside those already there.

    Their int8 versions there are dropped: they belong to the weights that are replaced.

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
        _write(weights / entry.file, (run / entry.file).read_bytes())
        write_entry(weights, role, entry.model_copy(update={"int8": None}))
        for path in int8_files(weights, role):  # made from other weights
            with contextlib.suppress(OSError):  # the manifest no longer names them
                path.unlink()
    return list(manifest.models)


def int8_files(folder: Path, role: Role) -> tuple[Path, Path]:
    """Where the int8 version of a network lies in a weights folder: OpenVINO's `.xml` and `.bin`."""
    return folder / "int8" / f"{role}.xml", folder / "int8" / f"{role}.bin"


def write_entry(folder: Path, role: Role, entry: ModelEntry) -> None:
    """Add or replace one network in a folder's manifest.

    Raises:
        OutputError: the manifest cannot be written.
    """
    path = folder / MANIFEST
    models = dict(read_manifest(folder).models) if path.is_file() else {}
    models[role] = entry
    manifest = Manifest(models={name: models[name] for name in ROLES if name in models})
    _write(path, (json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode())


def _write(path: Path, content: bytes) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error


def _single(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.is_floating_point() else tensor
