"""Signs that a file was cut short where FFmpeg simply reports the end of the stream."""

from __future__ import annotations

from pathlib import Path

from av.container import InputContainer
from av.video.stream import VideoStream

_TS_PACKET_BYTES = (188, 192, 204)
"""Length of a transport stream packet: plain (ISO/IEC 13818-1), with a time code (m2ts), with parity bytes (DVB)."""

_RIFF_SLACK_BYTES = 16
"""Some writers count the header itself, and padding, in the length of an AVI."""

_MATROSKA_SEGMENT = bytes.fromhex("18538067")
_ASF_FILE_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")
_MXF_PARTITION = bytes.fromhex("060e2b34020501010d010201")
_FLV_TAG_BYTES, _FLV_BACK_POINTER_BYTES = 11, 4
_FLV_TAGS = (8, 9, 18)


def indexed_frames(container: InputContainer, stream: VideoStream) -> int | None:
    """Frames that an mp4 or mov index says will be shown (edit lists applied); None where there is no whole index."""
    if "mov" not in container.format.name.split(",") or not stream.frames:
        return None
    return sum(not entry.is_discard for entry in stream.index_entries)


def cut_short(path: Path, container: InputContainer, stream: VideoStream, *, frames: int) -> str | None:
    """Why the file must have been longer, as one line; None where nothing says so.

    `frames` is the count of what was decoded. MPEG program and elementary streams, and live recordings, announce no
    length: a cut between two of their frames cannot be seen.
    """
    announced = indexed_frames(container, stream)
    if announced is not None and frames < announced:
        return f"{announced} frames are announced, {frames} could be decoded"
    names = container.format.name.split(",")
    size = path.stat().st_size
    if "gif" in names and not _last_bytes(path).rstrip(b"\0").endswith(b";"):  # trailer, GIF89a section 27
        return "the file lacks its end mark"
    if "mpegts" in names and all(size % length for length in _TS_PACKET_BYTES):
        return "the file ends within a packet"
    if _announced_bytes(path, names, fragmented=announced is None) > size:
        return "the file is shorter than its headers say"
    return None


def _announced_bytes(path: Path, names: list[str], *, fragmented: bool) -> int:
    """Length that the headers of a file add up to; 0 if they say nothing."""
    if "mov" in names and fragmented:
        return _mp4_bytes(path)
    if "avi" in names:
        return _riff_bytes(path) - _RIFF_SLACK_BYTES
    readers = {"matroska": _matroska_bytes, "asf": _asf_bytes, "flv": _flv_bytes, "mxf": _mxf_bytes}
    return next((reader(path) for name, reader in readers.items() if name in names), 0)


def _mp4_bytes(path: Path) -> int:
    """Where the last top-level box of an mp4 should end (ISO/IEC 14496-12, 4.2)."""
    end, size = 0, path.stat().st_size
    with path.open("rb") as file:
        while end < size:
            file.seek(end)
            head = file.read(16)
            if len(head) < 8:
                return end + 8
            length = int.from_bytes(head[:4], "big")
            if length == 1:
                length = int.from_bytes(head[8:16], "big")
            if length < 8 or not head[4:8].isalnum():  # "to the end of the file", or no box at all
                break
            end += length
    return end


def _riff_bytes(path: Path) -> int:
    """Length of the first RIFF chunk, its header included; 8 where a live recording left it open."""
    with path.open("rb") as file:
        return int.from_bytes(file.read(8)[4:], "little") + 8


def _matroska_bytes(path: Path) -> int:
    """Where the segment of a Matroska file should end; 0 where a live recording left it open (RFC 8794, 6.2)."""
    with path.open("rb") as file:
        head = file.read(4096)
    start = head.find(_MATROSKA_SEGMENT) + len(_MATROSKA_SEGMENT)
    if start < len(_MATROSKA_SEGMENT) or start >= len(head) or not head[start]:
        return 0
    length = 9 - head[start].bit_length()  # leading zero bits of the first byte tell the length of the number
    unknown = (1 << 7 * length) - 1
    value = int.from_bytes(head[start : start + length], "big") & unknown
    return 0 if value == unknown else start + length + value


def _asf_bytes(path: Path) -> int:
    """File size that the header of an ASF states (Advanced Systems Format, 3.2); 0 where a live recording left it."""
    with path.open("rb") as file:
        head = file.read(65536)
    start = head.find(_ASF_FILE_PROPERTIES)
    return 0 if start < 0 else int.from_bytes(head[start + 40 : start + 48], "little")


def _flv_bytes(path: Path) -> int:
    """Where the last tag of an FLV should end (Video File Format Specification 10, annex E)."""
    size = path.stat().st_size
    with path.open("rb") as file:
        end = int.from_bytes(file.read(9)[5:], "big") + _FLV_BACK_POINTER_BYTES
        while end < size:
            file.seek(end)
            head = file.read(_FLV_TAG_BYTES)
            if len(head) < _FLV_TAG_BYTES:
                return end + _FLV_TAG_BYTES
            if head[0] not in _FLV_TAGS:
                break
            end += _FLV_TAG_BYTES + int.from_bytes(head[1:4], "big") + _FLV_BACK_POINTER_BYTES
    return end


def _mxf_bytes(path: Path) -> int:
    """Where the footer of an MXF begins, at least (SMPTE ST 377-1, 7.1); 0 where a live recording left it open."""
    with path.open("rb") as file:
        head = file.read(65536)
    start = head.find(_MXF_PARTITION)
    if start < 0 or start + 17 > len(head):
        return 0
    length_bytes = head[start + 16] & 0x7F if head[start + 16] & 0x80 else 0
    footer = start + 17 + length_bytes + 24
    return int.from_bytes(head[footer : footer + 8], "big") + len(_MXF_PARTITION)


def _last_bytes(path: Path, count: int = 1024) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - count))
        return file.read()
