"""From decoded pictures to upright RGB: colour conversion, display orientation and transparency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from av.video.reformatter import VideoReformatter

from streamer.types import Image

DARK = 64
"""14 bits in 16 reach 16383 of 65535, which is 64 of 255; a scanner's own marks are brighter than that."""


def few_bits(bits: int) -> str:
    """What is wrong with pictures whose values need fewer bits than they have, as a line to put behind a name."""
    return f"uses few of its {bits} bits, and is dark; export it with 8 bits"


class Converter:
    """Turns decoded pictures of one clip into upright RGB; keeps the scaler's tables from one frame to the next."""

    def __init__(self) -> None:
        self._reformatter = VideoReformatter()
        self._shape: tuple[int, int, int] | None = None
        self._upright: Callable[[Image], Image] = _as_it_is
        self._deep_bits = self._brightest = 0

    @property
    def warning(self) -> str | None:
        """What a reader should know of the pictures so far: that they use the low end of their range only."""
        return few_bits(self._deep_bits) if self._deep_bits and self._brightest <= DARK else None

    def upright_aspect(self, stored: Fraction) -> Fraction:
        """Width of a pixel over its height in upright pictures like the last one."""
        turned = self._shape is not None and round(self._shape[0] / 90) % 2 == 1
        return 1 / stored if turned else stored

    def rgb(self, picture: av.VideoFrame) -> Image:
        """Upright RGB, shape (height, width, 3).

        swscale applies the matrix and range that the stream states, ITU-R BT.601 and limited range where it states
        none. Rows may be padded in memory: the array is a view of the scaler's output, not a second copy. One scaler
        thread, so that the result does not depend on the machine.
        """
        # Asked for its side data a picture refers to itself, and its memory waits for the garbage collector (PyAV 18):
        # so only where the display orientation may be a new one.
        shape = picture.rotation, picture.width, picture.height
        if shape != self._shape:
            self._shape, self._upright = shape, _display_orientation(picture)
        has_alpha = any(component.is_alpha for component in picture.format.components)
        converted = self._reformatter.reformat(picture, format="rgba" if has_alpha else "rgb24", threads=1)
        pixels = np.asarray(converted.to_ndarray(), np.uint8)
        bits = max((component.bits for component in picture.format.components), default=8)
        if 8 < bits <= 16:  # 32 is floating point
            self._deep_bits = bits
            self._brightest = max(self._brightest, int(pixels[..., :3].max()))
        return self._upright(over_black(pixels) if has_alpha else pixels)


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


def _display_orientation(picture: av.VideoFrame) -> Callable[[Image], Image]:
    """What turns a picture upright."""
    try:
        matrix = picture.side_data.get("DISPLAYMATRIX")
    except ValueError:  # another kind of side data that PyAV has no name for; the angle can still be had
        quarter_turns = round(picture.rotation / 90)
        return (lambda image: np.ascontiguousarray(np.rot90(image, quarter_turns))) if quarter_turns else _as_it_is
    if matrix is None:
        return _as_it_is
    numbers = np.frombuffer(matrix, np.int32).tolist()  # type: ignore[call-overload]  # PyAV's annotation: no buffer
    return lambda image: np.ascontiguousarray(oriented(image, numbers))


def _as_it_is(image: Image) -> Image:
    return image
