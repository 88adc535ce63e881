"""From the bytes of one DICOM frame to samples, by transfer syntax (PS3.5, annex A)."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import cv2
import imagecodecs
import numpy as np
import numpy.typing as npt

from streamer.dicom.syntaxes import HTJ2K, JPEG_2000, JPEG_DCT, JPEG_LOSSLESS, JPEG_LS, JPEG_XL, NATIVE, RLE
from streamer.sources._dicom_layout import PixelLayout

Samples = npt.NDArray[Any]
"""Shape (height, width) or (height, width, 3), unsigned or signed integers of 8, 16 or 32 bits."""


class CodecError(Exception):
    """A frame cannot be decoded."""


Decoder = Callable[[bytes, PixelLayout], tuple[Samples, str]]


def decoder_for(syntax: str) -> Decoder | None:
    """What decodes a frame of this transfer syntax; None for one that is unknown, or a video.

    A decoder returns samples and their colour: "RGB" where it has converted them, else the photometric interpretation.
    """
    tables: tuple[tuple[frozenset[str], Decoder], ...] = (
        (NATIVE, decode_native),
        (frozenset({RLE}), _decode_rle),
        (JPEG_DCT, _decode_jpeg),
        (JPEG_LOSSLESS, _decode_lossless_jpeg),
        (JPEG_LS, _decode_jpeg_ls),
        (JPEG_2000 | HTJ2K, _decode_jpeg_2000),
        (JPEG_XL, _decode_jpeg_xl),
    )
    return next((decode for syntaxes, decode in tables if syntax in syntaxes), None)


def decode_frame(decode: Decoder, data: bytes, layout: PixelLayout, max_pixels: int) -> tuple[Samples, str]:
    """Decode one frame.

    Raises:
        CodecError: it is damaged, or larger than `max_pixels` whatever the header says.
    """
    size = _codestream_size(data)
    if size is not None and size[0] * size[1] > max_pixels:
        raise CodecError("frame too large")
    try:
        return decode(data, layout)
    except CodecError:
        raise
    except Exception as error:  # each codec raises its own, often a bare RuntimeError
        raise CodecError(type(error).__name__) from error


def decode_native(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    """Samples of an uncompressed frame, colours side by side."""
    if len(data) < layout.native_bytes:
        raise CodecError("frame too short")
    samples = np.frombuffer(data, layout.dtype, count=layout.native_bytes // (layout.allocated // 8))
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    shape = (layout.rows, layout.columns)
    if layout.samples == 1:
        return samples.reshape(shape), layout.photometric
    if layout.subsampled:
        pairs = samples.reshape(layout.rows, layout.columns // 2, 4)  # Y1 Y2 Cb Cr
        full = np.empty((layout.rows, layout.columns, 3), samples.dtype)
        full[:, 0::2, 0], full[:, 1::2, 0] = pairs[..., 0], pairs[..., 1]
        full[..., 1:] = np.repeat(pairs[..., 2:], 2, axis=1)
        return full, layout.photometric
    if layout.planar:
        return np.ascontiguousarray(samples.reshape(3, *shape).transpose(1, 2, 0)), layout.photometric
    return samples.reshape(*shape, 3), layout.photometric


def _decode_rle(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    """RLE keeps planes apart (PS3.5, annex G), whatever Planar Configuration says."""
    if len(data) < 64 or struct.unpack("<L", data[:4])[0] != layout.samples * layout.allocated // 8:
        raise CodecError("wrong number of RLE segments")
    flat = imagecodecs.dicomrle_decode(data, layout.dtype.newbyteorder("="))
    planes = np.frombuffer(flat, layout.dtype.newbyteorder("="))
    size = layout.rows * layout.columns
    if planes.size < layout.samples * size:
        raise CodecError("frame too short")
    planes = planes[: layout.samples * size].reshape(layout.samples, layout.rows, layout.columns)
    if layout.samples == 1:
        return planes[0], layout.photometric
    return np.ascontiguousarray(planes.transpose(1, 2, 0)), layout.photometric


_JFIF = b"\xff\xe0JFIF\0"
"""The marker, without its length, and the name that follow the first two bytes of a JFIF stream."""


def _decode_jpeg(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    """Lossy JPEG. The stream's own markers tell its colour space; the header's RGB holds where there is no JFIF marker.

    A JFIF stream is Y'CbCr by its definition (ISO/IEC 10918-5), and files exist whose header calls it RGB all the same.
    """
    if layout.stored > 8:
        return np.asarray(imagecodecs.jpeg_decode(data)), layout.photometric
    if layout.samples == 1:
        grey = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION)
        return _decoded(grey), layout.photometric
    if layout.photometric == "RGB" and data[2:4] + data[6:11] != _JFIF:
        return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="RGB", outcolorspace="RGB")), "RGB"
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    return _decoded(cv2.imdecode(np.frombuffer(data, np.uint8), flags)), "RGB"


def _decoded(image: Samples | None) -> Samples:
    if image is None:
        raise CodecError("no JPEG")
    return image


def _decode_lossless_jpeg(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    return np.asarray(imagecodecs.jpegsof3_decode(data)), layout.photometric


def _decode_jpeg_ls(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    return np.asarray(imagecodecs.jpegls_decode(data)), layout.photometric


def _decode_jpeg_2000(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    samples = np.asarray(imagecodecs.jpeg2k_decode(data))
    return samples, _codec_colour(layout)


def _decode_jpeg_xl(data: bytes, layout: PixelLayout) -> tuple[Samples, str]:
    shape = (layout.rows, layout.columns, 3) if layout.samples == 3 else (layout.rows, layout.columns)
    out = np.empty(shape, np.dtype(f"u{layout.allocated // 8}"))  # a stream of another size is refused undecoded
    samples = np.asarray(imagecodecs.jpegxl_decode(data, out=out))
    return samples, "RGB" if layout.samples == 3 else layout.photometric


def _codec_colour(layout: PixelLayout) -> str:
    """JPEG 2000 undoes its own colour transform; one that it was not told of is left to the header."""
    return "RGB" if layout.photometric in ("YBR_RCT", "YBR_ICT") else layout.photometric


def _codestream_size(data: bytes) -> tuple[int, int] | None:
    """Width and height that a JPEG, JPEG-LS or JPEG 2000 codestream announces; None for anything else."""
    if data[:4] == b"\xff\x4f\xff\x51":  # SIZ: ISO/IEC 15444-1, A.5.1
        right, bottom, left, top = struct.unpack(">4L", data[8:24])
        return max(right - left, 0), max(bottom - top, 0)
    if data[:2] != b"\xff\xd8":
        return None
    position = 2
    while position + 9 <= len(data) and data[position] == 0xFF:
        marker = data[position + 1]
        if (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)) or marker == 0xF7:  # ISO/IEC 10918-1, B.2.2
            height, width = struct.unpack(">HH", data[position + 5 : position + 9])
            return width, height
        position += 1 if marker == 0xFF else 2 + struct.unpack(">H", data[position + 2 : position + 4])[0]
    return None
