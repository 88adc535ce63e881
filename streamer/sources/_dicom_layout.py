"""How the samples of a DICOM picture are stored (PS3.3, C.7.6.3)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from streamer.dicom.attributes import integer, text
from streamer.errors import InputError


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelLayout:
    """How the samples of a frame are stored.

    Attributes:
        rows, columns: size of the picture in pixels.
        samples: per pixel, 1 or 3.
        allocated, stored: bits per sample.
        signed: whether samples are two's complement.
        planar: whether colours lie plane by plane.
        photometric: photometric interpretation, upper case.
        big_endian: byte order of native samples.
        word_swapped: native 8-bit samples in big-endian words.
    """

    rows: int
    columns: int
    samples: int
    allocated: int
    stored: int
    signed: bool
    planar: bool
    photometric: str
    big_endian: bool = False
    word_swapped: bool = False

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a native sample."""
        order = ">" if self.big_endian else "<"
        return np.dtype(f"{order}{'i' if self.signed else 'u'}{self.allocated // 8}")

    @property
    def deep(self) -> bool:
        """Whether 8 bits do not hold a grey or RGB sample, and 16 do."""
        return self.stored > 8 and self.allocated == 16 and self.photometric in ("MONOCHROME1", "MONOCHROME2", "RGB")

    @property
    def black(self) -> int:
        """The sample that is shown darkest."""
        lowest = -(1 << (self.stored - 1)) if self.signed else 0
        return lowest + (1 << self.stored) - 1 if self.photometric == "MONOCHROME1" else lowest

    def stored_bits(self, samples: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Samples of 16 bits without what lies above the stored bits, such as an overlay; signed where they are."""
        spare = 16 - self.stored
        left = samples.astype(samples.dtype.newbyteorder("="), copy=False).view(np.uint16) << spare
        return left.view(np.int16) >> spare if self.signed else left >> spare

    @property
    def subsampled(self) -> bool:
        """Whether native samples of two pixels share their colour (PS3.3, C.7.6.3.1.2)."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def native_bytes(self) -> int:
        """Length of a native frame."""
        per_pixel = 2 if self.subsampled and self.samples == 3 else self.samples
        return self.rows * self.columns * per_pixel * (self.allocated // 8)


def layout_of(data: Dataset, name: str, *, big_endian: bool, word_swapped: bool) -> PixelLayout:
    """How the samples are stored.

    Raises:
        InputError: an attribute is missing, or samples are of a kind that is not read.
    """
    rows, columns = integer(data, "Rows") or 0, integer(data, "Columns") or 0
    allocated, samples = integer(data, "BitsAllocated") or 8, integer(data, "SamplesPerPixel") or 1
    if rows <= 0 or columns <= 0:
        raise InputError(f"{name} is a damaged DICOM file: it does not state the size of its picture; export it again")
    if allocated not in (8, 16, 32) or samples not in (1, 3):
        kind = f"{samples} samples of {allocated} bits per pixel"
        raise InputError(f"{name} has {kind}, which is not read; export it as RGB")
    photometric = text(data, "PhotometricInterpretation").upper() or ("MONOCHROME2" if samples == 1 else "RGB")
    stored = integer(data, "BitsStored") or allocated
    return PixelLayout(
        rows=rows,
        columns=columns,
        samples=samples,
        allocated=allocated,
        stored=min(max(stored, 1), allocated),
        signed=integer(data, "PixelRepresentation") == 1,
        planar=integer(data, "PlanarConfiguration") == 1,
        photometric=photometric,
        big_endian=big_endian,
        word_swapped=word_swapped,
    )
