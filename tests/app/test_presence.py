"""What a session has stays while its page is there, also after its connections were cut, and goes with it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamer.app import presence
from streamer.app.presence import Presence
from tests.app.conftest import App
from tests.app.own_loop import run_in_own_loop
from tests.app.pages import ENDED, analyse, wait_for_position, wait_until

_GRACE_S = 0.05


def test_a_page_that_comes_back_in_time_keeps_its_session_and_one_that_does_not_loses_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(presence, "_GRACE_S", _GRACE_S)
    ended: list[str] = []

    async def live() -> None:
        pages = Presence(ended.append)
        first, twin = pages.beats("s"), pages.beats("s")
        for connection in (first, twin):
            assert await anext(connection) == b"retry: 1000\n\n"
        await first.aclose()  # its twin is there
        await asyncio.sleep(2 * _GRACE_S)
        await twin.aclose()
        again = pages.beats("s")
        await anext(again)
        await asyncio.sleep(2 * _GRACE_S)
        assert ended == []
        await again.aclose()
        while not ended:
            await asyncio.sleep(_GRACE_S)

    run_in_own_loop(asyncio.wait_for(live(), 10))
    assert ended == ["s"]


def test_a_program_that_goes_while_it_waits_is_missed(app: App, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_GRACE_S", 0)
    gone: list[str] = []
    monkeypatch.setattr(Presence, "_gone", lambda *told: gone.append(told[-1]))
    with httpx.stream("GET", f"{app.url}gradio_api/queue/data", params={"session_hash": "p1"}) as answer:
        assert answer.status_code == 200
        assert next(answer.iter_bytes())
        assert gone == []
    assert wait_until(lambda: gone == ["p1"])


@pytest.fixture
def page(app: App, browser: Any) -> Iterator[Any]:
    """A page that may complain: its server does not answer."""
    context = browser.new_context(viewport={"width": 1280, "height": 720})
    page = context.new_page()
    page.set_default_timeout(15_000)
    page.goto(app.url)
    page.wait_for_selector("[data-id=device]:not(:empty)")
    yield page
    app.engine.release()
    context.close()


def test_a_page_that_goes_is_missed(app: App, browser: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presence, "_GRACE_S", 0)
    gone: list[str] = []
    monkeypatch.setattr(Presence, "_gone", lambda *told: gone.append(told[-1]))
    context = browser.new_context()
    page = context.new_page()
    with page.expect_response(lambda answer: answer.url.endswith("/presence")) as answer:
        page.goto(app.url)
    session = answer.value.url.split("/")[-2]
    assert session not in gone
    context.close()
    assert wait_until(lambda: session in gone)


def test_a_server_that_does_not_answer_for_a_while_costs_nothing(app: App, page: Any, clip: Path) -> None:
    app.engine.hold(20)
    analyse(page, clip)
    wait_for_position(page, 19)
    page.route("**/analyses/**", lambda route: route.abort())  # no network
    page.wait_for_selector("text=does not answer; trying again")
    app.engine.release()
    page.unroute("**/analyses/**")
    page.wait_for_selector(ENDED)
    page.wait_for_selector("[data-id=banner]", state="hidden")
    assert "60 frames" in page.inner_text("[data-id=results-line]")
    wait_for_position(page, 59)
    # No server behind the proxy, when nothing is asked any more unless the reader goes elsewhere.
    page.route("**/analyses/**", lambda route: route.fulfill(status=503, body="<html>"))
    page.uncheck("[data-id=boxes]")
    page.wait_for_selector("text=does not answer; trying again")
    page.keyboard.press("Home")
    page.unroute("**/analyses/**")
    wait_for_position(page, 0)
    page.wait_for_selector("[data-id=banner]", state="hidden")


def test_an_analysis_that_is_gone_is_told_and_its_files_are_no_longer_offered(app: App, page: Any, clip: Path) -> None:
    analyse(page, clip)
    page.wait_for_selector(ENDED)
    with page.expect_request(lambda sent: "/frames/" in sent.url) as request:
        page.uncheck("[data-id=labels]")
    session = request.value.url.split("/analyses/")[1].split("/")[0]
    page.request.post(f"{app.url}analyses/{session}/leave")
    page.uncheck("[data-id=boxes]")
    page.wait_for_selector("text=this analysis is not here any more")
    assert page.is_hidden("[data-id=results]")
