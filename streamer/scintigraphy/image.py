"""One planar image as the networks and the region counts take it, and the checks that every reader applies."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from streamer.errors import DataError

Pixels = npt.NDArray[np.float32]
Grey = npt.NDArray[np.uint8]
Kind = Literal["counts", "grey levels"]

SIMULATED_MARK = "streamer phantom: simulated, no patient"
"""What a phantom's file says of itself: the comment of a JPEG or PNG, Image Comments (0020,4000) of a DICOM file."""

_SMALLEST_PX, _LARGEST_PX = 32, 4096
_WHITE_PERCENTILE = 99.8
"""The level shown white: a few hot pixels (a marker, a hot spot of noise) must not darken the gland."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanarImage:
    """A planar image.

    Attributes:
        pixels: counts or grey levels, not negative, shape (height, width).
        kind: which of both; grey levels are relative, whatever window the export had.
        pixel_mm: height and width of a pixel, where the file says.
        simulated: whether the file says that a phantom made it.
        frame: number in the file, from 0; of a dynamic study, whose frames are summed, the first.
        energy_window, detector: names or numbers, where the file says.
        colour_map: that was undone.
    """

    pixels: Pixels
    kind: Kind
    pixel_mm: tuple[float, float] | None = None
    simulated: bool = False
    frame: int = 0
    energy_window: str = ""
    detector: str = ""
    colour_map: str = "grey"


def checked_pixels(pixels: npt.ArrayLike, place: str) -> Pixels:
    """Pixels as float32, found fit for use.

    Raises:
        DataError: not two-dimensional, too small or too large, not finite, negative, or without any counts.
    """
    values = np.asarray(pixels, np.float32)
    if values.ndim != 2:
        raise DataError(f"{place}: a planar image is needed, got an array of shape {values.shape}")
    height, width = values.shape
    if min(height, width) < _SMALLEST_PX or max(height, width) > _LARGEST_PX:
        raise DataError(
            f"{place}: the image has {width}x{height} px; its sides must be {_SMALLEST_PX} to {_LARGEST_PX} px"
        )
    if not np.isfinite(values).all():
        raise DataError(f"{place}: the image holds values that are not finite (NaN or infinity)")
    if values.min() < 0:
        raise DataError(f"{place}: the image holds negative counts; export the raw counts")
    if values.max() <= values.min():
        raise DataError(f"{place}: the image has no counts: all pixels are equal")
    return values


def normalised(pixels: Pixels, side: int) -> Grey:
    """A picture for a network, shape (side, side): padded to a square, resized, its 99.8th percentile white.

    Counts and windowed exports become alike; how high the absolute uptake was is lost, as in the paper's JPEGs.
    """
    height, width = pixels.shape
    longer = max(height, width)
    top, left = (longer - height) // 2, (longer - width) // 2
    square = np.zeros((longer, longer), np.float32)
    square[top : top + height, left : left + width] = pixels
    interpolation = cv2.INTER_AREA if longer >= side else cv2.INTER_LINEAR
    scaled = cv2.resize(square, (side, side), interpolation=interpolation)
    white = float(np.percentile(scaled, _WHITE_PERCENTILE))
    if white <= 0:
        white = float(scaled.max())
    return np.asarray(np.clip(scaled * (255 / white), 0, 255).round(), np.uint8)


def picture_digest(grey: Grey) -> str:
    """Checksum of a picture as a network sees it."""
    return hashlib.sha256(np.ascontiguousarray(grey).tobytes()).hexdigest()[:16]
