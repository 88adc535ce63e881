"""Tells a DICOM file by its first bytes; needs no DICOM library."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from streamer.errors import InputError

_HEAD_BYTES = 132
_MAX_FILES = 100_000

_CMS = re.compile(rb"\x30[\x80-\x84].{0,4}\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07[\x03\x06]", re.DOTALL)
"""Begin of an enveloped or encrypted CMS content (RFC 5652), in which PS3.15 wraps a secure DICOM file."""

_FIRST_ELEMENT = re.compile(
    # The first element of a data set without preamble: group 0002 or 0008, explicit or implicit, either byte order.
    rb"(\x02\x00|\x08\x00)[\x00-\x60]\x00([A-Z]{2}..|[\x00-\x40]\x00\x00\x00)"
    rb"|\x00\x08\x00[\x00-\x60]([A-Z]{2}..|\x00\x00\x00[\x00-\x40])",
    re.DOTALL,
)


def is_dicom(head: bytes) -> bool:
    """Whether a file that begins with `head` (at least 132 bytes of it) is DICOM: PS3.10, 7.1, or without preamble."""
    return head[128:132] == b"DICM" or bool(_FIRST_ELEMENT.match(head)) or is_encrypted(head)


def is_encrypted(head: bytes) -> bool:
    """Whether it is a secure DICOM file (PS3.15, section 7.2), whose content cannot be seen."""
    return bool(_CMS.match(head))


def dicom_files(folder: Path) -> Iterator[Path]:
    """DICOM files anywhere below a folder, by content; hidden folders and links to folders are left out.

    Raises:
        InputError: there are more files than anybody means to give.
    """
    seen = 0
    for place, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            seen += 1
            if seen > _MAX_FILES:
                raise InputError(f"{folder.name} holds more than {_MAX_FILES} files; give the folder of one patient")
            path = Path(place, name)
            if is_dicom_file(path):
                yield path


def is_dicom_file(path: Path) -> bool:
    """Whether there is a DICOM file, by its content."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return is_dicom(file.read(_HEAD_BYTES))
    except (OSError, ValueError):  # ValueError: a null character in the name
        return False
