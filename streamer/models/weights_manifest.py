"""The manifest of a weights folder: what each network needs to run as it was trained, and what is known of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamer._files import write_whole
from streamer.errors import WeightsError
from streamer.models.registry import TASKS
from streamer.models.sweep_point import SweepOperatingPoint

MANIFEST = "manifest.json"


def _registered(name: str) -> str:
    if name not in TASKS:
        raise ValueError(f"there is no network {name!r}: it is one of {', '.join(TASKS)}")
    return name


Role = Annotated[str, AfterValidator(_registered)]
"""Name of a task in `streamer.models.registry`, which a network does."""


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


class SourceAmount(_Entry):
    """What a training took of one source.

    Attributes:
        images: stills and frames.
        groups: the smallest units that may be split.
        unit: what such a unit is: patient, case, block; empty where a manifest older than version 2 does not say.
        with_nodule: images known to show a nodule.
        labels: images of each class that is known.
        simulated: whether streamer made the images itself.

    Example:
        >>> SourceAmount(images=4, groups=2, unit="case", with_nodule=3, labels={"benign": 1}).text()
        '4 images of 2 cases, 3 with a nodule; 1 benign'
    """

    images: Annotated[int, Field(ge=0)]
    groups: Annotated[int, Field(ge=0)] = 0
    unit: str = ""
    with_nodule: Annotated[int, Field(ge=0)] = 0
    labels: dict[str, int] = {}
    simulated: bool = False

    def text(self, unit: str = "") -> str:
        """The amount in a line; `unit` is what a group is where the amount does not say."""
        if self.simulated:
            return f"{self.images} simulated images"
        unit = self.unit or unit or "group"
        groups = "" if unit == "image" else f" of {self.groups} {unit}s"
        labels = ", ".join(f"{count} {label}" for label, count in self.labels.items())
        return f"{self.images} images{groups}, {self.with_nodule} with a nodule" + (f"; {labels}" if labels else "")

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, value: Any) -> Any:
        """Manifests before version 2 had a sentence, in which every group was called a patient."""
        if not isinstance(value, str):
            return value
        if simulated := _SIMULATED.match(value):
            return {"images": simulated[1], "simulated": True}
        amount = _AMOUNT.match(value)
        if amount is None:
            raise ValueError(f"{value!r} is no amount of images")
        labels = {label: count for count, label in _LABEL.findall(amount[4] or "")}
        return {"images": amount[1], "groups": amount[2], "with_nodule": amount[3] or 0, "labels": labels}


_AMOUNT = re.compile(r"(\d+) images of (\d+) patients(?:, (\d+) with a nodule(?:; (.*))?)?$")
_SIMULATED = re.compile(r"(\d+) simulated")
_LABEL = re.compile(r"(\d+) (\w+)")
_THREADS = re.compile(r"(.+), (\d+) threads$")


class Training(_Entry):
    """Where weights come from: configuration, amount of data by source, time, hardware and versions.

    `splits` says by source how images came into their splits; `built_on` holds the SHA-256 of what the training started
    from or was taught by: networks by role, and "init" for a file of tensors.
    """

    config: dict[str, Any]
    data: dict[str, SourceAmount]
    data_sha256: str
    hours: float
    epochs: int
    hardware: str
    threads: Annotated[int, Field(ge=1)] | None = None
    """Threads of a CPU; None on a GPU."""
    versions: dict[str, str]
    splits: dict[str, str] = {}
    built_on: dict[str, str] = {}

    @model_validator(mode="before")
    @classmethod
    def _read_version_1(cls, value: Any) -> Any:
        """Manifests before version 2 had the threads in the hardware's name."""
        threads = _THREADS.match(str(value.get("hardware"))) if isinstance(value, dict) else None
        return {**value, "hardware": threads[1], "threads": threads[2]} if threads else value


class OpenVinoVersion(_Entry):
    """A network as OpenVINO reads it, and what it was made from.

    Attributes:
        file: OpenVINO's `.xml`, relative to the weights folder; the `.bin` lies beside it.
        xml_sha256: checksum of that file.
        bin_sha256: checksum of the file beside it.
        weights_sha256: checksum of the weights it was made from.
        preprocessing: the preprocessing that is built into it.
        versions: of the libraries that made it.
        probe: what it gives for the synthetic probe image, see `streamer.models.openvino_files.summary`.
        joined_with: checksums of the weights of other networks that are in the same file.
    """

    file: Annotated[str, Field(pattern=r"^(\w[\w-]*/)*\w[\w.-]*$")]
    xml_sha256: str
    bin_sha256: str
    weights_sha256: str
    preprocessing: Preprocessing
    versions: dict[str, str]
    probe: tuple[tuple[float, ...], ...]
    joined_with: dict[Role, str] = {}


class Int8Version(OpenVinoVersion):
    """A network quantised to int8.

    Attributes:
        calibration: images a source that set the ranges of its integers; all of the training split.
        fp32_layers: patterns of layer names that were left in float32.
        correlation: of its output with float32's on calibration images; the lowest of the output's channels.
        cost: figures in int8 minus the same in float32, by name and data, as `streamer evaluate` measured them.
    """

    calibration: dict[str, int]
    fp32_layers: tuple[str, ...]
    correlation: float
    cost: dict[str, float] = {}


class Fp32Version(OpenVinoVersion):
    """A network in float32 arithmetic, whose weights lie in half precision as those of the safetensors file do.

    Attributes:
        difference: largest difference of its output from torch's on the probe image, as a share of the largest number
            in the same channel of the output.
    """

    difference: Annotated[float, Field(ge=0)]


HEAT_ABOVE_CHANCE = "heat map's mass inside the nodule, less chance"
"""Name of the figure that says whether a classifier looks at the nodule."""


class SweepSpread(_Entry):
    """How a nodule's log-odds vary within a sweep, see `streamer.models.sweep_point`.

    Attributes:
        deviation: standard deviation of the calibrated log-odds.
        correlation_frames: frames after which a reading is a new one.
        mean: of the nodules' log-odds.
        reading_deviation: standard deviation of single readings of any nodule; None where nobody noted it.
        source: what it was measured on.
    """

    deviation: Annotated[float, Field(ge=0)]
    correlation_frames: Annotated[float, Field(ge=1)]
    mean: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    reading_deviation: Annotated[float, Field(gt=0)] | None = None
    source: str

    def operating_point(self, threshold: float, shift: float = 0.0) -> SweepOperatingPoint:
        """The operating point of a sweep that goes with a still's, 0 to 1; `shift` was added to all log-odds."""
        return SweepOperatingPoint(
            threshold, self.deviation, self.correlation_frames, self.mean + shift, self.reading_deviation
        )


class ModelEntry(_Entry):
    """One network in the manifest.

    `operating_point` is the detector's confidence, the segmenter's cut on its probability map, or the malignancy
    probability from which a nodule is called malignant. The classifier's log-odds are divided by `temperature`, and
    `offset` is added, before they become a probability. `encoder_from` is the checksum of the classifier whose encoder
    a segmenter has, bit for bit. `prevalence` is the share of malignant nodules at which the classifier's probability
    was calibrated; None where nobody noted it. `sweep` is how its readings of a nodule vary within a sweep.
    """

    file: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
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
    encoder_from: str | None = None
    int8: Int8Version | None = None
    fp32: Fp32Version | None = None
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None
    sweep: SweepSpread | None = None

    @property
    def explains(self) -> bool:
        """Whether the classifier's heat maps lie inside the nodule more than by chance, wherever that was measured."""
        return all(figure.low > 0 for figure in self.figures if figure.name == HEAT_ABOVE_CHANCE)


class GateEntry(_Entry):
    """The gate in front of the answers, see `streamer.models.gate`.

    Attributes:
        file: its parameters, in the weights folder.
        sha256: checksum of that file.
        detector_sha256: checksum of the detector whose features it judges.
        min_scores: of the two scores of known views, from which on a frame passes.
        max_distance: distance from known views up to which it does.
        source: what it was fitted to.
        figures: shares of frames that it rejected, by kind of picture.
    """

    file: Annotated[str, Field(pattern=r"^\w[\w.-]*$")]
    sha256: str
    detector_sha256: str
    min_scores: tuple[float, float]
    max_distance: float
    source: str
    figures: tuple[ReportedFigure, ...] = ()


class Manifest(_Entry):
    """All networks of a weights folder, and the gate in front of them, if any."""

    version: Literal[1, 2] = 2
    models: dict[Role, ModelEntry]
    gate: GateEntry | None = None

    @property
    def one_encoder(self) -> bool:
        """Whether segmenter and classifier have the same encoder and see the same crops, and so can run as one."""
        segmenter, classifier = self.models.get("segmenter"), self.models.get("classifier")
        return (
            segmenter is not None
            and classifier is not None
            and segmenter.encoder_from == classifier.sha256
            and segmenter.preprocessing == classifier.preprocessing
        )


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


def write_entry(folder: Path, role: Role, entry: ModelEntry) -> None:
    """Add or replace one network in a folder's manifest.

    Raises:
        OutputError: the manifest cannot be written.
    """
    path = folder / MANIFEST
    before = read_manifest(folder) if path.is_file() else Manifest(models={})
    models = {**before.models, role: entry}
    kept = before.gate if before.gate and before.gate.detector_sha256 == models["detector"].sha256 else None
    _write(path, Manifest(models={name: models[name] for name in TASKS if name in models}, gate=kept))


def write_gate(folder: Path, gate: GateEntry) -> None:
    """Add or replace the gate in a folder's manifest.

    Raises:
        WeightsError: the folder has no manifest.
        OutputError: the manifest cannot be written.
    """
    _write(folder / MANIFEST, read_manifest(folder).model_copy(update={"version": 2, "gate": gate}))


def _write(path: Path, manifest: Manifest) -> None:
    write_whole(path, (json.dumps(manifest.model_dump(mode="json"), indent=2) + "\n").encode())
