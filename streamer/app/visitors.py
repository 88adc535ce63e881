"""Tells which user sent a request: Gradio keeps the login, and its route `/gradio_api/user` is asked."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import httpx
from fastapi import FastAPI, Request

_WHO = "/gradio_api/user"
_KEPT_S = 5.0
"""Seconds for which an answer holds: asking for every frame would cost as much as the frame; a logout may wait."""
_MAX_KNOWN = 1000
"""Cookies whose answers are kept, the latest asked for."""

UserOf = Callable[[Request], Awaitable[str]]


class NotLoggedInError(Exception):
    """A login is asked for, and the request has none."""


async def nobody(_: Request) -> str:
    """The user where there is no login."""
    return ""


class Visitors:
    """Users of the app that Gradio's page is mounted on, where a login is asked for.

    Args:
        web: the app.
    """

    def __init__(self, web: FastAPI) -> None:
        self._web = web
        self._known: dict[str, tuple[float, str]] = {}

    async def user_of(self, request: Request) -> str:
        """Name of the user who sent a request.

        Raises:
            NotLoggedInError: nobody is logged in there.
        """
        cookies, now_s = request.headers.get("cookie", ""), time.monotonic()
        asked_s, user = self._known.get(cookies, (-_KEPT_S, ""))
        if now_s - asked_s >= _KEPT_S:
            user = await self._asked(cookies)
            while len(self._known) >= _MAX_KNOWN:
                del self._known[next(iter(self._known))]
            self._known[cookies] = now_s, user
        if not user:
            raise NotLoggedInError
        return user

    async def _asked(self, cookies: str) -> str:
        transport = httpx.ASGITransport(app=self._web)
        async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
            answer = await client.get(_WHO, headers={"Cookie": cookies})
        return str(answer.json() or "")
