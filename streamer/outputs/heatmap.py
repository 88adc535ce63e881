"""Draws heat maps on frames: colours that colour-blind readers can order, and a legend that says what they mean."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamer._pixels import to_grey
from streamer.errors import WeightsError
from streamer.geometry import Box
from streamer.models.grad_cam import HeatMaps
from streamer.outputs.colour_map import COLOURS, tinted
from streamer.outputs.overlay import BLACK, NOTICE, WHITE, Pen
from streamer.types import Finding, Frame, Grey, Heat, Image, Nodule

_LEGEND = f"What raised malignancy, least to most, relative; {NOTICE}"
_UNFOUNDED = f"No explanation: no better than chance at finding the nodule; {NOTICE}"
_NOTHING = f"Next to nothing raised malignancy here: no map; {NOTICE}"
NO_EXPLANATION = "those of these weights lie inside the nodule no more than by chance, so they would explain nothing"
"""Why there is no heat map (see the classifier's card)."""
_SIDE_PX = 448  # the classifier's input of 128 px, enlarged
_MIN_TEXT_PX = 8  # below that a legend could not be read
_BAR_HEIGHTS = 6
"""Width of the colour bar, in its heights."""


def draw_frame_heatmap(image: Image, findings: Sequence[Finding | Nodule], heat_maps: HeatMaps) -> Image:
    """A frame with the heat maps and outlines of `findings`, at least one; where maps overlap, the greater counts.

    Returns:
        RGB image of the frame's shape, (height, width, 3).

    Raises:
        WeightsError: the classifier cannot be loaded.
    """
    grey = to_grey(image)
    heat = np.maximum.reduce([heat_maps(grey, finding.box_xyxy) for finding in findings])
    picture = tinted(image, heat)
    height, width = image.shape[:2]
    pen = Pen(width, height)
    legend = _NOTHING if not heat.any() else _LEGEND if heat_maps.explains else _UNFOUNDED
    for finding in findings:
        cv2.polylines(picture, [_outline(finding)], True, WHITE, pen.line_px, cv2.LINE_AA)
    _write_legend(picture, heat, pen, legend)
    return picture


def _outline(finding: Finding | Nodule) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    """The contour, or the box where there is none."""
    if len(finding.contour_xy):
        return finding.contour_xy
    return _corners(finding.box_xyxy)


def _corners(box_xyxy: Box) -> np.ndarray[tuple[int, ...], np.dtype[np.int32]]:
    x0, y0, x1, y1 = (round(value) for value in box_xyxy)
    return np.array([(x0, y0), (x1 - 1, y0), (x1 - 1, y1 - 1), (x0, y1 - 1)], np.int32)


def _write_legend(picture: Image, heat: Heat, pen: Pen, legend: str) -> None:
    """Colour bar and explanation along the bottom, or the top where the map is in the way; no bar without a map."""
    height, width = picture.shape[:2]
    bars = _BAR_HEIGHTS if heat.any() else 0
    size_px = max(10, round(0.8 * pen.text_px))
    while _legend_width(pen, legend, size_px, bars) > width:
        size_px -= 1
        if size_px < _MIN_TEXT_PX:
            return
    pad = size_px // 3
    strip = size_px + 2 * pad
    at_top = heat[-strip:].sum() > heat[:strip].sum()
    top = 0 if at_top else height - strip
    right = _legend_width(pen, legend, size_px, bars) - 1
    cv2.rectangle(picture, (0, top), (right, top + strip - 1), BLACK, cv2.FILLED)
    bar = picture[top + pad : top + pad + size_px, pad : pad + bars * size_px]
    bar[:] = COLOURS[np.linspace(0, 255, bar.shape[1]).astype(np.uint8)]
    pen.write(picture, legend, (2 * pad + bars * size_px, top + pad), size_px, WHITE, 600)


def _legend_width(pen: Pen, legend: str, size_px: int, bars: int) -> int:
    return 3 * (size_px // 3) + bars * size_px + pen.text_width(legend, size_px, 600)


class NoduleHeatmaps:
    """Heat maps of a study's nodules. A crop in grey is kept for each: 16 kB at an input of 128x128.

    Attributes:
        failure: why there is no heat map, in one line; None as long as nothing went wrong.
        empty: tracks of which next to nothing raised malignancy, so that there is no map of them.
    """

    def __init__(self, heat_maps: HeatMaps) -> None:
        self._heat_maps = heat_maps
        self._crops: dict[int, Grey] = {}
        self.failure: str | None = None
        self.empty: set[int] = set()

    def keep(self, frame: Frame, nodule: Nodule) -> None:
        """Cut out what the classifier sees of a nodule; the frame can go."""
        grey = to_grey(frame.image)
        self._crops[nodule.track_id] = self._heat_maps.crop(grey, nodule.box_xyxy)

    def picture(self, track: int) -> Image | None:
        """The heat map on what was kept of a nodule, RGB of shape (448, 448, 3).

        Returns:
            None if nothing was kept, if next to nothing in it raised malignancy, if the maps of these weights explain
            nothing, or if the classifier cannot be loaded: that must not cost the report.
        """
        crop = self._crops.get(track)
        if crop is not None and not self._heat_maps.explains:
            self.failure = NO_EXPLANATION
        if crop is None or self.failure is not None:
            return None
        try:
            heat = self._heat_maps.of_crop(crop)
        except WeightsError as error:
            self.failure = str(error)
            return None
        if not heat.any():
            self.empty.add(track)
            return None
        size_wh = _SIDE_PX, _SIDE_PX
        view = cv2.cvtColor(cv2.resize(crop, size_wh), cv2.COLOR_GRAY2RGB)
        return tinted(np.asarray(view, np.uint8), np.asarray(cv2.resize(heat, size_wh), np.float32))
