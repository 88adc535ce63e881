"""Dice and HD95, checked by hand and against a direct computation."""

from math import isnan

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.spatial.distance import cdist

from streamer.errors import DataError
from streamer.metrics.segmentation import dice, hd95

Mask = npt.NDArray[np.bool_]
pair = st.tuples(arrays(np.bool_, (9, 12)), arrays(np.bool_, (9, 12)))


def square(left: int, top: int, side: int) -> Mask:
    mask = np.zeros((60, 80), np.bool_)
    mask[top : top + side, left : left + side] = True
    return mask


def outline_points(mask: Mask) -> npt.NDArray[np.int64]:
    """Pixels with one of four neighbours outside the mask, found one by one."""
    framed = np.pad(mask, 1)
    return np.array(
        [
            (y, x)
            for y, x in np.argwhere(mask)
            if not (framed[y, x + 1] and framed[y + 2, x + 1] and framed[y + 1, x] and framed[y + 1, x + 2])
        ]
    )


def test_by_hand() -> None:
    first, second = square(10, 10, 20), square(20, 10, 20)
    assert dice(first, second) == 0.5
    assert hd95(first, second) == 10.0
    assert dice(first, square(40, 40, 5)) == 0.0
    assert dice(first.astype(np.uint8) * 255, first) == 1.0


def test_a_single_far_pixel_does_not_move_hd95() -> None:
    truth, prediction = square(10, 10, 20), square(10, 10, 20)
    prediction[55, 75] = True
    assert hd95(truth, prediction) == 0.0


def test_empty_masks() -> None:
    empty, full = np.zeros((60, 80), np.bool_), square(0, 0, 9)
    assert (dice(empty, empty), hd95(empty, empty)) == (1.0, 0.0)
    assert dice(empty, full) == 0.0
    assert isnan(hd95(empty, full))
    assert isnan(hd95(full, empty))


@given(pair)
@settings(max_examples=60, deadline=None)
def test_symmetric_bounded_and_1_for_the_same_mask(masks: tuple[Mask, Mask]) -> None:
    first, second = masks
    assert 0 <= dice(first, second) <= 1
    assert dice(first, second) == dice(second, first)
    assert (dice(first, first), hd95(first, first)) == (1.0, 0.0)
    assert hd95(first, second) == pytest.approx(hd95(second, first), nan_ok=True)


@given(pair)
@settings(max_examples=60, deadline=None)
def test_hd95_agrees_with_all_distances(masks: tuple[Mask, Mask]) -> None:
    first, second = masks
    if not first.any() or not second.any():
        return
    distance = cdist(outline_points(first), outline_points(second))
    expected = max(np.percentile(distance.min(axis=1), 95), np.percentile(distance.min(axis=0), 95))
    assert hd95(first, second) == pytest.approx(expected)


def test_masks_of_different_size_are_refused() -> None:
    with pytest.raises(DataError, match="equal in shape"):
        dice(np.zeros((3, 4), np.bool_), np.zeros((4, 3), np.bool_))
