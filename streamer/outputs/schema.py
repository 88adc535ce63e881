"""What `frames.jsonl` and `report.json` hold: pydantic models, readers, JSON Schema.

The schemas lie beside this file in `schemas/`, by major version. A minor version only adds fields, so readers ignore
what they do not know; lengths are source pixels, times seconds from the clip's first frame.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, AliasChoices, BaseModel, ConfigDict, Field, ValidationError, model_validator

from streamer.errors import InputError
from streamer.types import Decision

# 2.0 renamed a nodule's `counts` to `qualifies` and `score` to `track_confidence`, and added the frame's `confidence`
# and sizes in millimetres. Files of version 1.4 are still read.
# 2.1 added the decision `undecided` and `decisive_nodule`.
SCHEMA_VERSION = "2.1"
RESEARCH_USE_ONLY = "Research use only. Not a medical device; not for diagnosis or treatment decisions."

Probability = Annotated[float, Field(ge=0, le=1)]
Length = Annotated[float, Field(ge=0)]
Milliseconds = Annotated[float, Field(ge=0), AfterValidator(lambda value: round(value, 3))]
Count = Annotated[int, Field(ge=0)]
CTirads = Literal["3", "4a", "4b", "4c", "5"]
BoxXyxy = tuple[float, float, float, float]
ModelT = TypeVar("ModelT", bound=BaseModel)

C_TIRADS: tuple[CTirads, ...] = get_args(CTirads)
"""Categories a reader may give a nodule (C-TIRADS 2020), less those that no nodule or a biopsy decides."""
LONGEST_NOTE = 4000
"""Characters of a reader's note."""


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class NoduleLine(_Model):
    """A nodule in one frame."""

    track: Annotated[int, Field(ge=1, description="number of the nodule, unique in the study")]
    box_xyxy: Annotated[BoxXyxy, Field(description="left, top, right, bottom in source pixels, half-open")]
    confidence: Annotated[
        Probability | None, Field(description="confidence of the detector in this frame; null in files of version 1")
    ] = None
    track_confidence: Annotated[
        Probability,
        Field(
            validation_alias=AliasChoices("track_confidence", "score"),
            description="mean confidence of the detector over the track's frames so far",
        ),
    ]
    malignancy: Annotated[Probability, Field(description="probability of malignancy")]
    contour_xy: Annotated[list[tuple[int, int]], Field(description="outline in source pixels, empty if none was found")]
    long_axis_px: Annotated[Length, Field(description="longest diameter of the outline")]
    short_axis_px: Annotated[Length, Field(description="extent at right angles to the long axis")]
    area_px: Annotated[Length, Field(description="area of the outline in square pixels")]
    long_axis_mm: Annotated[Length | None, Field(description="null where the pixel spacing is unknown")] = None
    short_axis_mm: Annotated[Length | None, Field(description="null where the pixel spacing is unknown")] = None
    area_mm2: Annotated[Length | None, Field(description="null where the pixel spacing is unknown")] = None
    qualifies: Annotated[
        bool,
        Field(
            validation_alias=AliasChoices("qualifies", "counts"),
            description="known by now to last long enough to count for the patient",
        ),
    ]


class FrameLine(_Model):
    """One line of `frames.jsonl`: what was found in one frame."""

    video: Annotated[str, Field(description="name of the clip within the study")]
    frame: Annotated[Count, Field(description="position in the clip, from 0")]
    time_s: Annotated[float, Field(description="container timestamp relative to the clip's first frame")]
    nodules: Annotated[list[NoduleLine], Field(description="nodules in view, by track number")]
    patient_malignancy: Annotated[Probability | None, Field(description="running maximum, null while none")] = None
    rejected: Annotated[
        str | None, Field(description="why nothing was looked for in this frame; null where something was")
    ] = None


class StageEntry(_Model):
    """Percentiles of one stage's time a frame in milliseconds."""

    p50: Annotated[Milliseconds, Field(description="median, in milliseconds")]
    p95: Annotated[Milliseconds, Field(description="95th percentile, in milliseconds")]
    p99: Annotated[Milliseconds, Field(description="99th percentile, in milliseconds")]
    max: Annotated[Milliseconds, Field(description="longest, in milliseconds")]


class LiveEntry(_Model):
    """How a live source was kept up with."""

    dropped_frames: Annotated[Count, Field(description="frames that arrived and were overtaken before their analysis")]
    latency_ms: Annotated[StageEntry, Field(description="from a frame's arrival to its result")]


class VideoEntry(_Model):
    """A clip of the study."""

    name: Annotated[str, Field(description="name of the clip within the study")]
    width: Annotated[Count, Field(description="pixels, after rotation metadata was applied")]
    height: Annotated[Count, Field(description="pixels, after rotation metadata was applied")]
    pixel_spacing_mm: Annotated[
        tuple[float, float] | None,
        Field(description="size of a pixel in millimetres, x and y; null where it is unknown"),
    ] = None
    frames: Annotated[Count, Field(description="frames analysed")]
    fps: Annotated[
        Length,
        Field(description="mean frame rate by the container's timestamps; dropped frames of a live source count"),
    ]
    duration_s: Annotated[Length, Field(description="from the first frame to the end of the last, in seconds")]
    overlay: Annotated[str | None, Field(description="overlay video beside the report; null if no frame was read")]
    complete: Annotated[bool, Field(description="false where the clip broke off or the analysis was stopped")]
    warnings: Annotated[list[str], Field(description="what a reader should know of the clip, one line each")]
    rejections: Annotated[
        dict[str, Count], Field(description="frames in which nothing was looked for, by why; empty if there are none")
    ] = {}
    live: Annotated[LiveEntry | None, Field(description="of a live source, null for a recording")] = None


class ReaderEntry(_Model):
    """What a reader says of a nodule."""

    c_tirads: Annotated[CTirads | None, Field(description="C-TIRADS 2020 category; null if none was chosen")]
    note: Annotated[str, Field(max_length=LONGEST_NOTE, description="what the reader wrote, empty if nothing")]


class NoduleEntry(_Model):
    """A nodule over all frames that support it."""

    track: Annotated[int, Field(ge=1, description="number of the nodule, unique in the study")]
    video: Annotated[str, Field(description="name of the clip that it was seen in")]
    first_frame: Annotated[Count, Field(description="first frame in which it is shown")]
    last_frame: Annotated[Count, Field(description="last frame in which it was detected")]
    supporting_frames: Annotated[Count, Field(description="frames in which it is shown")]
    malignancy_max: Annotated[Probability, Field(description="highest probability of malignancy of those frames")]
    malignancy_median: Annotated[Probability, Field(description="median over those frames")]
    key_frame: Annotated[Count, Field(description="the frame that set the maximum")]
    key_time_s: Annotated[float, Field(description="time of the key frame")]
    key_nodule: Annotated[
        NoduleLine, Field(description="the nodule as measured in the key frame; `qualifies` as it is known at the end")
    ]
    qualifies: Annotated[bool, Field(description="true if the track lasted long enough to count for the patient")]
    decides: Annotated[bool, Field(description="true if it is supported well enough to be called malignant or benign")]
    threshold: Annotated[
        Probability | None, Field(description="operating point for the maximum over as many frames, null if unknown")
    ]
    image: Annotated[str | None, Field(description="picture of the key frame beside the report; null if there is none")]
    reader: Annotated[ReaderEntry | None, Field(description="of a human reader, null while there is none")] = None
    volume_ml: Annotated[
        float | None, Field(description="of an ellipsoid over two orthogonal sweeps, null where it is not known")
    ] = None

    @property
    def malignant(self) -> bool:
        """Whether its maximum reaches the operating point for its number of frames; False where that is unknown."""
        return self.threshold is not None and self.malignancy_max >= self.threshold


class UsedModel(_Model):
    """Weights that ran."""

    role: Annotated[str, Field(description="detector, segmenter or classifier")]
    name: Annotated[str, Field(description="architecture")]
    sha256: Annotated[str, Field(description="checksum of the weights file")]


class TimingEntry(_Model):
    """How fast the run was."""

    frames_per_second: Annotated[Length, Field(description="frames analysed over wall-clock time")]
    stages_ms: Annotated[
        dict[str, StageEntry], Field(description="time of each stage, by its name, per frame that needed it")
    ]


class Report(_Model):
    """`report.json`: the sum of a study. It is written last: where it is, all other files are."""

    schema_version: Annotated[str, Field(pattern=r"^[12]\.[0-9]+$", description="version of this format")]
    streamer_version: Annotated[str, Field(description="version of streamer that wrote it")]
    created: Annotated[datetime, Field(description="when the report was written, with time zone")]
    research_use_only: Annotated[str, Field(description="what the results may not be used for")]
    patient: Annotated[str, Field(description="identifier given by the user, empty if none was")]
    complete: Annotated[bool, Field(description="false if any clip broke off or the run was stopped")]
    decision: Annotated[
        Decision,
        Field(
            description="malignant if a nodule that decides reaches its own threshold; undecided if only nodules "
            "reach theirs that were seen too briefly to decide"
        ),
    ]
    decisive_nodule: Annotated[
        Count | None, Field(description="track of the nodule that speaks for the decision, with a threshold of its own")
    ] = None
    patient_malignancy: Annotated[Probability | None, Field(description="maximum over qualifying nodules")]
    threshold: Annotated[
        Probability,
        Field(description="operating point of the classifier on a still; each nodule of a clip has its own"),
    ]
    videos: Annotated[list[VideoEntry], Field(description="the clips in order")]
    nodules: Annotated[list[NoduleEntry], Field(description="every nodule shown, qualifying or not")]
    models: Annotated[list[UsedModel], Field(description="networks that ran")]
    device: Annotated[str, Field(description="what they ran on, such as CPU (OpenVINO 2026.4.1)")]
    precision: Annotated[str, Field(description="arithmetic: fp32, fp16 or int8")]
    warnings: Annotated[list[str], Field(description="how the networks ran, and clips that were not analysed")] = []
    timing: Annotated[TimingEntry, Field(description="how fast the run was")]
    settings: Annotated[dict[str, Any], Field(description="the settings of the run, as in a configuration file")]

    @model_validator(mode="after")
    def _no_invented_probability(self) -> Self:
        if (self.decision == "no nodule") != (self.patient_malignancy is None):
            raise ValueError("'patient_malignancy' must be null exactly where 'decision' is 'no nodule'")
        return self


def read_report(path: str | Path) -> Report:
    """Read a `report.json`.

    Raises:
        InputError: the file is missing, or is not a report that this version of streamer reads.
    """
    _check_path(path)
    try:
        return _parsed(Report, Path(path).read_bytes(), str(path))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def read_frames(path: str | Path) -> Iterator[FrameLine]:
    """Read a `frames.jsonl` line by line, so that memory does not grow with its length.

    Raises:
        InputError: the file is missing, or a line (named by its number) is not one that this version of streamer reads.
    """
    _check_path(path)
    try:
        with Path(path).open("rb") as file:
            for number, line in enumerate(file, start=1):
                yield _parsed(FrameLine, line, f"{path}, line {number}")
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error


def _check_path(path: object) -> None:
    if not isinstance(path, (str, os.PathLike)):
        raise InputError(f"a path is needed, not a {type(path).__name__}")


def json_schemas() -> dict[str, dict[str, Any]]:
    """The JSON Schemas by file name, as kept in `schemas/`."""
    dialect = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    models: dict[str, type[_Model]] = {"frames-2.json": FrameLine, "report-2.json": Report}
    return {name: dialect | model.model_json_schema(mode="serialization") for name, model in models.items()}


def _parsed(model: type[ModelT], data: bytes, origin: str) -> ModelT:
    try:
        return model.model_validate_json(data)
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"]) or "content"
        raise InputError(f"{origin} is not what streamer writes: {place}: {problem['msg']}") from error
