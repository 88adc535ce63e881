"""A sender of live pictures on this machine: HTTP that serves MPEG-TS as told, and can be cut off or fall silent."""

from __future__ import annotations

import socket
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.sources.media import write_clip

_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"

Fate = Literal["end", "silence"]
"""What happens once the clip has been sent: the connection is closed, or nothing more comes."""


def transport_stream(folder: Path, frames: int) -> bytes:
    """A numbered clip as MPEG-TS, without reordering, so that all but the last picture can be shown at once."""
    path = write_clip(folder / "clip.ts", codec="mpeg2video", container="mpegts", frames=frames, options={"bf": "0"})
    return path.read_bytes()


class Sender:
    """Serves one connection after the other.

    Args:
        data: what each is sent.
        fates: what then happens to each connection; those beyond the last are refused.

    Attributes:
        requests: first line of each request.
    """

    def __init__(self, data: bytes, fates: Sequence[Fate]) -> None:
        self.requests: list[str] = []
        self._data, self._fates = data, list(fates)
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve, name="sender", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._socket.close()
        for connection in self._open:
            connection.close()
        self._thread.join(10)

    def _serve(self) -> None:
        for fate in self._fates:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._open.append(connection)
            try:
                self.requests.append(connection.recv(4096).split(b"\r\n", 1)[0].decode())
                connection.sendall(_HEAD + self._data)
            except OSError:
                continue
            if fate == "end":
                connection.close()
        self._socket.close()
