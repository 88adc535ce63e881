"""Is there colour in a picture, which networks that see grey would not notice: Doppler, elastography, a photograph?"""

from __future__ import annotations

import numpy as np

from streamer.types import Image

_STEP = 4
"""Every fourth pixel of every fourth row is looked at."""
_LIT = 40
"""Brightest channel of a pixel that counts, 0 to 255."""
_COLOURED = 60
"""Least difference of a coloured pixel's channels: above what chroma subsampling makes of grey."""
_MIN_SHARE = 0.03
"""Share of the lit pixels: logos, marks and scales on the screen have less."""
_TINT_UNITY, _TINT_FLOOR = 0.97, 0.3
"""A tinted grey scale has one hue (length of the mean of its hues, 0 to 1), and a faint one: the darkest channel keeps
so much of the brightest."""


def is_coloured(image: Image) -> bool:
    """Whether a picture shows colour that is more than marks on the screen and no tint of the grey scale.

    Args:
        image: RGB, uint8, shape (height, width, 3).

    Example:
        >>> grey = np.full((64, 64, 3), 90, np.uint8)
        >>> flow = grey.copy()
        >>> flow[10:30, 10:30] = (200, 20, 10)
        >>> is_coloured(grey), is_coloured(flow)
        (False, True)
    """
    pixels = image[::_STEP, ::_STEP].reshape(-1, 3).astype(np.float32)
    brightest = pixels.max(1)
    coloured = brightest - pixels.min(1) > _COLOURED
    share = coloured.sum() / max(1, int((brightest > _LIT).sum()))
    if share < _MIN_SHARE:
        return False
    seen = pixels[coloured]
    faint = float((seen.min(1) / seen.max(1)).mean()) > _TINT_FLOOR
    return not (faint and _unity(seen) > _TINT_UNITY)


def _unity(pixels: np.ndarray[tuple[int, int], np.dtype[np.float32]]) -> float:
    """How much pixels agree in hue, 0 to 1: length of the mean of their directions in the plane of colours."""
    red, green, blue = pixels.T
    plane = (red - (green + blue) / 2) + 1j * (green - blue) * np.sqrt(np.float32(3)) / 2
    return float(np.abs((plane / np.maximum(np.abs(plane), 1e-6)).mean()))
