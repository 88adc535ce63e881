"""Figures of a segmentation: Dice and the 95th percentile Hausdorff distance of each image.

Their means with intervals come from `metrics.estimate.mean_figure`.
"""

from __future__ import annotations

from math import nan

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from streamer.errors import DataError

Mask = npt.NDArray[np.bool_] | npt.NDArray[np.uint8]
"""A mask, shape (height, width); anything but 0 is nodule."""


def dice(truth: Mask, prediction: Mask) -> float:
    """Twice the common area over the sum of areas (Dice, Ecology 1945;26:297-302); 1 if both masks are empty.

    Raises:
        DataError: the masks differ in shape.
    """
    first, second = _as_pair(truth, prediction)
    total = int(first.sum()) + int(second.sum())
    return 2 * int((first & second).sum()) / total if total else 1.0


def hd95(truth: Mask, prediction: Mask) -> float:
    """95th percentile Hausdorff distance between the outlines, in pixels.

    The greater of the two directed 95th percentiles (Maier-Hein et al., Metrics Reloaded, Nat Methods
    2024;21:195-212). The outline is made of the mask's pixels that have a neighbour outside it (above, below, left,
    right) or lie at the border of the image.

    Returns:
        0 if both masks are empty; NaN if one is, as there is no distance to nothing: Dice counts that image as 0.

    Raises:
        DataError: the masks differ in shape.
    """
    first, second = _as_pair(truth, prediction)
    if not first.any() and not second.any():
        return 0.0
    if not first.any() or not second.any():
        return nan
    outline, other = _outline(first), _outline(second)
    there = ndimage.distance_transform_edt(~other)[outline]
    back = ndimage.distance_transform_edt(~outline)[other]
    return float(max(np.percentile(there, 95), np.percentile(back, 95)))


def _outline(mask: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    return np.asarray(mask & ~ndimage.binary_erosion(mask), np.bool_)


def _as_pair(truth: Mask, prediction: Mask) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """Both masks as booleans, cut to the rows and columns that hold any of them, with one empty pixel around."""
    if truth.ndim != 2 or truth.shape != prediction.shape:
        raise DataError(f"masks must be two-dimensional and equal in shape (got {truth.shape} and {prediction.shape})")
    first, second = np.asarray(truth, np.bool_), np.asarray(prediction, np.bool_)
    either = first | second
    rows, columns = np.flatnonzero(either.any(axis=1)), np.flatnonzero(either.any(axis=0))
    if not len(rows):
        return first, second
    window = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.pad(first[window], 1), np.pad(second[window], 1)
