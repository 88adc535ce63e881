"""What the DICOM outputs know of a clip and of each nodule in it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

Contour = npt.NDArray[np.int32]
"""Outline in source pixels, shape (n, 2)."""


@dataclass(slots=True, kw_only=True)
class ClipOutlines:
    """A clip, and the outlines of its nodules in every frame; no pixels are kept.

    Attributes:
        source: what results state about it (`streamer.dicom.identity.evidence`).
        spacing_mm: width and height of a pixel; None where it is not stated.
        outlines: by track number, frame index and outline, in the order of the frames.
    """

    source: Dataset
    spacing_mm: tuple[float, float] | None
    outlines: dict[int, list[tuple[int, npt.NDArray[np.int16]]]] = field(default_factory=dict)

    def add(self, track: int, frame: int, contour_xy: Contour) -> None:
        """Keep the outline of a nodule in a frame; one of fewer than 3 points encloses nothing and is left out."""
        if len(contour_xy) >= 3:
            self.outlines.setdefault(track, []).append((frame, contour_xy.astype(np.int16)))


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleResult:
    """One nodule, as it is reported.

    Attributes:
        track: its number in the study.
        clip: where it was seen.
        key_frame: index of the frame whose outline is reported.
        box_xyxy: of the detector in that frame, in source pixels.
        contour_xy: that outline in source pixels, shape (n, 2); empty where segmentation found nothing.
        long_axis, short_axis, area: in mm and mm2 where it is measured, else in pixels; 0 without an outline.
        measured: whether the scale of the picture is known where it lies.
        volume_ml: ellipsoid over orthogonal sweeps; None where it is not known.
        probability: maximum of the probability of malignancy over its frames, 0 to 1.
        frames: frames that support it.
    """

    track: int
    clip: ClipOutlines
    key_frame: int
    box_xyxy: tuple[float, float, float, float]
    contour_xy: Contour
    long_axis: float
    short_axis: float
    area: float
    measured: bool
    probability: float
    frames: int
    volume_ml: float | None = None

    @property
    def label(self) -> str:
        """What it is called in the results."""
        return f"Nodule {self.track}"
