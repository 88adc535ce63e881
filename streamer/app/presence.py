"""Which pages are open: each holds a connection, and what a session has goes once its page is gone for good."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Callable

_GRACE_S = 60.0
"""For so long a page may be away: a network that changes and a proxy that restarts cut the connection of a page that is
there. One that is closed says so itself, and is not waited for."""
_BEAT_S = 15.0
"""Proxies close what is silent for a minute."""


class Presence:
    """Sessions whose pages hold a connection. To be used in one event loop.

    Args:
        end: told of a session whose page is gone; called on a thread, as it may take a while.
    """

    def __init__(self, end: Callable[[str], None]) -> None:
        self._end = end
        self._open: Counter[str] = Counter()
        self._away: dict[str, asyncio.TimerHandle] = {}

    async def beats(self, session: str) -> AsyncGenerator[bytes]:
        """Events for a page as long as it listens (text/event-stream); when they are no longer taken, it is away."""
        self._open[session] += 1
        if session in self._away:
            self._away.pop(session).cancel()
        try:
            while True:
                yield b"retry: 1000\n\n"
                await asyncio.sleep(_BEAT_S)
        finally:
            self._open[session] -= 1
            if not self._open[session]:
                del self._open[session]
                loop = asyncio.get_running_loop()
                self._away[session] = loop.call_later(_GRACE_S, self._gone, loop, session)

    def _gone(self, loop: asyncio.AbstractEventLoop, session: str) -> None:
        del self._away[session]
        loop.run_in_executor(None, self._end, session)
