"""Tells stills by their first bytes. Imports no picture library: most runs read a video."""

from __future__ import annotations

import re
from typing import Literal

HEAD_BYTES = 132
"""How much of a file tells what it is."""

StillKind = Literal["jpeg", "png", "tiff", "bmp", "webp", "avif", "heif"]

_HEIF_STILLS = (b"heic", b"heix", b"heim", b"heis", b"mif1", b"mif2", b"miaf")  # ISO/IEC 23008-12, annex B
_AVIF = (b"avif", b"avis")
_KINDS: tuple[tuple[re.Pattern[bytes], StillKind], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "jpeg"),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "png"),
    (re.compile(rb"II\*\x00|MM\x00\*|II\+\x00|MM\x00\+"), "tiff"),
    (re.compile(rb"BM.{4}\x00{4}", re.DOTALL), "bmp"),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "webp"),
)


def is_still(head: bytes) -> bool:
    """True if a file that begins with `head` (at least `HEAD_BYTES` of it) holds pictures of a known kind."""
    return still_kind(head) is not None


def still_kind(head: bytes) -> StillKind | None:
    """The kind of pictures in a file that begins with `head`; None for none that is known.

    Example:
        >>> still_kind(b"\\xff\\xd8\\xff\\xe0")
        'jpeg'
    """
    if head[4:8] == b"ftyp":
        return _heif_kind(head)
    return next((kind for pattern, kind in _KINDS if pattern.match(head)), None)


def _heif_kind(head: bytes) -> StillKind | None:
    """The kind of a file of ISO/IEC 23008-12; image sequences in HEVC are read as videos."""
    box = head[: int.from_bytes(head[:4], "big")]
    major, compatible = box[8:12], {box[start : start + 4] for start in range(16, len(box), 4)}
    if major in _AVIF or (major in (b"mif1", b"msf1", b"miaf") and compatible.intersection(_AVIF)):
        return "avif"
    return "heif" if major in _HEIF_STILLS else None
