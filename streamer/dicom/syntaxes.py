"""The transfer syntaxes that are read (PS3.5, annex A)."""

from __future__ import annotations

_PREFIX = "1.2.840.10008.1.2."

NATIVE = frozenset({"1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2"})
RLE = _PREFIX + "5"
JPEG_DCT = frozenset(_PREFIX + number for number in ("4.50", "4.51", "4.53", "4.55"))  # the last two are retired
JPEG_LOSSLESS = frozenset({_PREFIX + "4.57", _PREFIX + "4.70"})
JPEG_LS = frozenset({_PREFIX + "4.80", _PREFIX + "4.81"})
JPEG_2000 = frozenset(_PREFIX + number for number in ("4.90", "4.91", "4.92", "4.93"))
HTJ2K = frozenset(_PREFIX + number for number in ("4.201", "4.202", "4.203"))
JPEG_XL = frozenset(_PREFIX + number for number in ("4.110", "4.111", "4.112"))
VIDEO = frozenset(
    _PREFIX + "4." + number + fragmentable
    for number in ("100", "101", "102", "103", "104", "105", "106", "107", "108")
    for fragmentable in ("", ".1")
)
"""MPEG-2, H.264 and HEVC, whose pixel data are one container or stream for all frames."""

SYNTAXES = tuple(sorted(NATIVE | {RLE} | JPEG_DCT | JPEG_LOSSLESS | JPEG_LS | JPEG_2000 | HTJ2K | JPEG_XL | VIDEO))
"""All transfer syntaxes that are read."""
