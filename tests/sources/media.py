"""Small clips and stills that the tests make for themselves.

Every frame carries its number as a row of 8 black or white blocks (most significant bit first) and, below them, a red,
a green and a blue field, so that order and colour can be read back after lossy coding.
"""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from streamer.types import Image

BITS = 8
FIELDS_RGB = ((200, 40, 40), (40, 160, 40), (40, 40, 200))


def numbered_image(number: int, *, width: int = 96, height: int = 64) -> Image:
    """A picture, shape (height, width, 3), that shows `number` (0 to 255) and the three colour fields."""
    image = np.full((height, width, 3), 90, np.uint8)
    for bit in range(BITS):
        left, right = bit * width // BITS, (bit + 1) * width // BITS
        image[: height // 2, left:right] = 235 if number >> (BITS - 1 - bit) & 1 else 16
    for field, colour in enumerate(FIELDS_RGB):
        image[height // 2 :, field * width // 3 : (field + 1) * width // 3] = colour
    return image


def read_number(image: Image) -> int:
    """The number that `numbered_image` has put into a picture."""
    height, width = image.shape[:2]
    number = 0
    for bit in range(BITS):
        centre = (2 * bit + 1) * width // (2 * BITS)
        number = number << 1 | int(image[height // 4, centre].mean() > 125)
    return number


def field_colours(image: Image) -> list[tuple[int, ...]]:
    """Mean colour in the middle of each of the three fields."""
    height, width = image.shape[:2]
    row = 3 * height // 4
    centres = [(2 * field + 1) * width // 6 for field in range(3)]
    return [tuple(image[row - 2 : row + 3, x - 2 : x + 3].mean(axis=(0, 1)).round().astype(int)) for x in centres]


def write_clip(
    path: Path,
    *,
    codec: str,
    pix_fmt: str = "yuv420p",
    container: str | None = None,
    frames: int = 12,
    size_wh: tuple[int, int] = (96, 64),
    rate: Fraction | int = 25,
    ticks: Sequence[int] | None = None,
    options: Mapping[str, str] | None = None,
    container_options: Mapping[str, str] | None = None,
    rotation_deg: int = 0,
    first_tick: int = 0,
    pixel_aspect: Fraction | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Encode `frames` numbered pictures into `path`.

    `ticks` are presentation times in units of 1/1000 s (variable rate); without them the rate is constant and
    `first_tick` is the first frame's number in time.
    """
    width, height = size_wh
    with av.open(str(path), "w", format=container, container_options=dict(container_options or {})) as output:
        output.metadata.update(metadata or {})
        stream = output.add_stream(codec, rate=rate, options=dict(options or {}))
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
        if pixel_aspect is not None:
            stream.codec_context.sample_aspect_ratio = pixel_aspect
        if ticks is not None:
            stream.codec_context.time_base = Fraction(1, 1000)
        if rotation_deg:
            stream.set_display_rotation(rotation_deg)
        for number in range(frames):
            picture = av.VideoFrame.from_ndarray(numbered_image(number, width=width, height=height), format="rgb24")
            picture.pts = first_tick + number if ticks is None else ticks[number]
            picture.time_base = Fraction(1, rate) if ticks is None else Fraction(1, 1000)
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path
