"""A nodule's heat on its frame: where the classifier looked, nowhere else, whatever the frame's edge."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.outputs.colour_map import tint_nodule
from streamer.types import NoduleHeat


def grey(width: int = 120, height: int = 90) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width, 3), 80, np.uint8)


def one_cell(row: int, column: int, value: float = 2.0) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
    cells = np.full((8, 8), -1.0, np.float32)
    cells[row, column] = value
    return cells


def test_the_strongest_cell_is_coloured_where_it_lies_in_the_window() -> None:
    image = grey()
    tint_nodule(image, NoduleHeat(cells=one_cell(2, 5), window_xyxy=(20, 5, 100, 85)))
    changed = (image != 80).any(axis=2)
    rows, columns = np.nonzero(changed)
    # A cell is ten pixels, and runs out over half of each neighbour.
    assert (rows.min(), rows.max()) == pytest.approx((20, 39), abs=3)
    assert (columns.min(), columns.max()) == pytest.approx((65, 84), abs=3)
    assert changed[30, 75]


@pytest.mark.parametrize("window", [(-40, -40, 40, 40), (90, 60, 170, 140), (-300, -300, -220, -220)])
def test_a_window_may_reach_beyond_the_frame(window: tuple[int, int, int, int]) -> None:
    image = grey()
    tint_nodule(image, NoduleHeat(cells=np.ones((8, 8), np.float32), window_xyxy=window))
    x0, y0, x1, y1 = (max(0, value) for value in window)
    inside = np.zeros(image.shape[:2], np.bool_)
    inside[y0:y1, x0:x1] = True
    np.testing.assert_array_equal((image != 80).any(axis=2), inside)


def test_what_speaks_against_malignancy_is_not_shown() -> None:
    image = grey()
    tint_nodule(image, NoduleHeat(cells=np.full((8, 8), -1.0, np.float32), window_xyxy=(20, 5, 100, 85)))
    assert (image == 80).all()


def test_next_to_nothing_is_not_shown_in_the_brightest_colour() -> None:
    """All cells together below 0.02 of the log-odds, half a per cent of probability: the frame stays as it is."""
    cells = np.full((8, 8), -0.1, np.float32)
    cells[2, 5] = 0.019
    image = grey()
    tint_nodule(image, NoduleHeat(cells=cells, window_xyxy=(20, 5, 100, 85)))
    assert (image == 80).all()
    cells[6, 1] = 0.002  # what all of them say together counts
    tint_nodule(image, NoduleHeat(cells=cells, window_xyxy=(20, 5, 100, 85)))
    assert (image != 80).any()
