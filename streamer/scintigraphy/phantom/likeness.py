"""Size, contrast, noise and salivary activity of an image with a known gland: what phantoms and real views share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import ndimage

_CORE_PX, _GAP_PX, _RING_PX = 3, 8, 20
"""Of a 256 px picture: what is left out inside the outline, and where the neck's ring begins and ends outside it."""
_SMOOTH_PX = 2.0
_SALIVARY_PERCENTILE = 99.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Likeness:
    """What is compared.

    Attributes:
        width, height: of the gland, as shares of the picture's width.
        contrast: mean of the gland over that of the neck around it.
        noise: relative standard deviation of the gland's fine detail.
        salivary: 99.5th percentile above the gland over the neck around it.
    """

    width: float
    height: float
    contrast: float
    noise: float
    salivary: float


def likeness(pixels: npt.ArrayLike, gland: npt.NDArray[np.bool_]) -> Likeness:
    """Measure a picture of about 256 px.

    Args:
        pixels: shape (height, width).
        gland: its outline, same shape, not empty and not at the upper rim.
    """
    values = np.asarray(pixels, np.float64)
    rows, columns = np.nonzero(gland)
    core = ndimage.binary_erosion(gland, iterations=_CORE_PX)
    near = ndimage.binary_dilation(gland, iterations=_GAP_PX)
    ring = ndimage.binary_dilation(gland, iterations=_RING_PX) & ~near
    neck = max(float(values[ring].mean()), 1e-9)
    fine = values - ndimage.gaussian_filter(values, _SMOOTH_PX)
    above = values[: max(int(rows.min()) - _GAP_PX, 1)]
    return Likeness(
        width=(np.ptp(columns) + 1) / values.shape[1],
        height=(np.ptp(rows) + 1) / values.shape[1],
        contrast=float(values[core].mean()) / neck,
        noise=float(fine[core].std() / values[core].mean()),
        salivary=float(np.percentile(above, _SALIVARY_PERCENTILE)) / neck,
    )
