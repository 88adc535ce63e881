"""Letterbox and its inverse, crops with a margin, contours and calipers. All in pixels; boxes are half-open xyxy."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import SizeMm

Box = tuple[float, float, float, float]
Mask = npt.NDArray[np.uint8]
Points = npt.NDArray[np.float64]
"""A row a point, x and y in pixels."""


@dataclass(frozen=True, slots=True)
class Letterbox:
    """A source of some size, scaled without distortion and centred on a canvas.

    Maps source pixels to canvas pixels by `canvas = source * scale + offset`.
    """

    source_wh: tuple[int, int]
    canvas_wh: tuple[int, int]

    @property
    def scale_xy(self) -> tuple[float, float]:
        """Canvas pixels a source pixel; x and y differ only by the rounding of the scaled size to whole pixels."""
        width, height = self._scaled_wh
        return width / self.source_wh[0], height / self.source_wh[1]

    @property
    def offset_xy(self) -> tuple[int, int]:
        """Upper left corner of the scaled source on the canvas."""
        width, height = self._scaled_wh
        return (self.canvas_wh[0] - width) // 2, (self.canvas_wh[1] - height) // 2

    @property
    def _scaled_wh(self) -> tuple[int, int]:
        scale = min(self.canvas_wh[0] / self.source_wh[0], self.canvas_wh[1] / self.source_wh[1])
        return max(1, round(self.source_wh[0] * scale)), max(1, round(self.source_wh[1] * scale))

    def apply(self, image: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """Draw `image`, shape (height, width) or (height, width, 3), on a new black canvas.

        Area interpolation when it shrinks (speckle would alias), linear when it grows.
        """
        width, height = self._scaled_wh
        left, top = self.offset_xy
        canvas = np.zeros((self.canvas_wh[1], self.canvas_wh[0], *image.shape[2:]), np.uint8)
        shrinks = width < self.source_wh[0]
        interpolation = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        canvas[top : top + height, left : left + width] = cv2.resize(
            image, (width, height), interpolation=interpolation
        )
        return canvas

    def boxes_to_source(self, boxes_xyxy: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Map boxes, shape (n, 4), from the canvas to the source and clip them to it."""
        scale = np.tile(np.array(self.scale_xy, np.float32), 2)
        offset = np.tile(np.array(self.offset_xy, np.float32), 2)
        limit = np.tile(np.array(self.source_wh, np.float32), 2)
        return np.asarray(np.clip((boxes_xyxy - offset) / scale, 0, limit), np.float32)


@dataclass(frozen=True, slots=True)
class CropWindow:
    """A window around a box, in whole source pixels (half-open); parts of it may lie outside the image.

    Segmentation and classification see the same window, so that a contour can be mapped back exactly.
    """

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def around(cls, box_xyxy: Box, margin: float) -> CropWindow:
        """The square window that holds `box_xyxy` and `margin` times its longer side on every side.

        A square keeps the aspect ratio: taller-than-wide is a sign of malignancy (C-TIRADS 2020).
        """
        x0, y0, x1, y1 = box_xyxy
        side = max(2, round(max(x1 - x0, y1 - y0) * (1 + 2 * margin)))
        left = round((x0 + x1) / 2 - side / 2)
        top = round((y0 + y1) / 2 - side / 2)
        return cls(left, top, left + side, top + side)

    @property
    def side(self) -> int:
        """Length of a side in pixels."""
        return self.right - self.left

    def crop(self, image: npt.NDArray[np.uint8], size: int) -> npt.NDArray[np.uint8]:
        """Cut the window out of `image` (height, width, ...), zero outside it, and scale it to (size, size, ...)."""
        height, width = image.shape[:2]
        x0, y0 = max(self.left, 0), max(self.top, 0)
        x1, y1 = max(min(self.right, width), x0), max(min(self.bottom, height), y0)
        inside = image[y0:y1, x0:x1]
        if inside.shape[:2] != (self.side, self.side):
            padded = np.zeros((self.side, self.side, *image.shape[2:]), np.uint8)
            if inside.size:
                padded[y0 - self.top : y1 - self.top, x0 - self.left : x1 - self.left] = inside
            inside = padded
        interpolation = cv2.INTER_AREA if size < self.side else cv2.INTER_LINEAR
        return np.asarray(cv2.resize(inside, (size, size), interpolation=interpolation), np.uint8)


@dataclass(frozen=True, slots=True)
class Outline:
    """A nodule's outline in source pixels: contour, calipers, area."""

    contour_xy: npt.NDArray[np.int32]
    long_axis_px: float
    short_axis_px: float
    area_px: float


NO_OUTLINE = Outline(np.zeros((0, 2), np.int32), 0.0, 0.0, 0.0)


def outline_of(
    probability: npt.NDArray[np.float32], threshold: float, window: CropWindow, source_wh: tuple[int, int]
) -> Outline:
    """The outline of the largest region of a probability map over a crop window.

    The map, shape (size, size), is brought to the window's own resolution before it is cut at `threshold`, so that the
    outline follows source pixels; what lies outside the image does not count.

    Returns:
        `NO_OUTLINE` if no pixel reaches the threshold.
    """
    size = window.side
    full = cv2.resize(probability, (size, size), interpolation=cv2.INTER_LINEAR)
    mask = (full >= threshold).astype(np.uint8)
    mask[:, : max(0, -window.left)] = 0
    mask[: max(0, -window.top)] = 0
    mask[:, max(0, source_wh[0] - window.left) :] = 0
    mask[max(0, source_wh[1] - window.top) :] = 0
    contours, _ = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if not contours:
        return NO_OUTLINE
    contour = np.asarray(max(contours, key=cv2.contourArea)[:, 0, :], np.int32)
    region = np.zeros_like(mask)
    cv2.drawContours(region, [contour], -1, 1, cv2.FILLED)
    long_axis, short_axis = calipers(contour)
    shifted = contour + np.array((window.left, window.top), np.int32)
    return Outline(shifted, long_axis, short_axis, float(cv2.countNonZero(region)))


def caliper_lines(
    contour_xy: npt.NDArray[np.int32], spacing_mm: tuple[float, float] | None = None
) -> tuple[Points, Points]:
    """Ends of the long and of the short axis of a contour, as a nodule is measured by hand.

    The long axis is its longest diameter, the short axis its extent perpendicular to that (ACR TI-RADS, J Am Coll
    Radiol 2017;14:587-595).

    Args:
        contour_xy: outline, shape (n, 2), not empty.
        spacing_mm: size of a pixel, x and y: length and right angle are those in tissue, as of `size_mm`. None takes
            pixels for squares.

    Returns:
        Two arrays of shape (2, 2): a row an end, x and y in pixels. The short axis crosses the long one at right
        angles, midway between the two outermost points on either side of it.
    """
    scale_xy = np.array(spacing_mm or (1.0, 1.0))
    long_axis, short_axis = _caliper_lines(contour_xy, scale_xy)
    return long_axis / scale_xy, short_axis / scale_xy


def _caliper_lines(contour_xy: npt.NDArray[np.int32], scale_xy: Points) -> tuple[Points, Points]:
    hull = cv2.convexHull(contour_xy.reshape(-1, 1, 2).astype(np.int32))[:, 0, :].astype(np.float64) * scale_xy
    difference = hull[:, None, :] - hull[None, :, :]
    first, second = np.unravel_index(int(np.argmax((difference**2).sum(axis=-1))), difference.shape[:2])
    long_axis = hull[[first, second]]
    along = long_axis[1] - long_axis[0]
    length = float(np.hypot(*along))
    if length == 0:
        return long_axis, long_axis
    along /= length
    across = np.array([-along[1], along[0]])
    offsets = (hull - long_axis[0]) @ across
    low, high = int(offsets.argmin()), int(offsets.argmax())
    foot = long_axis[0] + along * float(((hull[low] + hull[high]) / 2 - long_axis[0]) @ along)
    return long_axis, np.stack([foot + across * offsets[low], foot + across * offsets[high]])


def size_mm(contour_xy: npt.NDArray[np.int32], area_px: float, spacing_mm: tuple[float, float]) -> SizeMm | None:
    """Size of a contour where a pixel's width and height in millimetres are known; they may differ.

    The axes are sought in millimetres: the longest diameter in pixels need not be the longest in tissue. As in
    `calipers`, half a pixel is added at either end, along the axis.

    Args:
        contour_xy: outline, shape (n, 2), in pixels.
        area_px: its area in pixels.
        spacing_mm: size of a pixel, x and y.

    Returns:
        None without a contour.
    """
    if len(contour_xy) == 0:
        return None
    axes = _caliper_lines(contour_xy, np.array(spacing_mm))
    long_axis, short_axis = (_with_pixel(end - start, spacing_mm) for start, end in axes)
    area_mm2 = area_px * spacing_mm[0] * spacing_mm[1]
    return SizeMm(long_axis_mm=long_axis, short_axis_mm=short_axis, area_mm2=area_mm2, spacing_mm=spacing_mm)


def _with_pixel(along_mm: Points, spacing_mm: tuple[float, float]) -> float:
    """Length of an axis plus that of a pixel in its direction (of an axis without length, the smaller side)."""
    length = float(np.hypot(*along_mm))
    if length == 0:
        return min(spacing_mm)
    pixels = float(np.hypot(along_mm[0] / spacing_mm[0], along_mm[1] / spacing_mm[1]))
    return length + length / pixels


def calipers(contour_xy: npt.NDArray[np.int32]) -> tuple[float, float]:
    """Lengths of the long and the short axis of a contour, shape (n, 2), in pixels; 0 where there is none.

    One pixel is added to each, as a contour runs through pixel centres.
    """
    if len(contour_xy) == 0:
        return 0.0, 0.0
    long_axis, short_axis = (float(np.hypot(*(end - start))) + 1 for start, end in caliper_lines(contour_xy))
    return long_axis, short_axis
