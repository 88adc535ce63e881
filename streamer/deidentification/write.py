"""Writes the masked frames of a cine as a DICOM object, one frame in memory at a time."""

from __future__ import annotations

import shutil
import struct
import tempfile
from itertools import pairwise
from pathlib import Path

import imagecodecs
import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGBaseline8Bit, JPEGLSLossless

from streamer.dicom.identity import save
from streamer.errors import OutputError
from streamer.sources._dicom_codecs import Samples
from streamer.sources._dicom_layout import PixelLayout

_JPEG_QUALITY = 95
_MAX_NATIVE_BYTES = 2**32 - 2  # PS3.5, 7.1: the length is an even number of 32 bits
_PIXEL_DATA, _ITEM, _DELIMITER = (0x7FE0, 0x0010), (0xFFFE, 0xE000), (0xFFFE, 0xE0DD)
_FRAME_TIME, _FRAME_TIME_VECTOR = 0x00181063, 0x00181065
_EVEN_MS = 0.01


class CineWriter:
    """Collects masked frames in a temporary file; `finish` writes the object around them.

    What was coded with loss is coded again as baseline JPEG at quality 95, what was coded without as JPEG-LS lossless,
    what was not coded as it is. Samples of more than 8 bits keep their depth, and lose nothing.

    Args:
        grey: whether the source has one sample per pixel, and no palette.
        syntax: of the source.
        lossy: whether the source was coded with loss.
        deep: how samples are stored of which 8 bits hold too little; None where frames are of 8 bits.
    """

    def __init__(self, *, grey: bool, syntax: str, lossy: bool, deep: PixelLayout | None = None) -> None:
        self._grey, self._lossy, self._deep = grey, lossy, deep
        self.syntax = _syntax(syntax, lossy=lossy and deep is None)
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._times_s: list[float] = []
        self._shape = (0, 0)

    @property
    def frames(self) -> int:
        """How many were added."""
        return len(self._times_s)

    def add(self, image: Samples, time_s: float) -> None:
        """Add a masked frame and its time from the first.

        Args:
            image: RGB, shape (height, width, 3); of deep samples as they are stored, grey with shape (height, width).
            time_s: in seconds.

        Raises:
            OSError: it cannot be stored.
        """
        self._shape = image.shape[0], image.shape[1]
        samples = np.ascontiguousarray(image[..., 0] if self._grey and image.ndim == 3 else image)
        if self._deep is not None:
            samples = samples.astype("<i2" if self._deep.signed else "<u2", copy=False)
        self._times_s.append(time_s)
        if self.syntax == ExplicitVRLittleEndian:
            self._file.write(samples.tobytes())
            return
        if self.syntax == JPEGBaseline8Bit:
            coded = bytes(imagecodecs.jpeg8_encode(samples, level=_JPEG_QUALITY, subsampling="422"))
        else:
            coded = bytes(imagecodecs.jpegls_encode(samples.view(f"u{samples.dtype.itemsize}")))
        coded += b"\0" * (len(coded) % 2)
        self._file.write(_head(_ITEM, len(coded)) + coded)

    def finish(self, header: Dataset, path: Path) -> None:
        """Write the object: pixels and times are described in `header`.

        Raises:
            OSError: it cannot be written.
            OutputError: it is larger than an uncompressed object can be.
        """
        size = self._file.seek(0, 2)
        self._describe(header)
        native = self.syntax == ExplicitVRLittleEndian
        if native and size > _MAX_NATIVE_BYTES:
            raise OutputError(f"{path.name} would be larger than 4 GiB, which no uncompressed DICOM object can be")
        save(header, path, UID(self.syntax))
        self._file.seek(0)
        with path.open("ab") as file:
            vr = b"OW\0\0" if native and self._deep is not None else b"OB\0\0"
            if native:
                file.write(struct.pack("<HH", *_PIXEL_DATA) + vr + struct.pack("<L", size + size % 2))
                shutil.copyfileobj(self._file, file)
                file.write(b"\0" * (size % 2))
                return
            file.write(struct.pack("<HH", *_PIXEL_DATA) + vr + b"\xff\xff\xff\xff")
            file.write(_head(_ITEM, 0))  # an empty offset table
            shutil.copyfileobj(self._file, file)
            file.write(_head(_DELIMITER, 0))

    def close(self) -> None:
        """Let go of the temporary file; may be called twice."""
        self._file.close()

    def _describe(self, header: Dataset) -> None:
        header.Rows, header.Columns = self._shape
        header.SamplesPerPixel = 1 if self._grey else 3
        header.BitsAllocated, header.BitsStored, header.HighBit, header.PixelRepresentation = 8, 8, 7, 0
        header.PhotometricInterpretation = "MONOCHROME2"
        if self._deep is not None:
            header.BitsAllocated, header.BitsStored, header.HighBit = 16, self._deep.stored, self._deep.stored - 1
            header.PixelRepresentation = int(self._deep.signed)
            header.PhotometricInterpretation = self._deep.photometric
        if not self._grey:
            header.PhotometricInterpretation = "YBR_FULL_422" if self.syntax == JPEGBaseline8Bit else "RGB"
            header.PlanarConfiguration = 0
        if self._lossy:
            header.LossyImageCompression = "01"
        if self.frames > 1 or "FrameTime" in header:
            header.NumberOfFrames = self.frames
        steps_ms = [1000 * (later - earlier) for earlier, later in pairwise(self._times_s)]
        if not steps_ms:
            return
        if max(steps_ms) - min(steps_ms) < _EVEN_MS:
            header.FrameTime, header.FrameIncrementPointer = f"{steps_ms[0]:.8g}", _FRAME_TIME
            return
        if "FrameTime" in header:
            del header.FrameTime
        header.FrameTimeVector = [f"{step:.8g}" for step in (0.0, *steps_ms)]
        header.FrameIncrementPointer = _FRAME_TIME_VECTOR


def _syntax(source: str, *, lossy: bool) -> UID:
    if source in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", ""):
        return ExplicitVRLittleEndian
    return JPEGBaseline8Bit if lossy else JPEGLSLossless


def _head(tag: tuple[int, int], length: int) -> bytes:
    return struct.pack("<HHL", *tag, length)
