"""Colour that grey networks would not notice, against marks on the screen and tinted grey scales."""

from __future__ import annotations

import numpy as np
import pytest

from streamer.models.colour import is_coloured
from streamer.types import Image

SPECKLE = np.random.default_rng(0).rayleigh(40, (200, 300)).clip(0, 255)
GREY: Image = np.repeat(SPECKLE[:, :, None], 3, 2).astype(np.uint8)


def with_box(*colours: tuple[int, int, int], side: int = 80) -> Image:
    """Stripes of colour in a box of the picture, as of flow."""
    image = GREY.copy()
    for number, colour in enumerate(colours):
        image[40 : 40 + side, 60 + number * side : 60 + (number + 1) * side] = colour
    return image


@pytest.mark.parametrize(
    "image",
    [with_box((210, 30, 10), (20, 40, 200)), with_box((230, 120, 10)), with_box((40, 200, 60), (210, 40, 40))],
    ids=["colour Doppler", "power Doppler", "elastography"],
)
def test_colour_in_a_box_is_seen(image: Image) -> None:
    assert is_coloured(image)


@pytest.mark.parametrize(
    "image",
    [
        GREY,
        with_box((250, 220, 0), side=14),
        (GREY * np.array([1.0, 0.8, 0.5])).astype(np.uint8),
        (GREY * np.array([0.45, 0.75, 1.0])).astype(np.uint8),
        np.zeros((64, 64, 3), np.uint8),
    ],
    ids=["grey", "a mark", "sepia", "blue", "black"],
)
def test_marks_and_tints_are_not(image: Image) -> None:
    assert not is_coloured(image)


def test_a_photograph_of_many_hues_is_coloured() -> None:
    hues = np.random.default_rng(1).integers(0, 256, (10, 15, 3)).astype(np.uint8)
    assert is_coloured(np.repeat(np.repeat(hues, 20, 0), 20, 1))


def test_a_picture_all_in_one_strong_hue_is_coloured() -> None:
    assert is_coloured((GREY * np.array([1.0, 0.4, 0.1])).astype(np.uint8))
