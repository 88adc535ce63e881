"""The web server on a thread of its own."""

import asyncio
import threading
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import FastAPI
from fastapi.responses import StreamingResponse

from streamer.app.serving import served


def test_an_answer_that_is_cut_short_by_the_end_is_no_error(capfd: pytest.CaptureFixture[str]) -> None:
    web, begun = FastAPI(), threading.Event()

    @web.get("/events")
    async def events() -> StreamingResponse:
        async def for_ever() -> AsyncIterator[bytes]:
            while True:
                yield b"still here\n"
                begun.set()
                await asyncio.sleep(0.05)

        return StreamingResponse(for_ever())

    def listen(url: str) -> None:
        with pytest.raises(httpx.HTTPError):
            httpx.get(f"{url}events", timeout=60)

    with served(web, "127.0.0.1", 0) as url:
        page = threading.Thread(target=listen, args=(url,))
        page.start()
        assert begun.wait(10)
    page.join()
    assert capfd.readouterr().err == ""
