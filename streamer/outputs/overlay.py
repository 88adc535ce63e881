"""Draws a FrameResult on its frame, so that a reader sees what was found and still sees the nodule.

Lines are thin, a box is four corners just outside it, the fill changes hue but not brightness (echogenicity is judged
by brightness), and every piece of text looks for a place where it covers no nodule. Until a nodule qualifies for the
patient it has its corners only: what flares up for a frame must not draw the eye with an outline and a number. Sizes
follow the frame, from 242x242 to 4K.

Measured on one core of a Xeon, copy of the frame included, two nodules: 0.5 ms at 640x480, 0.8 ms at 900x600, 4 ms at
3840x2160. The first call takes some 30 ms more, in which OpenCV unpacks its font.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from streamer.outputs.colour_map import tint_nodule
from streamer.settings import OverlaySettings
from streamer.types import FrameResult, Image, Nodule

Colour = tuple[int, int, int]
Rect = tuple[int, int, int, int]
"""Left, top, right, bottom in pixels, half-open."""

PALETTE: tuple[Colour, ...] = (
    (86, 180, 233),
    (230, 159, 0),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
"""Colours told apart by colour-blind readers (Okabe and Ito 2008), less black; the best seen on dark tissue first."""

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (0, 0, 0)
NOTICE = "research use only"

_TINT = 0.35  # share of the track's hue inside a contour
_CHIP_ALPHA = 0.85
_PANEL_ALPHA = 0.6
_MAX_WIDTHS = 1000  # of texts that are remembered: captions and percentages come again, times do not
_MIN_TEXT_SIDE_PX = 96  # in a smaller frame a line of legible text covers most of the picture


def track_colour(track: int) -> Colour:
    """RGB colour of a track number, counted from 1; it repeats after seven tracks."""
    return PALETTE[(track - 1) % len(PALETTE)]


def percent(probability: float, decimals: int = 0) -> str:
    """A probability, 0 to 1, in percent; never "0 %" or "100 %", which would claim certainty."""
    least = 10.0**-decimals
    shown = 100 * round(probability, decimals + 2)  # as `decimals_apart` compares
    if shown < least:
        return f"<{least:.{decimals}f} %"
    return f">{100 - least:.{decimals}f} %" if shown > 100 - least else f"{shown:.{decimals}f} %"


def clock(time_s: float) -> str:
    """Seconds as minutes and seconds, for example "1:02.13"."""
    hundredths = round(100 * time_s)
    return f"{hundredths // 6000}:{hundredths % 6000 / 100:05.2f}"


class Pen:
    """Line widths and text for a picture of one size.

    Attributes:
        line_px: width of a line in pixels.
        text_px: height of a line of text in pixels.
    """

    def __init__(self, width: int, height: int) -> None:
        """Sizes for a picture of `width` x `height` pixels."""
        side = min(width, height)
        self.line_px = max(1, round(side / 450))
        self.text_px = max(11, round(side / 38))
        self._font = cv2.FontFace("sans")  # comes with OpenCV 5
        self._widths: dict[tuple[str, int, int], int] = {}

    def text_width(self, text: str, size_px: int, weight: int) -> int:
        """Width of a line of text in pixels; `weight` as in CSS, 400 regular and 700 bold."""
        known = self._widths.get((text, size_px, weight))
        if known is None:
            _, _, known, _ = cv2.getTextSize((0, 0), text, (0, 0), self._font, size_px, weight)
            if len(self._widths) < _MAX_WIDTHS:
                self._widths[text, size_px, weight] = known
        return known

    def write(self, image: Image, text: str, xy: tuple[int, int], size_px: int, colour: Colour, weight: int) -> None:
        """Write one line of text into `image`, its upper left corner at `xy`."""
        baseline = xy[1] + round(0.82 * size_px)
        cv2.putText(image, text, (xy[0], baseline), colour, self._font, size_px, weight)


class OverlayRenderer:
    """Draws frame results; one renderer serves one thread."""

    def __init__(self, settings: OverlaySettings) -> None:
        """Draw what `settings` ask for; the patient's maximum, the time and the notice are always there."""
        self._settings = settings
        self._pens: dict[tuple[int, int], Pen] = {}

    def draw(self, result: FrameResult) -> Image:
        """Draw `result` on a copy of its frame.

        Returns:
            RGB image of the frame's shape, (height, width, 3).
        """
        image = result.frame.image.copy()
        height, width = image.shape[:2]
        pen = self._pens.setdefault((width, height), Pen(width, height))
        for nodule in result.nodules:
            self._draw_nodule(image, nodule, pen)
        if min(width, height) >= _MIN_TEXT_SIDE_PX:
            self._draw_text(image, result, pen)
        return image

    def _draw_nodule(self, image: Image, nodule: Nodule, pen: Pen) -> None:
        colour = track_colour(nodule.track_id)
        heat = nodule.finding.heat
        if self._settings.heatmap and nodule.qualifies and heat is not None:
            tint_nodule(image, heat)
            cv2.polylines(image, [nodule.contour_xy], True, colour, pen.line_px, cv2.LINE_AA)
        elif self._settings.contours and nodule.qualifies and len(nodule.contour_xy):
            _tint(image, nodule, colour)
            cv2.polylines(image, [nodule.contour_xy], True, colour, pen.line_px, cv2.LINE_AA)
        if self._settings.boxes:
            _draw_corners(image, nodule, colour, pen.line_px)

    def _draw_text(self, image: Image, result: FrameResult, pen: Pen) -> None:
        """Panel, time and notice, then the labels, each where it covers no nodule and no other text."""
        taken = [_extent(nodule) for nodule in result.nodules]
        if result.rejected:
            taken.append(_draw_banner(image, result.rejected, pen))
        taken.append(_draw_panel(image, result.patient_malignancy, pen, taken))
        stamp = f"{clock(result.frame.time_s)}  frame {result.frame.index}"
        taken.append(_draw_corner_text(image, stamp, pen, taken, prefer_left=True))
        taken.append(_draw_corner_text(image, NOTICE, pen, taken, prefer_left=False))
        if self._settings.labels:
            for nodule in result.nodules:
                if nodule.qualifies:
                    taken.append(_draw_label(image, nodule, pen, taken))


def _tint(image: Image, nodule: Nodule, colour: Colour) -> None:
    """Give the inside of a contour the track's hue at unchanged luminance, touching only its bounding rectangle."""
    height, width = image.shape[:2]
    left, top, box_width, box_height = cv2.boundingRect(nodule.contour_xy)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + box_width, width), min(top + box_height, height)
    if x1 <= x0 or y1 <= y0:
        return
    mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
    cv2.fillPoly(mask, [nodule.contour_xy - np.array((x0, y0), np.int32)], 255)
    region = image[y0:y1, x0:x1]
    gains = [1 - _TINT + _TINT * channel / _luminance(colour) for channel in colour]
    cv2.copyTo(cv2.transform(region, np.diag(gains)), mask, region)


def _draw_corners(image: Image, nodule: Nodule, colour: Colour, line_px: int) -> None:
    """The four corners of a nodule's box, just outside it, with a dark rim that shows them on bright tissue."""
    x0, y0, x1, y1 = (round(value) for value in nodule.box_xyxy)
    gap = line_px + 2  # the rim stays outside, too
    x0, y0, x1, y1 = x0 - gap, y0 - gap, x1 - 1 + gap, y1 - 1 + gap
    arm_x, arm_y = max(2, (x1 - x0) // 5), max(2, (y1 - y0) // 5)
    strokes = [
        np.array([(x + inward_x, y), (x, y), (x, y + inward_y)], np.int32)
        for x, inward_x in ((x0, arm_x), (x1, -arm_x))
        for y, inward_y in ((y0, arm_y), (y1, -arm_y))
    ]
    cv2.polylines(image, strokes, False, BLACK, line_px + 2)
    cv2.polylines(image, strokes, False, colour, line_px)


def _draw_panel(image: Image, malignancy: float | None, pen: Pen, taken: Sequence[Rect]) -> Rect:
    """The patient's running maximum, boxed, in the upper right corner unless a nodule is there."""
    caption, value = "patient maximum", "\N{EN DASH}" if malignancy is None else percent(malignancy)
    caption_px, value_px = max(10, round(0.8 * pen.text_px)), round(1.7 * pen.text_px)
    pad = max(3, pen.text_px // 3)
    caption_width, value_width = pen.text_width(caption, caption_px, 500), pen.text_width(value, value_px, 700)
    size = max(caption_width, value_width) + 2 * pad, caption_px + value_px + 3 * pad
    margin = pen.text_px // 2
    height, width = image.shape[:2]
    right, bottom = width - size[0] - margin, height - size[1] - margin - 2 * pen.text_px
    x0, y0, x1, y1 = _place(image, size, ((right, margin), (margin, margin), (right, bottom), (margin, bottom)), taken)
    if not _covers((x0, y0, x1, y1), taken):
        _shade(image, (x0, y0, x1, y1), BLACK, _PANEL_ALPHA)
    cv2.rectangle(image, (x0, y0), (x1 - 1, y1 - 1), WHITE, pen.line_px)
    pen.write(image, caption, ((x0 + x1 - caption_width) // 2, y0 + pad), caption_px, WHITE, 500)
    pen.write(image, value, ((x0 + x1 - value_width) // 2, y0 + 2 * pad + caption_px), value_px, WHITE, 700)
    return x0, y0, x1, y1


def _draw_banner(image: Image, text: str, pen: Pen) -> Rect:
    """Why there is nothing to see, across the middle: where it covers what would matter, nothing does."""
    height, width = image.shape[:2]
    size_px = pen.text_px
    while size_px > 10 and pen.text_width(text, size_px, 700) > 0.9 * width:
        size_px -= 1
    text_width, pad = pen.text_width(text, size_px, 700), size_px // 2
    x0, y0 = (width - text_width) // 2 - pad, height // 2 - size_px
    rect = x0, y0, x0 + text_width + 2 * pad, y0 + size_px + 2 * pad
    _write_boxed(image, rect, text, pen, size_px, pad, WHITE, (BLACK, _PANEL_ALPHA))
    return rect


def _draw_corner_text(image: Image, text: str, pen: Pen, taken: Sequence[Rect], *, prefer_left: bool) -> Rect:
    """A small line at the bottom, left or right, elsewhere along the edges if a nodule is there."""
    size_px = max(10, round(0.8 * pen.text_px))
    pad = max(2, size_px // 4)
    size = pen.text_width(text, size_px, 600) + 2 * pad, size_px + 2 * pad
    height, width = image.shape[:2]
    left, right = 0, width - size[0]
    sides = (left, right) if prefer_left else (right, left)
    spots = [(x, y) for y in (height - size[1], height - 2 * size[1], 0) for x in sides]
    rect = _place(image, size, spots, taken)
    _write_boxed(image, rect, text, pen, size_px, pad, WHITE, None if _covers(rect, taken) else (BLACK, 0.5))
    return rect


def _draw_label(image: Image, nodule: Nodule, pen: Pen, taken: Sequence[Rect]) -> Rect:
    """Track number and malignancy beside the nodule: above, below, right or left of it."""
    text = f"#{nodule.track_id}  {percent(nodule.malignancy)}"
    colour = track_colour(nodule.track_id)
    pad = max(2, pen.text_px // 4)
    size = pen.text_width(text, pen.text_px, 600) + 2 * pad, pen.text_px + 2 * pad
    x0, y0, x1, y1 = _extent(nodule)
    gap = 2 * pen.line_px + 4  # clears the corners
    above, below = y0 - gap - size[1], y1 + gap
    spots = (
        *((x, y) for y in (above, below) for x in (x0, x1 - size[0])),
        *((x, y) for y in (y0, y1 - size[1]) for x in (x1 + gap, x0 - gap - size[0])),
    )
    rect = _place(image, size, spots, taken)
    if _covers(rect, taken):
        _write_boxed(image, rect, text, pen, pen.text_px, pad, colour, None)
    else:
        ink = BLACK if _luminance(colour) > 100 else WHITE
        _write_boxed(image, rect, text, pen, pen.text_px, pad, ink, (colour, _CHIP_ALPHA))
    return rect


def _write_boxed(
    image: Image,
    rect: Rect,
    text: str,
    pen: Pen,
    size_px: int,
    pad: int,
    ink: Colour,
    ground: tuple[Colour, float] | None,
) -> None:
    """Text on a translucent ground; without one, where it would hide a nodule, on a dark shadow of itself."""
    if ground is not None:
        _shade(image, rect, *ground)
    else:
        pen.write(image, text, (rect[0] + pad + 1, rect[1] + pad + 1), size_px, BLACK, 600)
    pen.write(image, text, (rect[0] + pad, rect[1] + pad), size_px, ink, 600)


def _shade(image: Image, rect: Rect, colour: Colour, alpha: float) -> None:
    x0, y0, x1, y1 = rect
    region = image[max(y0, 0) : y1, max(x0, 0) : x1]
    cv2.addWeighted(region, 1 - alpha, np.full_like(region, colour), alpha, 0, dst=region)


def _place(image: Image, size: tuple[int, int], spots: Sequence[tuple[int, int]], taken: Sequence[Rect]) -> Rect:
    """The rectangle of `size` at the first of `spots` (moved into the image) that covers least of `taken`."""
    height, width = image.shape[:2]
    rects: list[Rect] = []
    for x, y in spots:
        left, top = max(0, min(x, width - size[0])), max(0, min(y, height - size[1]))
        rects.append((left, top, min(left + size[0], width), min(top + size[1], height)))
    return min(rects, key=lambda rect: sum(_overlap(rect, other) for other in taken))


def _covers(rect: Rect, taken: Sequence[Rect]) -> bool:
    return any(_overlap(rect, other) > 0 for other in taken)


def _overlap(one: Rect, other: Rect) -> int:
    """Area shared by two rectangles in square pixels."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return max(0, width) * max(0, height)


def _extent(nodule: Nodule) -> Rect:
    """The rectangle that holds a nodule's box and contour."""
    x0, y0, x1, y1 = (round(value) for value in nodule.box_xyxy)
    if len(nodule.contour_xy):
        low, high = nodule.contour_xy.min(axis=0), nodule.contour_xy.max(axis=0)
        x0, y0 = min(x0, int(low[0])), min(y0, int(low[1]))
        x1, y1 = max(x1, int(high[0]) + 1), max(y1, int(high[1]) + 1)
    return x0, y0, x1, y1


def _luminance(colour: Colour) -> float:
    """Luma of an RGB colour, 0 to 255 (ITU-R BT.709)."""
    return 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
