"""Data types of a study: what is summed up over the frames of a clip, over a nodule's frames, over all clips."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from streamer.types import Decision, Nodule, SizeMm


@dataclass(frozen=True, slots=True, kw_only=True)
class StageTiming:
    """Percentiles of one stage's time a frame, in milliseconds."""

    p50: float
    p95: float
    p99: float
    max: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFigures:
    """How a live source was kept up with.

    Attributes:
        dropped_frames: frames that arrived and were not analysed, as a newer one was there.
        latency_ms: percentiles of the time from a frame's arrival to its result, in milliseconds.
    """

    dropped_frames: int
    latency_ms: StageTiming


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipSummary:
    """A clip as it was read to its end.

    Attributes:
        name: its name within the study.
        width, height: size of the upright frame in pixels.
        frames: frames analysed.
        fps: mean frame rate over the clip's timestamps (nominal rate for a single frame), in frames per second.
        duration_s: from the first frame's timestamp to the end of the last frame, in seconds.
        complete: False where the clip broke off or the analysis was stopped before its end; a live source is complete,
            whenever it was ended, unless its connection was lost.
        warnings: what a reader should know, one line each.
        live: latency and dropped frames of a live source; None for a recording.
        pixel_spacing_mm: size of a pixel in millimetres, x and y; None where the scale is unknown.
        rejections: frames in which nothing was looked for, by why; empty where there are none.
    """

    name: str
    width: int
    height: int
    frames: int
    fps: float
    duration_s: float
    complete: bool
    warnings: tuple[str, ...] = ()
    live: LiveFigures | None = None
    pixel_spacing_mm: tuple[float, float] | None = None
    rejections: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """One nodule over the frames that support it.

    Attributes:
        track_id: number, unique in the study.
        video: clip it was seen in.
        first_frame, last_frame: indices of the first and last supporting frame.
        supporting_frames: frames in which it is shown; those that were settled before its track was confirmed are not
            among them: live all before, of a recording those further back than it looks ahead.
        malignancy_max, malignancy_median: over the supporting frames, 0 to 1.
        key_frame: index of the frame that set the maximum (the first one if several did).
        key_time_s: its time in seconds.
        key_nodule: the nodule as seen in the key frame; whether it qualifies is as known at the end.
        qualifies: True if the track lasted long enough to count for the patient.
        decides: True if it is also supported well enough to be called malignant or benign.
        threshold: operating point for the maximum over as many frames, 0 to 1; None where nobody asked.
        largest_mm: its size where its area is largest; None where the scale is unknown.
        volume_ml: of an ellipsoid over two orthogonal sweeps; None where it is not known (`pipeline.volume`).
    """

    track_id: int
    video: str
    first_frame: int
    last_frame: int
    supporting_frames: int
    malignancy_max: float
    malignancy_median: float
    key_frame: int
    key_time_s: float
    key_nodule: Nodule
    qualifies: bool
    decides: bool = True
    threshold: float | None = None
    largest_mm: SizeMm | None = None
    volume_ml: float | None = None

    @property
    def malignant(self) -> bool:
        """Whether its maximum reaches the operating point for its number of frames, as both are published."""
        return self.threshold is not None and round(self.malignancy_max, 4) >= round(self.threshold, 4)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersion:
    """Which weights ran: role (detector, segmenter, classifier), architecture name and sha256 of the weights file."""

    role: str
    name: str
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyReport:
    """The sum of a study: all clips of one patient.

    Attributes:
        patient: identifier given by the user.
        videos: the clips in order.
        tracks: every nodule shown, qualifying or not, by track number.
        patient_malignancy: maximum over qualifying tracks (Radiology 2023;307(5):e221157); None if there is none.
        threshold: operating point of the classifier on a still, 0 to 1; each track has that of its number of frames.
        decision: "malignant" if a track that decides reaches its threshold, "undecided" if only tracks that do not
            decide reach theirs, "benign" if none does, "no nodule" if no track qualifies.
        models: weights that ran.
        settings: the settings used, as plain data.
        device: device as the user would name it, for example "cpu (OpenVINO)".
        precision: arithmetic, for example "fp32" or "fp16".
        warnings: what a user should know about how the networks ran, a line each.
        timing: percentiles a stage, over the frames that needed it.
        frames_per_second: frames analysed over wall-clock time, everything included.
        complete: False if any clip broke off or the run was stopped.
    """

    patient: str
    videos: tuple[ClipSummary, ...]
    tracks: tuple[Track, ...]
    patient_malignancy: float | None
    threshold: float
    decision: Decision
    models: tuple[ModelVersion, ...]
    settings: Mapping[str, object]
    device: str
    precision: str
    timing: Mapping[str, StageTiming]
    frames_per_second: float
    complete: bool
    warnings: tuple[str, ...] = ()
