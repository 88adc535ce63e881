"""From the samples of a DICOM frame to RGB with 8 bits (PS3.3, C.7.6.3.1.2)."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut

from streamer.dicom.attributes import number
from streamer.errors import InputError
from streamer.sources._dicom_codecs import CodecError, Samples
from streamer.sources._dicom_layout import PixelLayout
from streamer.types import Image

_PHOTOMETRIC = (
    "MONOCHROME1",
    "MONOCHROME2",
    "PALETTE COLOR",
    "RGB",
    "YBR_FULL",
    "YBR_FULL_422",
    "YBR_PARTIAL_422",
    "YBR_PARTIAL_420",
    "YBR_RCT",
    "YBR_ICT",
)


class ColourConverter:
    """Turns samples of one clip into RGB; lookup tables are made once.

    Args:
        data: header, for palette and window.
        layout: of the samples.
        name: of the clip, for messages.

    Raises:
        InputError: the photometric interpretation is unknown, or its palette is missing or malformed.
    """

    def __init__(self, data: Dataset, layout: PixelLayout, name: str) -> None:
        if layout.photometric not in _PHOTOMETRIC:
            raise InputError(f"{name} has an unknown or retired colour representation; export it as RGB or grey")
        self._layout = layout
        self._palette = _palette(data, layout, name) if layout.photometric == "PALETTE COLOR" else None
        self._grey = _grey_table(data, layout) if layout.samples == 1 and layout.allocated <= 16 else None

    def rgb(self, samples: Samples, colour: str) -> Image:
        """RGB, shape (height, width, 3), of samples whose colour is `colour` (a photometric interpretation).

        Raises:
            CodecError: the samples do not have the shape that their header states.
        """
        if samples.ndim == 3 and samples.shape[2] == 1:
            samples = samples[..., 0]
        if samples.ndim == 2:
            return self._from_one(samples)
        if samples.ndim != 3 or samples.shape[2] < 3:
            raise CodecError("unexpected shape")
        image = np.ascontiguousarray(_upper_bits(samples[..., :3], self._layout.stored))
        if colour.startswith("YBR_PARTIAL"):
            image = np.ascontiguousarray(cv2.LUT(image, _FULL_RANGE))
        if colour.startswith("YBR"):
            # OpenCV's order is Y Cr Cb; the matrix is that of JFIF, as in the standard.
            return np.asarray(cv2.cvtColor(np.ascontiguousarray(image[..., [0, 2, 1]]), cv2.COLOR_YCrCb2RGB), np.uint8)
        return image

    def _from_one(self, samples: Samples) -> Image:
        if self._palette is not None:
            return np.asarray(self._palette[np.clip(samples, 0, len(self._palette) - 1)], np.uint8)
        if self._grey is None:
            grey = _upper_bits(samples, self._layout.stored)
            grey = 255 - grey if self._layout.photometric == "MONOCHROME1" else grey
        else:
            unsigned = samples.view(f"u{samples.dtype.itemsize}") if samples.dtype.kind == "i" else samples
            grey = self._grey[unsigned & (len(self._grey) - 1)]
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(grey), cv2.COLOR_GRAY2RGB), np.uint8)


def _upper_bits(samples: Samples, stored: int) -> Image:
    if samples.dtype == np.uint8:
        return np.asarray(samples, np.uint8)
    return (samples.astype(np.int64) >> max(stored - 8, 0)).clip(0, 255).astype(np.uint8)


def _full_range() -> npt.NDArray[np.uint8]:
    """Levels 16 to 235 of luma, 16 to 240 of colour (ITU-R BT.601), to 0 to 255."""
    levels = np.arange(256.0)
    luma, chroma = (levels - 16) * 255 / 219, (levels - 128) * 255 / 224 + 128
    return np.stack([luma, chroma, chroma], axis=1).round().clip(0, 255).astype(np.uint8)[None]


_FULL_RANGE = _full_range()


def _palette(data: Dataset, layout: PixelLayout, name: str) -> Image:
    """Colour of every stored value, shape (n, 3)."""
    stored = np.arange(1 << min(layout.stored, 16), dtype=np.uint8 if layout.stored <= 8 else np.uint16)
    try:
        table = np.asarray(apply_color_lut(stored[None], data))[0, :, :3]
    except Exception as error:  # pydicom's own reading of the tables raises nearly anything
        raise InputError(f"{name} has a missing or malformed colour palette; export it as RGB") from error
    wide = table.dtype != np.uint8 and int(table.max()) > 255  # tables of 8-bit values are marked as 16 by some
    return np.ascontiguousarray((table >> 8 if wide else table).astype(np.uint8))


def _grey_table(data: Dataset, layout: PixelLayout) -> npt.NDArray[np.uint8]:
    """Grey level of every stored value: the window where one is given for more than 8 bits, else the upper 8 bits."""
    count = 1 << layout.stored
    values = np.arange(count, dtype=np.float64)
    if layout.signed:
        values[count // 2 :] -= count
    lowest = -(count // 2) if layout.signed else 0
    centre, width = number(data, "WindowCenter"), number(data, "WindowWidth")
    if layout.stored > 8 and centre is not None and width is not None and width > 1:
        rescaled = values * (number(data, "RescaleSlope") or 1.0) + (number(data, "RescaleIntercept") or 0.0)
        grey = ((rescaled - (centre - 0.5)) / (width - 1) + 0.5) * 255  # PS3.3, C.11.2.1.2.1
    elif layout.stored >= 8:
        grey = np.floor((values - lowest) / (1 << (layout.stored - 8)))
    else:
        grey = (values - lowest) * 255 / (count - 1)
    table = grey.round().clip(0, 255).astype(np.uint8)
    return 255 - table if layout.photometric == "MONOCHROME1" else table
