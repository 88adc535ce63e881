"""Records kept on disk, so that an analysis of any length takes little memory."""

from __future__ import annotations

import threading
from array import array
from pathlib import Path

from streamer.outputs.folder import output_errors


class Spool:
    """Records appended to a file and read back by number; 8 bytes a record stay in memory.

    One thread appends, any thread reads.

    Args:
        path: file to write; the owner of its folder deletes it.

    Raises:
        OutputError: the file cannot be written, now or by `append`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._ends = array("Q", [0])
        with output_errors(path):
            self._file = path.open("w+b", buffering=0)

    def __len__(self) -> int:
        return len(self._ends) - 1

    def append(self, record: bytes) -> None:
        """Add a record at the end."""
        with self._lock, output_errors(self._path):
            self._file.seek(self._ends[-1])
            rest = memoryview(record)
            while rest:
                rest = rest[self._file.write(rest) :]
            self._ends.append(self._ends[-1] + len(record))

    def read(self, start: int, stop: int) -> list[bytes]:
        """Records `start` to `stop`, half-open, as far as they exist; none once the spool is closed."""
        with self._lock:
            stop = min(stop, len(self))
            if not 0 <= start < stop or self._file.closed:
                return []
            self._file.seek(self._ends[start])
            block = self._file.read(self._ends[stop] - self._ends[start]) or b""
        origin = self._ends[start]
        return [block[self._ends[i] - origin : self._ends[i + 1] - origin] for i in range(start, stop)]

    def close(self) -> None:
        """Let go of the file; may be called twice."""
        with self._lock:
            self._file.close()
