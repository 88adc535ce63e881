"""Files that are written while an object arrives, in place of pynetdicom's own, which a full disk brings down."""

from __future__ import annotations

import logging
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

from pynetdicom import dimse_messages

_LOG = logging.getLogger(__name__)


class ArrivingFile:
    """A file in a folder that takes what arrives.

    Once it cannot be written it is deleted, so that a full disk has room again, and the rest of the object is dropped:
    its sender is told at its end that it was not kept.

    Attributes:
        name: path of the file; there is none any more where it could not be written.
        file: itself, as pynetdicom wants it of a temporary file.
    """

    def __init__(self, folder: Path) -> None:
        self.file = self
        self._file: IO[bytes] | None = None
        self.name = str(folder / "not-written.dcm")
        try:
            descriptor, self.name = tempfile.mkstemp(dir=folder, suffix=".dcm")
            self._file = os.fdopen(descriptor, "wb")
        except OSError as error:
            _say(error)

    def write(self, data: bytes) -> int:
        """Take what has arrived."""
        self._try(lambda file: file.write(data))
        return len(data)

    def flush(self) -> None:
        """See that it is in the file."""
        self._try(lambda file: file.flush())

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        self._try(lambda file: file.close())

    def _try(self, step: Callable[[IO[bytes]], object]) -> None:
        if self._file is None or self._file.closed:
            return
        try:
            step(self._file)
        except OSError as error:
            _say(error)
            with suppress(OSError):
                self._file.close()  # tries once more to write what is left
            Path(self.name).unlink(missing_ok=True)


def _say(error: OSError) -> None:
    _LOG.error("an object that arrives cannot be kept: %s", error.strerror)


class IncomingFolder:
    """Where objects are written as they arrive, in this process; ends with `close`."""

    def __init__(self, folder: Path) -> None:
        module: Any = dimse_messages
        self._before = module.NamedTemporaryFile
        module.NamedTemporaryFile = lambda **_: ArrivingFile(folder)

    def close(self) -> None:
        """Leave it to pynetdicom again."""
        module: Any = dimse_messages
        module.NamedTemporaryFile = self._before
