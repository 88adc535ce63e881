"""A heat map's colours, and how a picture takes them on."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.models.joint_output import positive_evidence
from streamer.types import Heat, Image, NoduleHeat

COLOURS: Image = np.asarray(
    cv2.applyColorMap(np.arange(256, dtype=np.uint8)[:, None], cv2.COLORMAP_INFERNO)[:, 0, ::-1], np.uint8
)
"""RGB of heat 0 to 255: inferno, whose brightness rises evenly for any colour vision (matplotlib, Smith 2015)."""

_STRONGEST = 0.7  # share of the colour where the map is highest: the tissue below stays readable


def tinted(image: Image, heat: Heat) -> Image:
    """`image`, shape (height, width, 3), coloured by a map of its height and width; untouched where that is 0."""
    picture = image.copy()
    x0, y0, width, height = cv2.boundingRect((heat > 0).astype(np.uint8))
    part = np.s_[y0 : y0 + height, x0 : x0 + width]
    share = _STRONGEST * np.sqrt(heat[part])[..., None]  # the root: weaker parts would be lost on dark tissue
    colour = COLOURS[np.rint(255 * heat[part]).astype(np.uint8)]
    picture[part] = np.rint((1 - share) * image[part] + share * colour).astype(np.uint8)
    return picture


def tint_nodule(image: Image, heat: NoduleHeat) -> None:
    """Colour `image`, shape (height, width, 3), in place by where a nodule's malignancy comes from, relatively.

    What speaks against malignancy is not shown; where next to nothing speaks for it, nothing changes.
    """
    left, top, right, bottom = heat.window_xyxy
    height, width = image.shape[:2]
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(right, width), min(bottom, height)
    cells = positive_evidence(heat.cells)
    highest = float(cells.max(initial=0))
    if x0 >= x1 or y0 >= y1 or highest <= 0:
        return
    cells = cells / np.float32(highest)
    over_window = cv2.resize(cells, (right - left, bottom - top), interpolation=cv2.INTER_LINEAR)
    part = np.asarray(over_window[y0 - top : y1 - top, x0 - left : x1 - left], np.float32)
    image[y0:y1, x0:x1] = tinted(image[y0:y1, x0:x1], part)
