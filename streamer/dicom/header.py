"""Opens a DICOM file: its header as a data set, and where its pixel data lie; nothing of the pixels is read."""

from __future__ import annotations

import io
import struct
import tempfile
import warnings
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from pydicom.dataset import Dataset
from pydicom.errors import BytesLengthException, InvalidDicomError
from pydicom.filereader import dcmread, read_dataset, read_file_meta_info
from pydicom.tag import BaseTag
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian

from streamer.dicom.attributes import text, value
from streamer.dicom.magic import is_encrypted
from streamer.errors import InputError

_LIBRARY_ERRORS = (
    InvalidDicomError,
    AttributeError,
    ValueError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    BytesLengthException,
    struct.error,
    EOFError,
    KeyError,
    RecursionError,
    MemoryError,
)
_LARGE_VALUE_BYTES = 2**20  # larger values of other attributes stay in the file
_MAX_INFLATED_BYTES = 16 * 2**30
_PREAMBLE_BYTES, _META_LENGTH_ELEMENT_BYTES = 132, 12
_UNDEFINED_LENGTH = 0xFFFFFFFF
_PIXEL_DATA = {0x7FE00010, 0x7FE00008, 0x7FE00009}
_PIXEL_VR = (b"OB", b"OW", b"OF", b"OD", b"UN")


@dataclass(frozen=True, slots=True, kw_only=True)
class DicomHeader:
    """An opened file.

    Attributes:
        data: all attributes before the pixel data; values above 1 MiB are left in the file.
        file: the file, or what was inflated of it; the caller closes it.
        syntax: transfer syntax; implicit or explicit little endian where the file has no meta information.
        pixel_start: offset of the value of Pixel Data; None where there is none.
        pixel_bytes: its length; None where it is encapsulated.
        word_swapped: whether 8-bit samples lie in big-endian 16-bit words (PS3.5, annex A.3 with OW).
        end: size of the file, in bytes.
    """

    data: Dataset
    file: BinaryIO
    syntax: UID
    pixel_start: int | None
    pixel_bytes: int | None
    word_swapped: bool
    end: int


def read_header(path: Path, name: str) -> DicomHeader:
    """Read everything before the pixel data.

    Raises:
        InputError: it is encrypted, no DICOM, or cut within its header.
        OSError: it cannot be read.
    """
    file = path.open("rb")
    try:
        if is_encrypted(file.read(64)):
            raise InputError(f"{name} is an encrypted DICOM file; decrypt it where it came from")
        file.seek(0)
        with warnings.catch_warnings(action="ignore"):  # remarks that may quote the header
            return _header(file, name)
    except (*_LIBRARY_ERRORS, OSError) as error:
        file.close()
        if isinstance(error, OSError) and error.errno is not None:  # pydicom's own have none
            raise
        raise InputError(f"{name} is a damaged DICOM file: its header cannot be read; export it again") from error
    except BaseException:
        file.close()
        raise


def _header(file: BinaryIO, name: str) -> DicomHeader:
    data = dcmread(file, stop_before_pixels=True, force=True, specific_tags=["TransferSyntaxUID"]).file_meta
    syntax = text(data, "TransferSyntaxUID")
    file.seek(0)
    if syntax == DeflatedExplicitVRLittleEndian:
        plain = inflated(file, name)
        file.close()
        file = plain
        found: Dataset = read_dataset(file, False, True, stop_when=_at_pixel_data, defer_size=_LARGE_VALUE_BYTES)
        implicit, little = False, True
    else:
        read = dcmread(file, stop_before_pixels=True, force=True, defer_size=_LARGE_VALUE_BYTES)
        found, (is_implicit, is_little) = read, read.original_encoding
        implicit, little = bool(is_implicit), bool(is_little)
        syntax = syntax or ("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1")
    if not len(found):
        raise InputError(f"{name} is a damaged DICOM file: it holds no attributes; export it again")
    start, length, vr = _pixel_element(file, little=little)
    position = file.tell()
    end = file.seek(0, io.SEEK_END)
    file.seek(position)
    return DicomHeader(
        data=found,
        file=file,
        syntax=UID(syntax),
        pixel_start=start,
        pixel_bytes=None if length == _UNDEFINED_LENGTH else length,
        word_swapped=not little and vr == b"OW" and (value(found, "BitsAllocated") == 8),
        end=end,
    )


def _pixel_element(file: BinaryIO, *, little: bool) -> tuple[int | None, int, bytes]:
    """Read the head of the element at which the header ended: where its value begins, its length and its VR."""
    order = "<" if little else ">"
    head = file.read(8)
    if len(head) < 8:
        return None, 0, b""
    group, element = struct.unpack(order + "HH", head[:4])
    if group << 16 | element not in _PIXEL_DATA:
        return None, 0, b""
    vr = head[4:6] if head[4:6] in _PIXEL_VR else b"OW"  # files exist that are implicit against their own syntax
    if head[4:6] not in _PIXEL_VR:
        (length,) = struct.unpack(order + "L", head[4:])
    else:
        (length,) = struct.unpack(order + "L", file.read(4))
    return file.tell(), length, vr


def _at_pixel_data(tag: BaseTag, _vr: str | None, _length: int) -> bool:
    return int(tag) in _PIXEL_DATA


def inflated(file: BinaryIO, name: str) -> BinaryIO:
    """The data set of a deflated file, in a temporary file: one frame of it is in memory at a time, as of any other.

    What can be inflated of a file that was cut is kept.

    Args:
        file: the DICOM file; has a name.
        name: for messages.

    Raises:
        InputError: it would fill the disk.
        OSError: it cannot be read, or the temporary file not be written.
    """
    meta = read_file_meta_info(file.name)
    file.seek(_PREAMBLE_BYTES + _META_LENGTH_ELEMENT_BYTES + int(meta.FileMetaInformationGroupLength))
    plain = tempfile.TemporaryFile()  # noqa: SIM115  # the caller closes it
    engine = zlib.decompressobj(-zlib.MAX_WBITS)
    written = 0
    try:
        while chunk := file.read(2**20):
            while chunk and not engine.eof:
                written += plain.write(engine.decompress(chunk, 2**22))
                chunk = engine.unconsumed_tail
            if written > _MAX_INFLATED_BYTES:
                raise InputError(f"{name} inflates to more than {_MAX_INFLATED_BYTES >> 30} GiB, which is not read")
    except zlib.error:
        pass
    except BaseException:
        plain.close()
        raise
    plain.seek(0)
    return plain


def syntax_name(syntax: UID) -> str:
    """A transfer syntax in the standard's words; never text from the file itself."""
    return "a private transfer syntax" if syntax.is_private else str(syntax.name)
