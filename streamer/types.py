"""Data types passed between pipeline stages: clip, frame, finding, nodule, frame result. What is summed
up over frames is in `summaries`.

Coordinates are source pixels, x to the right and y down, origin at the upper left corner of the upper left pixel.
Times are seconds from the first frame of the clip. Colour is RGB everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    import supervision as sv
    from pydicom.dataset import Dataset

Image = npt.NDArray[np.uint8]
"""RGB image, shape (height, width, 3), values 0 to 255."""

Grey = npt.NDArray[np.uint8]
"""Grey image, or several, shape (height, width) or (n, height, width), values 0 to 255."""

Heat = npt.NDArray[np.float32]
"""A map of shape (height, width), 0 to 1, relative to its own highest value; 0 everywhere if nothing is positive."""

Plane = Literal["transverse", "longitudinal"]
"""How a sweep cuts the gland."""

Decision = Literal["benign", "malignant", "undecided", "no nodule"]

PLAUSIBLE_SPACING_MM = (0.001, 5.0)
"""A pixel of 5 mm shows half a metre in 100 of them, one of a micrometre is far below the wavelength."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanView:
    """One ultrasound picture within the frame; boxes are left, top, right, bottom in whole pixels, half-open.

    Attributes:
        box_xyxy: its place.
        hidden: parts of it that show something else than B-mode tissue, such as a colour-flow box or an ECG strip.
        spacing_mm: size of its pixels in millimetres, x and y; None where it is unknown.
    """

    box_xyxy: tuple[int, int, int, int]
    hidden: tuple[tuple[int, int, int, int], ...] = ()
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipInfo:
    """What is known of a clip before its frames are read: travels from the source to every output.

    Attributes:
        name: display name: file or folder name unless another was given; unique in the study.
        width, height: size of the first upright frame in pixels.
        fps: nominal frame rate in frames per second; frames carry their own times.
        pixel_aspect: width of an upright frame's pixel over its height; 1 where nobody says otherwise.
        pixel_spacing_mm: size of a pixel in millimetres, x and y; None where the scale is unknown.
        scan_region_xyxy: the part of the frame that shows tissue, half-open, in pixels; None for all of it.
        attributes: what the source says besides, by the standard's keyword; never logged.
        header: the header of a DICOM file, without pixels, for the DICOM outputs; never logged, None for other clips.
        plane: plane of the sweep; None where neither the user nor the file says.

    Raises:
        ValueError: the pixel spacing is not two numbers from 0.001 to 5.

    Example:
        >>> ClipInfo(name="sweep.mp4", width=640, height=480, fps=30.0).pixel_spacing_mm is None
        True
    """

    name: str
    width: int
    height: int
    fps: float
    pixel_aspect: Fraction = Fraction(1)
    pixel_spacing_mm: tuple[float, float] | None = None
    scan_region_xyxy: tuple[int, int, int, int] | None = None
    attributes: Mapping[str, str] = field(default_factory=dict, repr=False)
    header: Dataset | None = field(default=None, repr=False, compare=False)
    plane: Plane | None = None

    def __post_init__(self) -> None:
        """Refuse a spacing that is none."""
        if self.pixel_spacing_mm is not None:
            object.__setattr__(self, "pixel_spacing_mm", checked_spacing(self.pixel_spacing_mm))


def checked_spacing(spacing_mm: tuple[float, float]) -> tuple[float, float]:
    """A pixel spacing in millimetres, x and y, as a tuple of floats: a list or an array will do.

    Raises:
        ValueError: it is not two numbers from 0.001 to 5.

    Example:
        >>> checked_spacing([0.1, 0.2])
        (0.1, 0.2)
    """
    given: object = spacing_mm  # of a program that is not type-checked
    values = list(given) if isinstance(given, Iterable) else []
    least, largest = PLAUSIBLE_SPACING_MM
    known = all(isinstance(value, (int, float, np.number)) and least <= value <= largest for value in values)
    if len(values) != 2 or not known:
        raise ValueError(
            f"pixel_spacing_mm must be two numbers from {least:g} to {largest:g}, x and y; got {spacing_mm}"
        )
    return float(values[0]), float(values[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One decoded frame.

    Attributes:
        image: RGB pixels, shape (height, width, 3), upright (rotation metadata applied). Treat as read-only.
        index: position in its clip, from 0; of a live source, among the frames that arrived.
        time_s: container timestamp relative to the clip's first frame, in seconds.
        video: the clip's name within the study.
        decode_ms: time the decoder spent on it.
        arrived_s: when a live source had it, by `time.perf_counter()`; None in a recording.
        views: what is analysed of it, each by itself; the whole frame where there is none.
    """

    image: Image
    index: int
    time_s: float
    video: str
    decode_ms: float = 0.0
    arrived_s: float | None = None
    views: tuple[ScanView, ...] = ()

    def view_at(self, box_xyxy: tuple[float, float, float, float]) -> ScanView | None:
        """The first view that holds the middle of a box; None where none does."""
        x, y = (box_xyxy[0] + box_xyxy[2]) / 2, (box_xyxy[1] + box_xyxy[3]) / 2
        for view in self.views:
            left, top, right, bottom = view.box_xyxy
            if left <= x < right and top <= y < bottom:
                return view
        return None

    def spacing_at(self, box_xyxy: tuple[float, float, float, float]) -> tuple[float, float] | None:
        """Size of a pixel in millimetres in the view that holds the middle of a box; None where it is unknown."""
        view = self.view_at(box_xyxy)
        return None if view is None else view.spacing_mm


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleHeat:
    """Where a nodule's malignancy comes from: each cell's share in the classifier's log-odds.

    Attributes:
        cells: shape (side, side), rows downwards; positive where a cell speaks for malignancy, negative against it.
        window_xyxy: the square that the cells cover, in whole source pixels; parts of it may lie outside the frame.
    """

    cells: npt.NDArray[np.float32]
    window_xyxy: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """What may be a nodule in one frame: nothing is known yet but its place. Its track decides whether it is shown.

    Attributes:
        box_xyxy: left, top, right, bottom in source pixels (half-open).
        confidence: of the detector in this frame, 0 to 1.
    """

    box_xyxy: tuple[float, float, float, float]
    confidence: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Candidate):
    """A nodule seen in one frame, outlined and classified, before it belongs to a track.

    Attributes:
        box_xyxy: left, top, right, bottom in source pixels (half-open).
        confidence: of the detector in this frame, 0 to 1.
        malignancy: calibrated probability of malignancy, 0 to 1.
        contour_xy: outline as int32 pixel coordinates, shape (n, 2); shape (0, 2) where segmentation found nothing.
        long_axis_px: longest diameter of the outline, in pixels; 0 without an outline.
        short_axis_px: extent at right angles to it, in pixels; 0 without an outline.
        area_px: area of the mask, in pixels; 0 without an outline.
        heat: where the malignancy comes from; None where the network does not tell, or tells no better than chance.
    """

    malignancy: float
    contour_xy: npt.NDArray[np.int32]
    long_axis_px: float
    short_axis_px: float
    area_px: float
    heat: NoduleHeat | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedCandidate:
    """A candidate that a tracker has joined to those of earlier frames.

    Attributes:
        track_id: counted from 1, unique in the clip: from the tracker a candidate's number, after confirmation a
            nodule's.
        track_confidence: mean of the detector's confidences over the track's frames so far, 0 to 1.
        candidate: what was detected in this frame.
    """

    track_id: int
    track_confidence: float
    candidate: Candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFinding:
    """A confirmed candidate, outlined and classified.

    Attributes:
        track_id: the nodule's number, counted from 1, unique in the study.
        track_confidence: mean of the detector's confidences over the track's frames so far, 0 to 1.
        finding: what was seen in this frame.
    """

    track_id: int
    track_confidence: float
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class SizeMm:
    """Size of an outline in millimetres, measured with the pixel's width and height apart.

    Attributes:
        long_axis_mm: longest diameter.
        short_axis_mm: extent at right angles to it.
        area_mm2: area.
        spacing_mm: size of a pixel, x and y, with which it was measured; None where it was read from a file.
    """

    long_axis_mm: float
    short_axis_mm: float
    area_mm2: float
    spacing_mm: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Nodule:
    """A nodule in one frame: what was found there, and what is known of it over time.

    Attributes:
        track_id: its number, unique in the study and counted from 1.
        track_confidence: mean of the detector's confidences over the track's frames so far, 0 to 1, those in which it
            was not shown yet among them.
        qualifies: whether it is known by this frame to last long enough to count for the patient; in a recording the
            next frames have been looked at.
        finding: what was found in this frame; its fields can also be read from the nodule.
        size_mm: its size in millimetres; None without an outline or where the clip's pixel spacing is unknown.
    """

    track_id: int
    track_confidence: float
    qualifies: bool
    finding: Finding
    size_mm: SizeMm | None = None

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        """Left, top, right, bottom in source pixels (half-open)."""
        return self.finding.box_xyxy

    @property
    def confidence(self) -> float:
        """Confidence of the detector in this frame, 0 to 1."""
        return self.finding.confidence

    @property
    def malignancy(self) -> float:
        """Calibrated probability of malignancy in this frame, 0 to 1."""
        return self.finding.malignancy

    @property
    def contour_xy(self) -> npt.NDArray[np.int32]:
        """Outline as int32 pixel coordinates, shape (n, 2)."""
        return self.finding.contour_xy

    @property
    def long_axis_px(self) -> float:
        """Longest diameter of the outline, in pixels."""
        return self.finding.long_axis_px

    @property
    def short_axis_px(self) -> float:
        """Extent at right angles to the long axis, in pixels."""
        return self.finding.short_axis_px

    @property
    def area_px(self) -> float:
        """Area of the outline, in square pixels."""
        return self.finding.area_px


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameResult:
    """What was found in one frame.

    Attributes:
        frame: the frame itself, pixels included.
        nodules: tracked nodules in view, by track number.
        patient_malignancy: running maximum over the patient's qualifying nodules so far; None while there is none.
        timing_ms: time each stage spent on this frame, by stage name, in milliseconds; without those it did not need.
        latency_ms: from the frame's arrival to this result, in milliseconds; None in a recording.
        ended_tracks: numbers of the tracks that end before this frame: they will not be seen again.
        rejected: why nothing was looked for in this frame, such as "not a B-mode view of the neck"; empty otherwise.
    """

    frame: Frame
    nodules: tuple[Nodule, ...]
    patient_malignancy: float | None
    timing_ms: Mapping[str, float] = field(default_factory=dict)
    latency_ms: float | None = None
    ended_tracks: tuple[int, ...] = ()
    rejected: str = ""

    def to_supervision(self, *, masks: bool = False) -> sv.Detections:
        """The nodules as `supervision.Detections`, for its annotators, zones and sinks.

        Args:
            masks: also give each outline as a mask, of the frame's size.

        Returns:
            `xyxy` in source pixels; `confidence` of the detector; `class_id` 1 from a malignancy of 0.5 on, else 0;
            `tracker_id`; `data` with "malignancy", "track_confidence" and "qualifies".

        Example:
            >>> sv.BoxAnnotator().annotate(image, result.to_supervision())  # doctest: +SKIP
        """
        import supervision as sv  # late: most who read results do not need it

        nodules = self.nodules
        malignancy = np.array([nodule.malignancy for nodule in nodules], np.float32)
        return sv.Detections(
            xyxy=np.array([nodule.box_xyxy for nodule in nodules], np.float32).reshape(-1, 4),
            mask=self._masks() if masks and nodules else None,
            confidence=np.array([nodule.confidence for nodule in nodules], np.float32),
            class_id=(malignancy >= 0.5).astype(int),
            tracker_id=np.array([nodule.track_id for nodule in nodules], int),
            data={
                "malignancy": malignancy,
                "track_confidence": np.array([nodule.track_confidence for nodule in nodules], np.float32),
                "qualifies": np.array([nodule.qualifies for nodule in nodules], bool),
            },
        )

    def _masks(self) -> npt.NDArray[np.bool_]:
        import cv2

        masks = np.zeros((len(self.nodules), *self.frame.image.shape[:2]), np.uint8)
        for mask, nodule in zip(masks, self.nodules, strict=True):
            if len(nodule.contour_xy):
                cv2.fillPoly(mask, [nodule.contour_xy], 1)
        return masks.astype(bool)
