"""While the app is loaded its port answers with a page that waits, and is then the app's."""

import socket

import httpx
import pytest

from streamer.app.early_page import early_page
from streamer.app.server import running
from streamer.errors import SettingsError
from tests.app.held_engine import HeldEngine


def test_the_port_answers_and_says_that_nothing_is_ready() -> None:
    with early_page("127.0.0.1", 0) as early:
        page = httpx.get(early.url)
        assert page.status_code == 503
        assert page.headers["content-type"].startswith("text/html")
        assert page.headers["x-streamer-loading"] == page.headers["retry-after"] == "1"
        assert page.headers["cache-control"] == "no-store"
        assert "being loaded" in page.text
        assert "Research use only" in page.text
        for asked in (httpx.get(f"{early.url}config"), httpx.post(f"{early.url}login", data={"username": "li"})):
            assert asked.status_code == 503
        assert httpx.head(early.url).text == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(early.url)


def test_the_app_takes_the_port_over() -> None:
    pytest.importorskip("gradio")
    with (
        early_page("127.0.0.1", 0) as early,
        httpx.Client() as browser,
    ):
        assert browser.get(early.url).status_code == 503
        engine = HeldEngine().as_engine()
        with running(engine, host="127.0.0.1", port=early.port, before_listening=early.close) as url:
            assert url == early.url
            answer = browser.get(url)
            assert answer.status_code == 200
            assert "x-streamer-loading" not in answer.headers


def test_a_port_that_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(SettingsError, match=f"cannot listen on 127.0.0.1, port {port}"),
            early_page("127.0.0.1", port),
        ):
            pass


@pytest.mark.parametrize(("host", "shown"), [("127.0.0.1", "127.0.0.1"), ("0.0.0.0", "localhost"), ("::1", "[::1]")])
def test_the_url_is_one_for_a_browser(host: str, shown: str) -> None:
    with early_page(host, 0) as early:
        assert early.url == f"http://{shown}:{early.port}/"
        assert httpx.get(early.url).status_code == 503
