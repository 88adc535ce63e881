"""Boxes from masks."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from streamer.data.grey import read_grey
from streamer.errors import DataError
from streamer.geometry import Box

WHITE = 127
"""Brighter pixels of a mask are inside a nodule."""
_SHADE, _MAX_SHADES = 30, 0.2  # a mask that was saved as JPEG has some at its edges
MIN_REGION_PX = 30
"""Smaller connected regions are slips of the drawing hand: DDTI's outlines leave specks of a few pixels."""


def boxes_of_mask(mask: Path) -> tuple[Box, ...]:
    """One box (half-open, pixels) a connected region of `MIN_REGION_PX` or more pixels above `WHITE`; none if empty.

    Raises:
        DataError: the file cannot be read, or is no mask: a picture, or coded in other numbers.
    """
    pixels = read_grey(mask)
    if 0 < pixels.max() <= WHITE and len(np.unique(pixels)) == 2:
        raise DataError(f"the mask {mask} says {pixels.max()} where it should say 255, for inside a nodule")
    if np.mean((pixels > _SHADE) & (pixels < 255 - _SHADE)) > _MAX_SHADES:
        raise DataError(f"{mask} looks like a picture, not like a mask: 255 is inside a nodule, 0 outside")
    _, _, regions, _ = cv2.connectedComponentsWithStats((pixels > WHITE).astype(np.uint8))
    return tuple(
        (float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, area in regions[1:] if area >= MIN_REGION_PX
    )
