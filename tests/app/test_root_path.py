"""The app under a path of a reverse proxy, a real nginx on this machine."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamer.app.server import checked_root_path, running
from streamer.errors import SettingsError
from tests.app.held_engine import HeldEngine
from tests.app.pages import ENDED, analyse

_DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.mark.parametrize("given", ["streamer", "http://a/b", "/a b", "//a", "/a/../b?", "/a\n", "/é"])
def test_no_path(given: str) -> None:
    with pytest.raises(SettingsError, match="--root-path"):
        checked_root_path(given)


@pytest.mark.parametrize(
    ("given", "used"), [("", ""), ("/", ""), ("/streamer", "/streamer"), ("/ward-3/streamer/", "/ward-3/streamer")]
)
def test_a_path(given: str, used: str) -> None:
    assert checked_root_path(given) == used


def _location(app_url: str) -> str:
    """The documented example, for this app."""
    text = _DOCS.read_text(encoding="utf-8")
    example = text.split("```nginx\n")[1].split("```")[0]
    assert "http://127.0.0.1:7860/" in example
    return example.replace("http://127.0.0.1:7860/", app_url)


@contextmanager
def _nginx(folder: Path, app_url: str) -> Iterator[str]:
    """A proxy in front of an app; gives the URL of the app behind it."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid;\nevents {{}}\n"
        f"http {{ access_log off; {temporary}\nserver {{ listen 127.0.0.1:{port};\n{_location(app_url)}\n}} }}\n"
    )
    process = subprocess.Popen([program, "-c", str(folder / "nginx.conf"), "-e", str(folder / "error.log")])
    try:
        for _ in range(100):
            with socket.socket() as there:
                if there.connect_ex(("127.0.0.1", port)) == 0:
                    break
            if process.poll() is not None:
                pytest.fail((folder / "error.log").read_text())
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/streamer/"
    finally:
        process.terminate()
        process.wait(10)


def test_the_app_behind_nginx(tmp_path: Path, clip: Path) -> None:
    """The page and all it loads are there under the path; a clip is uploaded, analysed and reported on."""
    gradio_client = pytest.importorskip("gradio_client")
    engine = HeldEngine()
    with (
        running(engine.as_engine(), host="127.0.0.1", port=0, root_path="/streamer") as url,
        _nginx(tmp_path, url) as proxied,
    ):
        page = httpx.get(proxied, timeout=60)
        assert page.status_code == 200
        assets = set(re.findall(r'(?:src|href)="(\./assets/[^"]+)"', page.text))
        assert assets
        assert {httpx.get(httpx.URL(proxied).join(asset), timeout=60).status_code for asset in assets} == {200}
        assert httpx.get(f"{proxied}config", timeout=60).json()["root"] == proxied.rstrip("/")
        client = gradio_client.Client(proxied, verbose=False, analytics_enabled=False)
        report = client.predict(gradio_client.handle_file(clip), "P-8", api_name="/analyse")
        client.close()
        assert (report["patient"], report["complete"]) == ("P-8", True)


@pytest.mark.slow
def test_the_page_behind_nginx_in_a_browser(tmp_path: Path, clip: Path, browser: Any) -> None:
    """A clip is chosen, uploaded, analysed and shown, and the files are there."""
    engine = HeldEngine()
    with (
        running(engine.as_engine(), host="127.0.0.1", port=0, root_path="/streamer") as url,
        _nginx(tmp_path, url) as proxied,
    ):
        context = browser.new_context()
        page = context.new_page()
        failed: list[str] = []
        page.on("response", lambda answer: failed.append(answer.url) if answer.status >= 400 else None)
        page.goto(proxied)
        analyse(page, clip)
        page.wait_for_selector(ENDED)
        links = page.eval_on_selector_all("[data-id=results] a[download]", "all => all.map(one => one.href)")
        assert links
        assert all(link.startswith(proxied) for link in links)
        assert {httpx.get(link).status_code for link in links} == {200}
        page.close()
        context.close()
        assert failed == []
