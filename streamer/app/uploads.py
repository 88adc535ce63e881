"""What a request may name as a file: what was uploaded here, and nothing else of the machine or the network.

Gradio copies any path that a request names into its cache when the app is mounted rather than launched, and fetches
what a URL names; its check knows whole folders only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fastapi.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamer.errors import InputError

_FOLDER = re.compile(r"[0-9a-f]{64}")  # Gradio names it after the content's sha256
_QUESTIONS, _UPLOAD = "gradio_api/", "gradio_api/upload"
_MAX_BODY = 20 * 2**20
"""Bytes of a question: a folder of 50,000 stills is named in less."""


def uploaded_file(uploads: Path, named: str) -> Path:
    """The file behind an upload that a request names.

    Args:
        uploads: Gradio's upload folder, resolved.
        named: the path that Gradio gave when it was uploaded.

    Raises:
        InputError: it was not uploaded here, or is gone.
    """
    path = Path(named)
    try:
        there = path.is_file() and not path.is_symlink()
    except (OSError, ValueError):
        there = False
    if not there or path.parent.parent != uploads or not _FOLDER.fullmatch(path.parent.name):
        raise InputError("the uploaded file is gone; choose it again")
    return path


class UploadsOnly:
    """ASGI middleware: refuses a question to Gradio that names a file which was not uploaded here.

    Args:
        app: what answers.
        uploads: Gradio's upload folder, resolved.
    """

    def __init__(self, app: ASGIApp, uploads: Path) -> None:
        self._app, self._uploads = app, uploads

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer with one line."""
        path = scope.get("path", "")
        if scope["type"] != "http" or scope["method"] == "GET" or _QUESTIONS not in path or path.endswith(_UPLOAD):
            return await self._app(scope, receive, send)
        body = await _body(receive)
        if body is None:
            return None
        refusal = self._refusal(body)
        if refusal is not None:
            return await refusal(scope, receive, send)
        return await self._app(scope, _again(body, receive), send)

    def _refusal(self, body: bytes) -> JSONResponse | None:
        if len(body) > _MAX_BODY:
            return JSONResponse({"error": "the page asked for more than the server reads"}, status_code=413)
        try:
            for named in _paths(json.loads(body)):
                uploaded_file(self._uploads, named)
        except InputError as error:
            return JSONResponse({"error": str(error)}, status_code=400)
        except (ValueError, RecursionError):  # no JSON, of which Gradio makes nothing either
            return JSONResponse({"error": "the request is no JSON"}, status_code=400) if body else None
        return None


async def _body(receive: Receive) -> bytes | None:
    """All of a request's body, as far as it is read at all; None where the asker is gone."""
    body, more = bytearray(), True
    while more and len(body) <= _MAX_BODY:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        body += message.get("body", b"")
        more = message.get("more_body", False)
    return bytes(body)


def _again(body: bytes, receive: Receive) -> Receive:
    """`receive` with a body that was taken from it put back."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return waiting.pop() if waiting else await receive()

    return next_message


def _paths(value: Any) -> Iterator[str]:
    """Every file that a question names, at any depth: Gradio takes an object with a path for one."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            if "path" in one:
                yield str(one["path"])
            left += one.values()
        elif isinstance(one, list):
            left += one
