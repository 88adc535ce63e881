"""The picture of a nodule: its key frame with contour and calipers, beside an enlarged view that nothing covers."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.geometry import CropWindow, Letterbox, Points, caliper_lines
from streamer.outputs.overlay import NOTICE, WHITE, Colour, Pen, clock, percent, track_colour
from streamer.outputs.size_text import area_text, axes_text
from streamer.types import Frame, Image, Nodule

_PANEL_PX = 640  # height of both views: the source's detail where it is shown on a page, whatever the source's size
_WIDEST_PX = 1140
_NARROWEST_PX = 320
_GAP_PX = 12
_TITLE_PX = 64
_GROUND: Colour = (17, 24, 32)
_MUTED: Colour = (165, 178, 190)
_ZOOM_MARGIN = 0.35  # of the nodule's longer side, on every side: enough tissue to compare echogenicity with


def nodule_image(frame: Frame, nodule: Nodule) -> Image:
    """Draw the picture of `nodule` as seen in `frame`.

    Returns:
        RGB image of shape (height, width, 3), at most 1816x716 pixels.
    """
    height, width = frame.image.shape[:2]
    scene_width = min(max(round(_PANEL_PX * width / height), _NARROWEST_PX), _WIDEST_PX)
    canvas_wh = 3 * _GAP_PX + scene_width + _PANEL_PX, _TITLE_PX + _PANEL_PX + _GAP_PX
    canvas = np.full((canvas_wh[1], canvas_wh[0], 3), _GROUND, np.uint8)
    scene = _scene(frame, nodule, (scene_width, _PANEL_PX))
    canvas[_TITLE_PX : _TITLE_PX + _PANEL_PX, _GAP_PX : _GAP_PX + scene_width] = scene
    left = 2 * _GAP_PX + scene_width
    canvas[_TITLE_PX : _TITLE_PX + _PANEL_PX, left : left + _PANEL_PX] = _enlarged(frame, nodule)
    _write_title(canvas, frame, nodule)
    return canvas


def _scene(frame: Frame, nodule: Nodule, canvas_wh: tuple[int, int]) -> Image:
    """The whole frame, with the nodule's contour (its box without one) and calipers."""
    height, width = frame.image.shape[:2]
    letterbox = Letterbox((width, height), canvas_wh)
    image = letterbox.apply(frame.image)
    pen, colour = Pen(*canvas_wh), track_colour(nodule.track_id)
    outline = _onto(letterbox, _outline(nodule))
    cv2.polylines(image, [np.rint(outline).astype(np.int32)], True, colour, pen.line_px, cv2.LINE_AA)
    if len(nodule.contour_xy):
        for axis in _calipers(nodule):
            _draw_caliper(image, _onto(letterbox, axis), WHITE)
    return image


def _onto(letterbox: Letterbox, points_xy: Points) -> Points:
    """Map pixel centres, shape (n, 2), from the source to the canvas of `letterbox`."""
    return (points_xy + 0.5) * letterbox.scale_xy + letterbox.offset_xy - 0.5


def _enlarged(frame: Frame, nodule: Nodule) -> Image:
    """The nodule and its surroundings, enlarged; only the calipers' ends are marked."""
    outline = _outline(nodule)
    low, high = outline.min(axis=0), outline.max(axis=0) + 1
    window = CropWindow.around((low[0], low[1], high[0], high[1]), _ZOOM_MARGIN)
    image = window.crop(frame.image, _PANEL_PX)
    if len(nodule.contour_xy):
        scale = _PANEL_PX / window.side
        for axis in _calipers(nodule):
            ends = (axis - (window.left, window.top) + 0.5) * scale - 0.5
            for end in ends:
                _draw_mark(image, end, track_colour(nodule.track_id), 9)
    return image


def _calipers(nodule: Nodule) -> tuple[Points, Points]:
    """The axes that the title tells, so along the lines on which they were measured."""
    return caliper_lines(nodule.contour_xy, None if nodule.size_mm is None else nodule.size_mm.spacing_mm)


def _outline(nodule: Nodule) -> Points:
    """The nodule's contour, or the corners of its box where it has none, shape (n, 2)."""
    if len(nodule.contour_xy):
        return nodule.contour_xy.astype(np.float64)
    x0, y0, x1, y1 = nodule.box_xyxy
    return np.array([(x0, y0), (x1 - 1, y0), (x1 - 1, y1 - 1), (x0, y1 - 1)], np.float64)


def _draw_caliper(image: Image, ends: Points, colour: Colour) -> None:
    """A dotted line between two marks, as ultrasound machines draw it."""
    distance = float(np.hypot(*(ends[1] - ends[0])))
    for step in np.arange(0, distance, 7):
        x, y = np.rint(ends[0] + (ends[1] - ends[0]) * (step / distance)).astype(int)
        cv2.circle(image, (int(x), int(y)), 1, colour, cv2.FILLED)
    for end in ends:
        _draw_mark(image, end, colour, 6)


def _draw_mark(image: Image, centre: Points, colour: Colour, arm_px: int) -> None:
    x, y = (int(value) for value in np.rint(centre))
    cv2.drawMarker(image, (x, y), (0, 0, 0), cv2.MARKER_CROSS, 2 * arm_px + 2, 4)
    cv2.drawMarker(image, (x, y), colour, cv2.MARKER_CROSS, 2 * arm_px, 2)


def _write_title(canvas: Image, frame: Frame, nodule: Nodule) -> None:
    """What is seen, in two lines above the views."""
    pen = Pen(canvas.shape[1], canvas.shape[0])
    title = f"Nodule {nodule.track_id}: malignancy {percent(nodule.malignancy)}"
    cv2.rectangle(canvas, (_GAP_PX, 12), (_GAP_PX + 7, 52), track_colour(nodule.track_id), cv2.FILLED)
    left = _GAP_PX + 20
    pen.write(canvas, title, (left, 8), 25, WHITE, 700)
    details = f"frame {frame.index}, {clock(frame.time_s)}"
    if nodule.area_px:
        details += f"   long and short axis {axes_text(nodule)}, area {area_text(nodule)}"
    pen.write(canvas, details, (left, 38), 17, _MUTED, 450)
    notice_width = pen.text_width(NOTICE, 17, 600)
    pen.write(canvas, NOTICE, (canvas.shape[1] - _GAP_PX - notice_width, 13), 17, _MUTED, 600)
