"""Augmentation of grey ultrasound images: what differs between scanners, settings and hands, and nothing that lies.

Orientation is kept apart from a left-right flip and a small tilt: taller-than-wide is a sign of malignancy, and
shadow and enhancement always point away from the probe.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamer.geometry import Box, CropWindow
from streamer.types import Grey

_MIN_VISIBLE = 0.4
"""Share of a box that must remain in view for it to stay one."""


def photometric(grey: Grey, rng: np.random.Generator) -> Grey:
    """Vary gain, dynamic range, time-gain compensation, speckle, sharpness, shadows and burnt-in calipers.

    Args:
        grey: image, shape (height, width).
        rng: source of randomness.

    Returns:
        A new image of the same shape.
    """
    height, width = grey.shape
    image = grey.astype(np.float32) / 255
    image = image ** np.float32(rng.uniform(0.7, 1.4)) * np.float32(rng.uniform(0.75, 1.25))
    if rng.random() < 0.5:  # time-gain compensation set differently with depth
        knots = rng.uniform(0.7, 1.3, 4)
        depth = np.interp(np.linspace(0, 3, height), np.arange(4), knots).astype(np.float32)
        image *= depth[:, None]
    if rng.random() < 0.4:  # multiplicative noise with the grain of speckle
        noise = rng.normal(0, 1, (height, width)).astype(np.float32)
        grain = float(rng.uniform(0.6, 1.5))
        image *= 1 + np.float32(rng.uniform(0.05, 0.25)) * cv2.GaussianBlur(noise, (0, 0), grain) * np.float32(
            2 * grain
        )
    if rng.random() < 0.2:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 1.2))), np.float32)
    if rng.random() < 0.15:  # acoustic shadow: a column that darkens from some depth on
        start, middle, half = rng.integers(0, height), rng.integers(0, width), max(1.0, width * rng.uniform(0.02, 0.1))
        column = np.exp(-(((np.arange(width) - middle) / half) ** 2)).astype(np.float32)
        image[start:] *= 1 - np.float32(rng.uniform(0.3, 0.8)) * column
    result = np.clip(image * 255, 0, 255).astype(np.uint8)
    if rng.random() < 0.3:
        _draw_calipers(result, rng)
    return result


def _draw_calipers(image: Grey, rng: np.random.Generator) -> None:
    """Paint marks like a scanner's calipers, in place, whatever the label: in TN3K they go with it by accident."""
    height, width = image.shape
    reach = max(2, min(height, width) // 40)
    for _ in range(int(rng.integers(2, 5))):
        centre = int(rng.integers(0, width)), int(rng.integers(0, height))
        marker = cv2.MARKER_CROSS if rng.random() < 0.6 else cv2.MARKER_TILTED_CROSS
        cv2.drawMarker(image, centre, int(rng.integers(180, 256)), marker, 2 * reach, 1)


def tilt_and_flip(images: list[Grey], rng: np.random.Generator, *, degrees: float) -> list[Grey]:
    """Rotate square images (an image and its mask) by one random angle up to `degrees`; flip them left-right or not."""
    size = images[0].shape[0]
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2, (size - 1) / 2), float(rng.uniform(-degrees, degrees)), 1.0)
    turned = [
        np.asarray(cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR), np.uint8) for image in images
    ]
    if rng.random() < 0.5:
        turned = [np.ascontiguousarray(image[:, ::-1]) for image in turned]
    return turned


def jittered_window(
    box_xyxy: Box, rng: np.random.Generator, *, margin: float, shift: float, stretch: float
) -> CropWindow:
    """The crop window of a box as a detector might have drawn it.

    Args:
        box_xyxy: the true box.
        rng: source of randomness.
        margin: margin of the crop, as a share of the box's longer side.
        shift: largest displacement of each edge, as a share of the box's side.
        stretch: largest change of the window's size, as a factor in either direction.
    """
    x0, y0, x1, y1 = box_xyxy
    width, height = x1 - x0, y1 - y0
    edges = rng.uniform(-shift, shift, 4)
    box = (x0 + edges[0] * width, y0 + edges[1] * height, x1 + edges[2] * width, y1 + edges[3] * height)
    factor = float(np.exp(rng.uniform(-np.log(stretch), np.log(stretch)))) if stretch > 1 else 1.0
    return CropWindow.around(box, ((1 + 2 * margin) * factor - 1) / 2)


def place(
    layers: Sequence[Grey],
    boxes: npt.NDArray[np.float32],
    cell_wh: tuple[int, int],
    rng: np.random.Generator,
    *,
    scale: float,
    zoom: float = 1.0,
    ignored: npt.NDArray[np.float32] | None = None,
) -> tuple[list[Grey], npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Scale an image about its fit into a cell, put it at a random place there, flip it left-right or not.

    Args:
        layers: the image and what lies upon it and goes the same way, shape (height, width) or (height, width, n).
        boxes: xyxy in the image, shape (n, 4).
        cell_wh: width and height of the cell in pixels.
        rng: source of randomness.
        scale: largest change of size in either direction, as a share.
        zoom: size about which it changes; above 1 the cell shows a part of the image.
        ignored: xyxy of regions that go the same way and are neither right nor wrong, shape (m, 4); None for none.

    Returns:
        The layers' cells, the boxes in them, clipped, and the regions, clipped. A box of which less than 40 % remains
        is a region: what is seen of it is no longer a nodule to find, and no background either.
    """
    cell_w, cell_h = cell_wh
    height, width = layers[0].shape
    factor = zoom * min(cell_w / width, cell_h / height) * float(rng.uniform(1 - scale, 1 + scale))
    new_w, new_h = max(2, round(width * factor)), max(2, round(height * factor))
    interpolation = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    scaled = [np.asarray(cv2.resize(layer, (new_w, new_h), interpolation=interpolation), np.uint8) for layer in layers]
    known = len(boxes)
    boxes = boxes if ignored is None else np.concatenate([boxes, ignored])
    boxes = boxes * np.array([new_w / width, new_h / height, new_w / width, new_h / height], np.float32)
    if rng.random() < 0.5:
        scaled = [layer[:, ::-1] for layer in scaled]
        boxes = np.stack([new_w - boxes[:, 2], boxes[:, 1], new_w - boxes[:, 0], boxes[:, 3]], axis=1)
    left, top = _offset(cell_w - new_w, rng), _offset(cell_h - new_h, rng)
    cells = [np.zeros((cell_h, cell_w, *layer.shape[2:]), np.uint8) for layer in layers]
    rows = slice(max(top, 0), min(top + new_h, cell_h))
    columns = slice(max(left, 0), min(left + new_w, cell_w))
    for cell, layer in zip(cells, scaled, strict=True):
        cell[rows, columns] = layer[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
    clipped, share = _clip_boxes(boxes + np.array([left, top, left, top], np.float32), cell_w, cell_h)
    whole = (share > _MIN_VISIBLE) & (np.arange(len(share)) < known)
    return cells, clipped[whole], clipped[~whole & (share > 0)]


def _offset(slack: int, rng: np.random.Generator) -> int:
    low, high = sorted((0, slack))
    return int(rng.integers(low, high + 1))


def _clip_boxes(
    boxes: npt.NDArray[np.float32], width: int, height: int
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    """Boxes clipped to a cell, shape (n, 4), and the share of each one's area that remains, shape (n,)."""
    clipped = np.clip(boxes, 0, np.array([width, height, width, height], np.float32)).astype(np.float32)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    left_over = np.prod(np.maximum(clipped[:, 2:] - clipped[:, :2], 0), axis=1)
    return clipped, np.asarray(left_over / np.maximum(area, 1e-6), np.float32)
