"""Heavy augmentation of a detector's training pictures: more shapes, scanners and gaps than a few dozen patients have.

What `streamer.training.augment` leaves as it is changes here: the angle and the proportions of the picture, the
distribution of its grey levels, its resolution; and parts of it are hidden, or another picture shines through. For a
detector only: a classifier reads malignancy from proportions and texture.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import Grey

Boxes = npt.NDArray[np.float32]

_TILT_DEGREES = 12.0
_STRETCH = 0.25
"""Largest logarithm of the change of a side."""
_SHEAR = 0.12
_SMALLEST_PX = 32
_MOST_HIDDEN = 0.25
"""Of a nodule's box: what is hidden by more could no longer be found."""


def warp(
    layers: Sequence[Grey], boxes: Boxes, ignored: Boxes, rng: np.random.Generator
) -> tuple[list[Grey], Boxes, Boxes]:
    """Tilt by up to 12 degrees, stretch each side by up to a quarter, shear; the canvas grows to hold all of it.

    A nodule is taken for the ellipse in its box: the new box is the one around the ellipse, which a tilt hardly
    enlarges, and not around the corners.

    Args:
        layers: the image and what lies upon it, shape (height, width) or (height, width, n).
        boxes: nodules, xyxy, shape (n, 4).
        ignored: regions that are neither right nor wrong, xyxy, shape (m, 4).
        rng: source of randomness.

    Returns:
        The same, warped.

    Example:
        >>> boxes = np.array([[10, 10, 30, 20]], np.float32)
        >>> (image,), moved, _ = warp([np.zeros((60, 80), np.uint8)], boxes, boxes[:0], np.random.default_rng(0))
        >>> moved.shape
        (1, 4)
    """
    height, width = layers[0].shape[:2]
    angle = np.deg2rad(rng.uniform(-_TILT_DEGREES, _TILT_DEGREES))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    shear = np.array([[1, rng.uniform(-_SHEAR, _SHEAR)], [0, 1]])
    matrix = turn @ shear @ np.diag(np.exp(rng.uniform(-_STRETCH, _STRETCH, 2)))
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]]) @ matrix.T
    first = corners.min(0)
    size = tuple(int(side) for side in np.maximum(corners.max(0) - first, _SMALLEST_PX))
    affine = np.hstack([matrix, -first[:, None]])
    warped = [np.asarray(cv2.warpAffine(layer, affine, size, flags=cv2.INTER_LINEAR), np.uint8) for layer in layers]
    return warped, _around_ellipses(boxes, affine), _around_ellipses(ignored, affine)


def _around_ellipses(boxes: Boxes, affine: npt.NDArray[np.float64]) -> Boxes:
    matrix, shift = affine[:, :2], affine[:, 2]
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix.T + shift
    radii = np.sqrt(((boxes[:, 2:] - boxes[:, :2]) / 2) ** 2 @ (matrix**2).T)
    return np.hstack([centres - radii, centres + radii]).astype(np.float32)


def with_grey_levels_of(image: Grey, other: Grey) -> Grey:
    """The image with the distribution of grey levels of another, black apart: as another scanner's map would show it.

    Histogram matching (Gonzalez and Woods, Digital Image Processing, 3.3.3); what is black, mostly around the picture,
    stays black and does not count. An image or another that is all black changes nothing.

    Example:
        >>> with_grey_levels_of(np.array([[0, 10, 20]], np.uint8), np.array([[0, 100, 200]], np.uint8))
        array([[  0, 100, 200]], dtype=uint8)
    """
    own, wanted = (np.bincount(grey.ravel(), minlength=256)[1:].cumsum() for grey in (image, other))
    if not own[-1] or not wanted[-1]:
        return image
    levels = 1 + np.searchsorted(wanted / wanted[-1], own / own[-1])
    table = np.concatenate([[0], np.minimum(levels, 255)]).astype(np.uint8)
    return np.asarray(table[image], np.uint8)


def coarser(image: Grey, rng: np.random.Generator) -> Grey:
    """The image at 0.35 to 0.8 of its resolution, brought back to its size."""
    share = float(rng.uniform(0.35, 0.8))
    small = cv2.resize(image, None, fx=share, fy=share, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.resize(small, (image.shape[1], image.shape[0]), interpolation=cv2.INTER_LINEAR), np.uint8)


def hide(image: Grey, boxes: Boxes, rng: np.random.Generator) -> Grey:
    """A copy with one to three rectangles of one grey or of noise, none of which hides a quarter of a nodule's box.

    Random erasing (Zhong et al., AAAI 2020). Each rectangle takes 5 to 25 % of either side.
    """
    hidden = image.copy()
    height, width = image.shape
    for _ in range(int(rng.integers(1, 4))):
        w, h = int(rng.uniform(0.05, 0.25) * width), int(rng.uniform(0.05, 0.25) * height)
        x, y = int(rng.integers(0, width - w)), int(rng.integers(0, height - h))
        noise = rng.random() < 0.5
        if (_share_inside(boxes, (x, y, x + w, y + h)) > _MOST_HIDDEN).any():
            continue
        hidden[y : y + h, x : x + w] = rng.integers(0, 160, (h, w)) if noise else rng.integers(0, 120)
    return hidden


def _share_inside(boxes: Boxes, area: tuple[int, int, int, int]) -> npt.NDArray[np.float32]:
    """Share of each box that lies in an area, xyxy, shape (n,)."""
    overlap = np.minimum(boxes[:, 2:], area[2:]) - np.maximum(boxes[:, :2], area[:2])
    return np.asarray(np.maximum(overlap, 0).prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1), np.float32)


def shine_through(image: Grey, other: Grey, rng: np.random.Generator) -> Grey:
    """Both images blended about half and half: the boxes of both hold (mixup for detection, Zhang et al. 2019)."""
    weight = float(rng.beta(8, 8))
    return np.asarray(cv2.addWeighted(image, weight, other, 1 - weight, 0), np.uint8)
