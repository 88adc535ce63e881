"""Where the frames of DICOM pixel data lie in the file, and a view of them as one stream (PS3.5, annex A.4)."""

from __future__ import annotations

import io
import mmap
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import BinaryIO

_ITEM, _END_OF_SEQUENCE = b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"
_HEAD_BYTES = 8
_MARK_BYTES = 12
_FIRST_BYTES = (
    b"\xff\xd8\xff",  # JPEG and JPEG-LS: start of image
    b"\xff\x4f\xff\x51",  # JPEG 2000 codestream
    b"\x00\x00\x00\x0cjP  ",  # JP2 box
    b"\xff\x0a",  # JPEG XL codestream
    b"\x00\x00\x00\x0cJXL ",  # JPEG XL box
)
_NEXT_CODESTREAM = re.compile(rb"\xff\xd9\0?(?=\xff\xd8\xff|\xff\x4f\xff\x51)")
"""The end of a JPEG, JPEG-LS or JPEG 2000 codestream, perhaps padded, and the begin of the next."""


@dataclass(frozen=True, slots=True)
class Span:
    """A run of bytes in the file."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Fragments:
    """The items of encapsulated pixel data.

    Attributes:
        spans: fragments in order; those that are not whole are left out.
        starts: whether each begins with the first bytes of a codestream.
        table: offsets of the frames, from the first fragment's item, as the Basic Offset Table states them.
        whole: whether the sequence ends as it should; False for a file that was cut or holds something else.
    """

    spans: tuple[Span, ...]
    starts: tuple[bool, ...]
    table: tuple[int, ...]
    whole: bool


def read_fragments(file: BinaryIO, start: int, end: int) -> Fragments:
    """List the fragments; only their heads are read.

    Args:
        file: the DICOM file.
        start: offset of the value of Pixel Data, which is the item of the Basic Offset Table.
        end: size of the file.
    """
    spans: list[Span] = []
    starts: list[bool] = []
    table: tuple[int, ...] | None = None
    position, whole = start, False
    while True:
        file.seek(position)
        head = file.read(_HEAD_BYTES + _MARK_BYTES)
        if head[:4] == _END_OF_SEQUENCE:
            whole = True
            break
        if len(head) < _HEAD_BYTES or head[:4] != _ITEM:
            break
        (length,) = struct.unpack("<L", head[4:8])
        position += _HEAD_BYTES
        if position + length > end:
            break
        if table is None:
            file.seek(position)
            table = _offsets(file.read(length))
        else:
            spans.append(Span(position, length))
            starts.append(head[_HEAD_BYTES:].startswith(_FIRST_BYTES))
        position += length
    return Fragments(spans=tuple(spans), starts=tuple(starts), table=table or (), whole=whole)


def group_frames(fragments: Fragments, *, expected: int, one_each: bool) -> list[tuple[Span, ...]]:
    """Which fragments make up each frame.

    As many fragments as frames are one each. Otherwise a frame begins where a codestream does, which holds whatever
    the header and the offset table say; the table decides where no fragment shows its begin.

    Args:
        fragments: as listed.
        expected: number of frames the header states.
        one_each: the transfer syntax allows one fragment per frame only (RLE, PS3.5 annex G).
    """
    spans = fragments.spans
    if one_each or len(spans) == expected:
        return [(span,) for span in spans]
    if expected == 1 and sum(fragments.starts) <= 1:
        return [spans] if spans else []
    begins = fragments.starts
    if not any(begins):
        offsets = {spans[0].offset + offset for offset in fragments.table} if spans else set()
        begins = tuple(span.offset in offsets for span in spans)
    groups: list[list[Span]] = []
    for span, begin in zip(spans, begins, strict=True):
        if begin or not groups:
            groups.append([])
        groups[-1].append(span)
    return [tuple(group) for group in groups]


def split_frames(file: BinaryIO, groups: Sequence[tuple[Span, ...]]) -> list[tuple[Span, ...]]:
    """Frames of which some writers put several into one fragment, against the standard, each by itself.

    Args:
        file: the DICOM file.
        groups: as from `group_frames`.
    """
    found: list[tuple[Span, ...]] = []
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        for group in groups:
            if len(group) != 1:
                found.append(group)
                continue
            begin, end = group[0].offset, group[0].offset + group[0].length
            edges = [begin, *(one.end() for one in _NEXT_CODESTREAM.finditer(content, begin, end)), end]
            found += [(Span(start, stop - start),) for start, stop in pairwise(edges)]
    return found


def _offsets(table: bytes) -> tuple[int, ...]:
    return struct.unpack(f"<{len(table) // 4}L", table[: len(table) // 4 * 4])


def read_spans(file: BinaryIO, spans: Sequence[Span]) -> bytes:
    """The bytes of one frame."""
    parts = []
    for span in spans:
        file.seek(span.offset)
        parts.append(file.read(span.length))
    return parts[0] if len(parts) == 1 else b"".join(parts)


class FragmentStream(io.RawIOBase):
    """Fragments as one seekable stream, as a video's container wants it; nothing is copied ahead."""

    def __init__(self, file: BinaryIO, spans: Sequence[Span]) -> None:
        self._file, self._spans = file, spans
        self._length = sum(span.length for span in spans)
        self._position = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position in bytes."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._length}[whence]
        self._position = min(max(base + offset, 0), self._length)
        return self._position

    def read(self, size: int | None = -1) -> bytes:
        """Up to `size` bytes; all that is left where it is negative or None."""
        left = self._length - self._position
        wanted = left if size is None or size < 0 else min(size, left)
        parts, before = [], 0
        for span in self._spans:
            inside = self._position - before
            if wanted and 0 <= inside < span.length:
                self._file.seek(span.offset + inside)
                part = self._file.read(min(wanted, span.length - inside))
                parts.append(part)
                self._position += len(part)
                wanted -= len(part)
            before += span.length
        return b"".join(parts)
