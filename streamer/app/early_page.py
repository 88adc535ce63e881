"""Answers while the app is being loaded: a page that says so, and turns into the app when that is ready.

The standard library alone: it listens before the networks and Gradio, which take seconds, are so much as imported.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple

from streamer.errors import SettingsError

_HEADER = "X-Streamer-Loading"
_PAGE = f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>streamer</title>
<noscript><meta http-equiv="refresh" content="2"></noscript>
<style>body{{font:16px system-ui,sans-serif;background:#0d1117;color:#d6dde4;display:grid;place-content:center;
min-height:90vh;text-align:center}}p{{margin:.3em;color:#8b98a5}}</style></head>
<body><main role="status"><h1>streamer</h1><p>The networks are being loaded; this page opens by itself.</p>
<p>Research use only: not a medical device.</p></main>
<script>
const look = async () => {{
  const answer = await fetch(location.href, {{ cache: "no-store" }}).catch(() => null);
  if (answer && !answer.headers.has("{_HEADER}")) location.reload();
  else setTimeout(look, 300);
}};
setTimeout(look, 300);
</script></body></html>
""".encode()


class EarlyPage(NamedTuple):
    """A port that is answered until the app takes it over."""

    port: int
    server: ThreadingHTTPServer

    @property
    def url(self) -> str:
        """Where the app will be."""
        host = str(self.server.server_address[0])
        shown = f"[{host}]" if ":" in host else "localhost" if host == "0.0.0.0" else host
        return f"http://{shown}:{self.port}/"

    def close(self) -> None:
        """Leave the port; may be called twice."""
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def early_page(host: str, port: int) -> Iterator[EarlyPage]:
    """Answer on a port, any that is free for 0, until it is closed or the context ends.

    Whatever is asked, the answer is 503 and, for a browser, the page: nothing of the app is there yet.

    Raises:
        SettingsError: the address cannot be listened on.
    """
    try:
        server = _server_on(host, port)
    except OSError as error:
        raise SettingsError(f"cannot listen on {host}, port {port}: choose another --host or --port") from error
    # Looked at often: whoever wants the port waits for it to be left.
    threading.Thread(target=server.serve_forever, args=(0.02,), name="early page", daemon=True).start()
    page = EarlyPage(int(server.server_address[1]), server)
    try:
        yield page
    finally:
        page.close()


def _server_on(host: str, port: int) -> ThreadingHTTPServer:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True
        block_on_close = False  # a browser keeps its connection: the app need not wait for that

    return Server((host, port), _Loading)


class _Loading(BaseHTTPRequestHandler):
    timeout = 5

    def do_GET(self) -> None:  # the name that the library calls
        self.send_response(503)
        for name, value in (
            ("Content-Type", "text/html; charset=utf-8"),
            ("Content-Length", str(len(_PAGE))),
            ("Cache-Control", "no-store"),
            ("Retry-After", "1"),
            (_HEADER, "1"),
            ("Connection", "close"),
        ):
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(_PAGE)

    do_HEAD = do_POST = do_GET  # noqa: N815

    def version_string(self) -> str:
        return "streamer"

    def log_message(self, *_: object) -> None:
        """Say nothing: what is asked for is nobody's business."""
