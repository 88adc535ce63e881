"""Validated settings, read from `configs/*.yaml`. A threshold says where it comes from, or that it is a plain choice.

What belongs to the weights (input size, normalisation, crop margin, operating point) is not here: it travels with them
in `weights/manifest.json`.
"""

from __future__ import annotations

import reprlib
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import PydanticCustomError

from streamer._resources import configs_dir
from streamer._yaml import read_yaml, shortened
from streamer.errors import SettingsError
from streamer.output_registry import OUTPUTS

ModelT = TypeVar("ModelT", bound=BaseModel)
_LONGEST_VALUE = 100
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _LONGEST_VALUE
_SHORT.maxlevel = 3
Probability = Annotated[float, Field(ge=0, le=1)]


PRESETS = ("fast", "balanced", "paper")
"""Names of the configurations that ship with streamer."""


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DetectionSettings(_Section):
    """How detections are kept. `confidence` replaces the operating point stored with the detector's weights.

    It is the least confidence in a still; in a clip tracks are judged, see `TrackingSettings`.

    With `gate` nothing is looked for in frames that are no B-mode view of the neck by the gate of the weights, if they
    have one (docs/verdict.md).

    Radiology 2023's published code works at an NMS IoU of 0.5. `max_nodules` in one frame is a plain choice.
    """

    confidence: Probability | None = None
    nms_iou: Probability = 0.5
    max_nodules: Annotated[int, Field(ge=1, le=100)] = 10
    gate: bool = True


class ClassificationSettings(_Section):
    """How nodules are classified.

    `mirrored` also shows the classifier each nodule's mirror image and averages the log-odds: twice the network's time,
    and an AUC of 0.808 instead of 0.802 (`tn3k`, held-out fold, 325 images).

    `prevalence` is the share of malignant nodules where streamer is used; None for that of the data on which the
    weights were calibrated. The probability is shifted to it (Saerens et al., Neural Computation 2002;14:21-41), and so
    is the operating point: the same nodules are called, with another probability.
    """

    mirrored: bool = True
    prevalence: Annotated[float, Field(gt=0, lt=1)] | None = None

    @property
    def views(self) -> int:
        """Images of each nodule that the classifier sees."""
        return 2 if self.mirrored else 1


class TrackingSettings(_Section):
    """How detections are joined over time, and which tracks are shown.

    `min_iou` is the least overlap with the predicted box. A track survives `max_missed_frames` frames without a
    detection. With 0.1 to 0.3 and 5 to 40 frames as many nodules of `cine` keep their number, give or take one in
    twenty (docs/experiments.md). `scene_cut` is the mean absolute grey difference (0 to 255, on a 32x32 thumbnail)
    between neighbouring frames above which all tracks end: within the 56 `cine` sweeps it never exceeds 4.5, between
    one sweep and the next it is 14 at the median.

    In a clip, boxes from `candidate_confidence` on are tracked, and a track is shown once the detector's confidence in
    it was `confidence` on average over `confirming_frames` of its frames. A recording looks `look_ahead_frames` frames
    ahead for that, so that a nodule is shown from its first frame on; a live source does not. None stands for 0.46, or
    for `detection.confidence` where that is set; for 0 with a detector of your own, which has a threshold of its own.
    With 0.46 over five frames and 10 ahead, `cine` val has a sensitivity of 0.64 instead of 0.58 at the same precision
    (0.86), and 9 of 11 nodules instead of 7 keep one number; with 0.08 to 0.12 for candidates and 10 to 30 frames the
    figures hardly differ (docs/experiments.md).
    """

    min_iou: Probability = 0.2
    max_missed_frames: Annotated[int, Field(ge=0, le=300)] = 5
    scene_cut: Annotated[float, Field(gt=0, le=255)] = 8.0
    candidate_confidence: Probability = 0.1
    confidence: Probability | None = None
    confirming_frames: Annotated[int, Field(ge=1, le=100)] = 5
    look_ahead_frames: Annotated[int, Field(ge=0, le=100)] = 10


class StudySettings(_Section):
    """How a patient is summed up.

    Only tracks seen in at least `min_track_frames` frames count for the patient, so that no box that flares up decides;
    in a still, and in a clip shorter than that, every frame must support the nodule; 5 is a plain choice. `threshold`
    replaces the operating point stored with the classifier's weights; over more than one frame it rises as the weights
    say, see `streamer.models.sweep_point`, unless `threshold_rises` is false.

    A nodule may be called malignant or benign if the detector's confidences in it sum to `min_support`, or if it was
    seen in `min_clip_share` of its clip's frames. Of the 55 tracks in the `cine` sweeps that were confirmed when this
    was chosen, it left out the one that is no nodule, also by a second look (7 frames, a fifth of its clip, sum 3.0),
    and no other.
    """

    min_track_frames: Annotated[int, Field(ge=1, le=1000)] = 5
    min_support: Annotated[float, Field(ge=0, le=1000)] = 4.0
    min_clip_share: Probability = 0.25
    threshold: Probability | None = None
    threshold_rises: bool = True


class RuntimeSettings(_Section):
    """How the networks are run.

    What can change a result: `precision`; where that is "auto", `device` and `backend`, which choose it; and by
    rounding those two and `decoder`. For int8 the weights' manifest says by how much.

    `backend` "auto" takes OpenVINO on the CPU and torch on CUDA. `precision` "auto" takes the int8 versions of the
    networks on OpenVINO, where the weights have them, the processor is made for them and they compute what they should;
    and half precision on CUDA, whose cost has not been measured yet. "fp32" is the reference everywhere. `decoder`
    "cuda" leaves decoding to the GPU's video engine, for the many streams that a GPU may carry; not measured.
    `batch_frames` is the micro-batch in frames, 0 for the backend's own choice; `threads` is the number of CPU threads,
    0 for all cores.
    """

    device: Literal["auto", "cpu", "cuda"] = "auto"
    backend: Literal["auto", "openvino", "torch"] = "auto"
    precision: Literal["auto", "fp32", "int8"] = "auto"
    decoder: Literal["cpu", "cuda"] = "cpu"
    batch_frames: Annotated[int, Field(ge=0, le=64)] = 0
    threads: Annotated[int, Field(ge=0, le=256)] = 0


class OverlaySettings(_Section):
    """What the overlay video shows and how it is encoded (x264 preset and constant rate factor).

    `heatmap` colours each nodule by where its malignancy comes from, in every frame, instead of tinting it; not where
    the weights' map was measured to be no better than chance.
    """

    boxes: bool = True
    contours: bool = True
    heatmap: bool = False
    labels: bool = True
    preset: Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium"] = "ultrafast"
    crf: Annotated[int, Field(ge=0, le=51)] = 18


class InputSettings(_Section):
    """How clips are read.

    `deinterlace` "auto" makes whole pictures of those that the stream calls interlaced (FFmpeg's `bwdif`), "on" of all,
    "off" of none. Some capture cards do not say that their pictures are interlaced: "on" is for these.
    """

    deinterlace: Literal["auto", "on", "off"] = "auto"

    @field_validator("deinterlace", mode="before")
    @classmethod
    def _as_yaml_reads_it(cls, value: Any) -> Any:
        """YAML takes an unquoted on or off for true or false."""
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


def _registered(name: str) -> str:
    if name not in OUTPUTS:
        *others, last = map(repr, OUTPUTS)
        raise PydanticCustomError(
            "unknown_output", "Input should be {known}", {"known": f"{', '.join(others)} or {last}"}
        )
    return name


OutputName = Annotated[str, AfterValidator(_registered)]
"""Name of a registered output, see `streamer.output_registry`."""


def standard_outputs() -> tuple[OutputName, ...]:
    """What a run writes where its settings do not say."""
    return tuple(name for name, spec in OUTPUTS.items() if spec.standard)


class Settings(_Section):
    """All settings of a run.

    `outputs` chooses what is written: `overlay` (video), `frames` (JSON lines), `key_frames` (a picture per nodule),
    `report_html`, `report_json`, and besides these `csv` (a row per nodule and frame) and `dicom` (results of DICOM
    clips as DICOM objects). The page has a timeline and pictures only where `frames` and `key_frames` are written, too.

    Raises:
        ValidationError: of pydantic, where a program gives a value that is unknown or out of bounds.
    """

    detection: DetectionSettings = DetectionSettings()
    classification: ClassificationSettings = ClassificationSettings()
    tracking: TrackingSettings = TrackingSettings()
    study: StudySettings = StudySettings()
    runtime: RuntimeSettings = RuntimeSettings()
    overlay: OverlaySettings = OverlaySettings()
    input: InputSettings = InputSettings()
    outputs: Annotated[tuple[OutputName, ...], Field(min_length=1)] = Field(default_factory=standard_outputs)
    weights: Path | None = None
    """Folder with `manifest.json` and the weights; None for those that came with streamer."""

    def with_output(self, name: OutputName) -> Settings:
        """A copy that writes one output more."""
        return self if name in self.outputs else self.model_copy(update={"outputs": (*self.outputs, name)})

    def with_runtime(self, **changes: Any) -> Settings:
        """A copy with some runtime settings replaced (validated).

        Raises:
            SettingsError: a value is out of bounds.
        """
        data = self.model_dump()
        data["runtime"] |= changes
        return validated(Settings, data, "command line")


def checked_settings(settings: object) -> Settings:
    """The settings, if they are some; the defaults for None.

    Raises:
        SettingsError: they are something else, such as the name of a preset.
    """
    if settings is None:
        return Settings()
    if not isinstance(settings, Settings):
        kind = type(settings).__name__
        raise SettingsError(f"settings must be streamer.Settings, as from load_settings, not a {kind}")
    return settings


def load_settings(path: str | Path | None = None) -> Settings:
    """Read settings from a YAML file, or a preset by its name; without a path, the defaults.

    Args:
        path: a file, or "fast", "balanced" or "paper".

    Raises:
        SettingsError: the file is missing, is not YAML, or a value is unknown or out of bounds.

    Example:
        >>> load_settings("fast").classification.mirrored
        False
    """
    if path is None:
        return Settings()
    given: object = path  # of a program that is not type-checked: `read_yaml` refuses what is no path
    if isinstance(given, (str, Path)) and not Path(path).exists():
        if str(path) in PRESETS:
            path = configs_dir() / f"{path}.yaml"
        elif not Path(path).suffix:
            raise SettingsError(f"there is no configuration file {path}, and no such preset: {', '.join(PRESETS)}")
    return validated(Settings, read_yaml(path), str(path))


def validated(model: type[ModelT], data: object, origin: str) -> ModelT:
    """`data` as an instance of `model`.

    Raises:
        SettingsError: names the first setting that is wrong, its value, and `origin`, the place it came from.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise SettingsError(_describe(error, model, origin)) from error


def _describe(error: ValidationError, model: type[BaseModel], origin: str) -> str:
    """The first problem of a pydantic error as one line: setting, complaint, value, and where it stands."""
    problem = error.errors(include_input=True, include_url=False)[0]
    if not problem["loc"]:  # about several settings together
        return f"{origin}: {shortened(problem['msg'])}"
    name, value = shortened(".".join(str(part) for part in problem["loc"]), _LONGEST_VALUE), _repr(problem["input"])
    if problem["type"] == "extra_forbidden":
        known = ", ".join(_known(model, problem["loc"][:-1]))
        wrong = f"{origin}: there is no setting '{name}' (got {value})"
        return wrong + (f"; known there: {known}" if known else "")
    return f"{origin}: setting '{name}': {shortened(problem['msg'])} (got {value})"


def _repr(value: object) -> str:
    """A value as Python writes it, shortened where it is long or deep, before it fills the memory."""
    return _SHORT.repr(value)


def _known(model: type[BaseModel], section: tuple[int | str, ...]) -> list[str]:
    """Names of the settings in a section of `model`, given by the names that lead to it."""
    for part in section:
        field = model.model_fields.get(str(part))
        if field is None or not isinstance(field.annotation, type) or not issubclass(field.annotation, BaseModel):
            return []
        model = field.annotation
    return list(model.model_fields)
