"""Boxes from masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from streamer.errors import DataError
from streamer.geometry import Box

MIN_REGION_PX = 30
"""Smaller connected regions are slips of the drawing hand: DDTI's outlines leave specks of a few pixels."""


def boxes_of_mask(mask: Path) -> tuple[Box, ...]:
    """One box (half-open, pixels) a connected region of at least `MIN_REGION_PX` pixels above 127; none if it is empty.

    Raises:
        DataError: the mask cannot be read.
    """
    pixels = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise DataError(f"cannot read the mask {mask}")
    _, _, regions, _ = cv2.connectedComponentsWithStats((pixels > 127).astype(np.uint8))
    return tuple(
        (float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, area in regions[1:] if area >= MIN_REGION_PX
    )
