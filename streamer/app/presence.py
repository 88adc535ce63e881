"""Which pages and programs are there: each holds a connection, and what a session has goes once it is gone for good."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Receive, Scope, Send

_GRACE_S = 60.0
"""For so long a page may be away: a network that changes and a proxy that restarts cut the connection of a page that is
there. One that is closed says so itself, and is not waited for."""
_AWAITED = "/gradio_api/queue/data"
"""Where a program listens as long as it waits for an answer of Gradio's, naming its session; a page never does."""
_BEAT_S = 15.0
"""Proxies close what is silent for a minute."""


class Presence:
    """Sessions that hold a connection. To be used in one event loop.

    Args:
        end: told of a session that is gone; called on a thread, as it may take a while.
    """

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._open: Counter[str] = Counter()
        self._away: dict[str, asyncio.TimerHandle] = {}

    async def beats(self, session: str) -> AsyncGenerator[bytes]:
        """Events for a page as long as it listens (text/event-stream); when they are no longer taken, it is away."""
        with self.held(session):
            while True:
                yield b"retry: 1000\n\n"
                await asyncio.sleep(_BEAT_S)

    @contextmanager
    def held(self, session: str) -> Iterator[None]:
        """The session is there as long as the context lasts, and for a while after."""
        self._open[session] += 1
        if session in self._away:
            self._away.pop(session).cancel()
        try:
            yield
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
                loop = asyncio.get_running_loop()
                self._away[session] = loop.call_later(_GRACE_S, self._gone, loop, session)

    def _gone(self, loop: asyncio.AbstractEventLoop, session: str) -> None:
        del self._away[session]
        loop.run_in_executor(None, self._end, session)


class ProgramsPresent:
    """ASGI middleware: a program that waits for an answer is there until it has it, or is gone.

    Args:
        app: what answers.
        presence: told of it.
    """

    def __init__(self, app: ASGIApp, presence: Presence) -> None:
        self._app, self._presence = app, presence

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        named: list[str] = []
        if scope["type"] == "http" and scope["path"].endswith(_AWAITED):
            named = parse_qs(scope["query_string"].decode("latin-1")).get("session_hash", [])
        if not named:
            return await self._app(scope, receive, send)
        with self._presence.held(named[0]):
            return await self._app(scope, receive, send)
