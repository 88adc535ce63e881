"""Files that are there as a whole or not at all."""

from __future__ import annotations

import contextlib
from pathlib import Path

from streamer.errors import OutputError


def write_whole(path: Path, content: bytes) -> None:
    """Write a file in one step: whoever reads it meanwhile sees the old one or the new one.

    Raises:
        OutputError: it cannot be written.
    """
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
        raise OutputError(f"cannot write {path}: {error.strerror}") from error
