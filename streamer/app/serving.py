"""A web app on a thread of its own, listening until it is no longer needed."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

import uvicorn
from fastapi import FastAPI

from streamer.errors import SettingsError

_STARTS_WITHIN_S = 60.0
_ENDS_WITHIN_S = 2
"""Seconds for what is being answered at the end; the events of an open page would go on."""


@contextmanager
def served(web: FastAPI, host: str, port: int) -> Iterator[str]:
    """Serve a web app as long as the context lasts.

    Args:
        web: the app.
        host: address to listen on.
        port: port to listen on; 0 for any that is free.

    Yields:
        Its URL.

    Raises:
        SettingsError: the address cannot be listened on, or the server does not start.
    """
    with closing(_listener(host, port)) as listener:
        config = uvicorn.Config(
            web, log_level="error", access_log=False, server_header=False, timeout_graceful_shutdown=_ENDS_WITHIN_S
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="web", daemon=True)
        thread.start()
        try:
            until_s = time.monotonic() + _STARTS_WITHIN_S
            while not server.started:
                if not thread.is_alive() or time.monotonic() > until_s:
                    raise SettingsError("the web server does not start; its log says why")
                time.sleep(0.01)
            shown = f"[{host}]" if ":" in host else "localhost" if host == "0.0.0.0" else host
            yield f"http://{shown}:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            log = logging.getLogger("uvicorn.error")
            level = log.level
            log.setLevel(logging.CRITICAL)  # an answer that is cut short by the end is no error
            thread.join()
            log.setLevel(level)


def _listener(host: str, port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise SettingsError(f"cannot listen on {host}, port {port}: choose another --host or --port") from error
    return listener
