"""Which pixels stay: those of the ultrasound regions, of given boxes, or of the sector that moves."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamer.sources._dicom_codecs import Samples
from streamer.sources._dicom_regions import PixelBox
from streamer.types import Image

Mask = npt.NDArray[np.bool_]
"""Shape (height, width); True where a pixel stays."""

_MIN_CHANGE = 3.0
"""Standard deviation over time, of 0 to 255, from which a pixel is live: above a codec's noise, below any speckle."""
_CLOSING = 0.02  # of the picture's height: joins the speckle of a sector, not a line of text beside it
_MIN_SECTOR = 0.1  # of the picture


def box_mask(boxes: Sequence[PixelBox], height: int, width: int) -> Mask:
    """The pixels within boxes.

    Example:
        >>> int(box_mask([(0, 0, 2, 1)], 2, 2).sum())
        2
    """
    mask = np.zeros((height, width), np.bool_)
    for left, top, right, bottom in boxes:
        mask[top:bottom, left:right] = True
    return mask


def masked(samples: Samples, mask: Mask, black: int = 0) -> Samples:
    """A picture in its own depth, black where it is not to stay."""
    kept = mask if samples.ndim == 2 else mask[..., None]
    return np.where(kept, samples, samples.dtype.type(black))


def sector_mask(images: Iterable[Image]) -> Mask | None:
    """The convex hull of what moves: the scan, without the letters beside it, which stand still.

    Args:
        images: frames of a clip, spread over it; all of one size.

    Returns:
        None where nothing moves, or too little to be a scan.
    """
    total: npt.NDArray[np.float64] | None = None
    squares: npt.NDArray[np.float64] | None = None
    count = 0
    for image in images:
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float64)
        if total is None or squares is None:
            total, squares = np.zeros_like(grey), np.zeros_like(grey)
        total += grey
        squares += grey**2
        count += 1
    if total is None or squares is None or count < 3:
        return None
    deviation = np.sqrt(np.maximum(squares / count - (total / count) ** 2, 0))
    height, width = deviation.shape
    side = max(3, round(_CLOSING * height) | 1)
    live = (deviation > _MIN_CHANGE).astype(np.uint8)
    live = np.asarray(cv2.morphologyEx(live, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8)), np.uint8)
    live = np.asarray(cv2.morphologyEx(live, cv2.MORPH_CLOSE, np.ones((side, side), np.uint8)), np.uint8)
    contours, _ = cv2.findContours(live, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    largest = max(contours, key=cv2.contourArea, default=None)
    if largest is None or cv2.contourArea(largest) < _MIN_SECTOR * height * width:
        return None
    hull = np.zeros((height, width), np.uint8)
    cv2.fillConvexPoly(hull, cv2.convexHull(largest), 1)
    return hull.astype(np.bool_)
