"""The clip behind "Try the demo clip": simulated once, while the page may already be in use."""

from __future__ import annotations

import threading
from itertools import takewhile
from pathlib import Path

from streamer.errors import StreamerError
from streamer.phantom import simulate, write_clip

_FRAMES = 150


class DemoClip:
    """A simulated cine loop, made on a thread of its own.

    Args:
        path: file to write.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._error: StreamerError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._make, name="demo-clip", daemon=True)
        self._thread.start()

    def ready(self) -> None:
        """Wait until the clip is made, or has failed."""
        self._thread.join()

    def path(self) -> Path:
        """The clip; waits until it is there.

        Raises:
            OutputError: it cannot be written.
        """
        self.ready()
        if self._error is not None:
            raise self._error
        return self._path

    def close(self) -> None:
        """Give up what is not finished."""
        self._ended.set()
        self._thread.join()

    def _make(self) -> None:
        try:
            write_clip(self._path, takewhile(lambda _: not self._ended.is_set(), simulate(frames=_FRAMES)))
        except StreamerError as error:
            self._error = error
