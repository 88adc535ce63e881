"""Senders of live pictures on this machine: MPEG-TS by HTTP or RTSP, which can be cut off or fall silent."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

from tests.sources.media import write_clip

_HEAD = b"HTTP/1.0 200 OK\r\nContent-Type: video/mp2t\r\nConnection: close\r\n\r\n"

_SDP = "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=camera\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:streamid=0\r\n"
_PACKET = 7 * 188  # TS packets that fit into one Ethernet frame

Fate = Literal["end", "silence"]
"""What happens once the clip has been sent: the connection is closed, or nothing more comes."""


def transport_stream(folder: Path, frames: int) -> bytes:
    """A numbered clip as MPEG-TS, without reordering, so that all but the last picture can be shown at once."""
    path = write_clip(folder / "clip.ts", codec="mpeg2video", container="mpegts", frames=frames, options={"bf": "0"})
    return path.read_bytes()


class Sender:
    """Serves one connection after the other by HTTP.

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
                self._send(connection)
            except OSError:
                continue
            if fate == "end":
                connection.close()
        self._socket.close()

    def _send(self, connection: socket.socket) -> None:
        self.requests.append(connection.recv(4096).split(b"\r\n", 1)[0].decode())
        connection.sendall(_HEAD + self._data)


class RtspSender(Sender):
    """The same by RTSP (RFC 2326), the packets interleaved with the answers on one TCP connection."""

    def _send(self, connection: socket.socket) -> None:
        while True:
            lines = connection.recv(4096).decode().split("\r\n")
            method = lines[0].split(" ", 1)[0]
            if not method:
                raise OSError("the other side has gone")
            self.requests.append(lines[0])
            answer = {
                "OPTIONS": ["Public: DESCRIBE, SETUP, PLAY, TEARDOWN"],
                "DESCRIBE": ["Content-Type: application/sdp", f"Content-Length: {len(_SDP)}"],
                "SETUP": ["Session: 7", "Transport: RTP/AVP/TCP;unicast;interleaved=0-1"],
                "PLAY": ["Session: 7"],
            }[method]
            number = next(line for line in lines if line.startswith("CSeq:"))
            body = _SDP if method == "DESCRIBE" else ""
            connection.sendall("\r\n".join(["RTSP/1.0 200 OK", number, *answer, "", body]).encode())
            if method == "PLAY":
                break
        for place, start in enumerate(range(0, len(self._data), _PACKET)):
            part = self._data[start : start + _PACKET]
            rtp = struct.pack(">BBHII", 0x80, 33, place, 3600 * place, 7) + part  # RFC 3550, payload 33: MPEG-TS
            connection.sendall(struct.pack(">cBH", b"$", 0, len(rtp)) + rtp)
            time.sleep(0.002)
