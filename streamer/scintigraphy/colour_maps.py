"""Grey levels of a colour-mapped export: which known map it has, and each pixel's place on it.

Known are grey and inverse grey, the palettes of DICOM PS3.6 Annex B (as pydicom ships them) and matplotlib's maps that
look like those of nuclear medicine workstations. A picture in another map is refused: its colours mean nothing here.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from scipy.spatial import KDTree

from streamer.dicom.library import require_dicom
from streamer.errors import DataError
from streamer.scintigraphy.image import Grey

Rgb = npt.NDArray[np.uint8]

_DICOM_PALETTES = {
    "HOT_IRON": "1.2.840.10008.1.5.1",
    "PET": "1.2.840.10008.1.5.2",
    "HOT_METAL_BLUE": "1.2.840.10008.1.5.3",
}
"""Name and unique identifier of each (PS3.6, Annex B)."""
_MATPLOTLIB_MAPS = ("jet", "hot", "inferno")
COLOUR_MAPS = ("grey", "inverse-grey", *_DICOM_PALETTES, *_MATPLOTLIB_MAPS)
"""Maps that can be undone, by the name that a CSV may give in its column `colour_map`."""

_MAX_CHROMA = 16
"""Difference of a grey pixel's channels that JPEG and rounding leave."""
_FEW = 0.02
"""Share of coloured pixels (a caliper, a label) that a grey picture may have."""
_FARTHEST_RGB = 15.0
"""Distance in RGB from the map within which half of the smooth coloured pixels must lie. Noisy counts saved as JPEG of
quality 80 with chroma at half resolution leave 2 to 14; viridis, cool, gnuplot and gist_rainbow leave 16 and more."""
_SMOOTHEST_PERCENT = 20
_WINDOW_PX = 5
_SAMPLE_PX = 2000
_BITS = 6


def grey_levels(rgb: Rgb, place: str, colour_map: str | None = None) -> tuple[Grey, str]:
    """Grey levels (0 nothing, 255 the top of the map), shape (height, width), and the name of the map.

    Args:
        rgb: shape (height, width, 3).
        place: names the picture in an error.
        colour_map: one of `COLOUR_MAPS`; None to find out.

    Raises:
        DataError: the map is none of the known ones.
    """
    name = colour_map or _recognised(rgb, place)
    if name in ("grey", "inverse-grey"):
        grey = np.asarray(rgb.astype(np.float32) @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)
        levels = np.asarray(grey.round(), np.uint8)
        return (255 - levels if name == "inverse-grey" else levels), name
    if name not in COLOUR_MAPS:
        raise DataError(f"{place}: the colour map {name!r} is not known; known are {', '.join(COLOUR_MAPS)}")
    coarse = rgb >> (8 - _BITS)
    index = (coarse[..., 0].astype(np.int32) << 2 * _BITS) | (coarse[..., 1].astype(np.int32) << _BITS) | coarse[..., 2]
    return _inverse(name)[index], name


def colour_table(name: str) -> Rgb:
    """The 256 colours of a map, shape (256, 3)."""
    ramp = np.arange(256, dtype=np.uint8)
    if name == "grey":
        return np.repeat(ramp[:, None], 3, axis=1)
    if name == "inverse-grey":
        return np.repeat(255 - ramp[:, None], 3, axis=1)
    if name in _DICOM_PALETTES:
        require_dicom("a picture in DICOM's palettes")
        from pydicom.pixels.processing import apply_color_lut

        colours: Any = apply_color_lut(ramp[None], palette=_DICOM_PALETTES[name])[0]
        return np.asarray(colours >> 8 if colours.dtype == np.uint16 else colours, np.uint8)
    from matplotlib import colormaps

    return np.asarray(colormaps[name](np.arange(256), bytes=True)[:, :3], np.uint8)


def _recognised(rgb: Rgb, place: str) -> str:
    chroma = _highest(rgb) - _lowest(rgb)
    coloured = (chroma > _MAX_CHROMA).ravel()
    if coloured.mean() <= _FEW:
        rim = np.concatenate([rgb[0], rgb[-1], rgb[:, 0], rgb[:, -1]])
        # Little lies at the rim of the field, so a bright rim is paper white.
        return "inverse-grey" if np.median(rim) > 127 else "grey"
    colours = rgb.reshape(-1, 3)[coloured].astype(np.int16)
    sample = _thinned(colours)
    distances = {
        known: float(np.percentile(_tree(known).query(sample)[0], 90))
        for known in (*_DICOM_PALETTES, *_MATPLOTLIB_MAPS)
    }
    name = min(distances, key=lambda known: distances[known])
    # JPEG blurs chroma: only where the picture is smooth do its colours lie on the map.
    roughness = _roughness(rgb).ravel()[coloured]
    smooth = _thinned(colours[roughness <= np.percentile(roughness, _SMOOTHEST_PERCENT)])
    if float(np.median(_tree(name).query(smooth)[0])) > _FARTHEST_RGB:
        raise DataError(
            f"{place}: a colour-mapped picture whose map is not known; export it in grey or as DICOM NM, or name one "
            f"of {', '.join(COLOUR_MAPS)} in the CSV's column colour_map"
        )
    return name


def _thinned(colours: npt.NDArray[np.int16]) -> npt.NDArray[np.int16]:
    return colours[:: max(1, len(colours) // _SAMPLE_PX)]


def _roughness(rgb: Rgb) -> Any:
    """Variance about each pixel, of the channel that varies most."""
    values = rgb.astype(np.float32)
    window = (_WINDOW_PX, _WINDOW_PX)
    mean = cv2.blur(values, window)
    return _highest(cv2.blur(values * values, window) - mean * mean)


def _highest(channels: Any) -> Any:
    """The highest of three channels, shape (height, width); `max(axis=2)` takes ten times as long."""
    return np.maximum(np.maximum(channels[..., 0], channels[..., 1]), channels[..., 2])


def _lowest(channels: Any) -> Any:
    return np.minimum(np.minimum(channels[..., 0], channels[..., 1]), channels[..., 2])


@cache
def _tree(name: str) -> KDTree:
    return KDTree(colour_table(name).astype(np.float32))


@cache
def _inverse(name: str) -> Grey:
    """The place on the map of every colour at 6 bits a channel."""
    steps = (np.arange(1 << _BITS) << (8 - _BITS)) + (1 << (7 - _BITS))
    cube = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1).reshape(-1, 3)
    return np.asarray(_tree(name).query(cube)[1], np.uint8)
