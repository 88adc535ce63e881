"""From stored pixels to upright RGB: display orientation and transparency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer.records import Image


def oriented(image: Image, matrix: Sequence[int]) -> Image:
    """Apply a display matrix (FFmpeg, libavutil/display.h: 9 numbers, row by row) to an image.

    Args:
        image: shape (height, width, 3).
        matrix: fixed-point numbers; only their signs and sizes among each other count.

    A pixel at (p, q) is shown at x = m[0] p + m[3] q, y = m[1] p + m[4] q: turns by 90 degrees and mirror images are
    exact, any other angle is taken as the nearest of these.
    """
    x_from_p, y_from_p, x_from_q, y_from_q = matrix[0], matrix[1], matrix[3], matrix[4]
    if abs(y_from_p) + abs(x_from_q) > abs(x_from_p) + abs(y_from_q):
        image = image.swapaxes(0, 1)
        mirrored, upside_down = x_from_q < 0, y_from_p < 0
    else:
        mirrored, upside_down = x_from_p < 0, y_from_q < 0
    return image[:: -1 if upside_down else 1, :: -1 if mirrored else 1]


def over_black(rgba: npt.NDArray[np.uint8]) -> Image:
    """An image with transparency, shape (height, width, 4), on a black ground, as ultrasound is shown.

    Where alpha is 0 everywhere the channel is unused (32-bit AVI leaves it so) and is ignored.
    """
    alpha = rgba[..., 3]
    if alpha.min() == 255 or alpha.max() == 0:
        return np.ascontiguousarray(rgba[..., :3])
    return ((rgba[..., :3].astype(np.uint16) * alpha[..., None] + 127) // 255).astype(np.uint8)
