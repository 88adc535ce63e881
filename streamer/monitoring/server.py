"""Answers `/metrics`, `/health/live` and `/health/ready` on a port of its own, so that no login guards or opens it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from streamer.errors import SettingsError
from streamer.monitoring.metrics import CONTENT_TYPE, Metrics


@contextmanager
def monitored(metrics: Metrics, address: str | None, ready: Callable[[], bool] = lambda: True) -> Iterator[str | None]:
    """Answer while the context is open.

    `/health/live` says 200 as long as the process answers. `/health/ready` says 200 while `ready` is true, 503 else, so
    that a balancer sends nobody there.

    Args:
        metrics: what to tell.
        address: "PORT" for this machine alone, or "HOST:PORT"; None for no answers at all. Port 0 takes any free one.
        ready: whether work can be taken; asked on a thread of the server.

    Yields:
        URL of the metrics; None without an address.

    Raises:
        SettingsError: the address is none, or cannot be listened on.

    Example:
        >>> with monitored(Metrics("live"), "0") as url:
        ...     url.endswith("/metrics")
        True
    """
    if address is None:
        yield None
        return
    host, port = _host_and_port(address)
    try:
        server = _Server((host, port), metrics, ready)
    except OSError as error:
        raise SettingsError(
            f"cannot listen on {address} for metrics: {error.strerror or error}; choose another port"
        ) from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield f"http://{host}:{server.server_address[1]}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, address: tuple[str, int], metrics: Metrics, ready: Callable[[], bool]) -> None:
        self.metrics, self.ready = metrics, ready
        super().__init__(address, _Handler)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = 10  # a client that says nothing holds a thread no longer

    def do_GET(self) -> None:
        """Answer one of three paths."""
        path = self.path.partition("?")[0]
        if path == "/metrics":
            self._answer(HTTPStatus.OK, self.server.metrics.exposition(), CONTENT_TYPE)
        elif path == "/health/live":
            self._answer(HTTPStatus.OK, b"alive\n")
        elif path == "/health/ready":
            ready = self.server.ready()
            status = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE
            self._answer(status, b"ready\n" if ready else b"not ready\n")
        else:
            self._answer(HTTPStatus.NOT_FOUND, b"/metrics, /health/live or /health/ready\n")

    def _answer(self, status: HTTPStatus, content: bytes, kind: str = "text/plain; charset=utf-8") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing: it is asked every few seconds."""


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"--metrics is PORT or HOST:PORT, such as 9464; got {address!r}")
    return host.strip("[]") or "127.0.0.1", int(port)
