"""The app under a path of a reverse proxy, a real nginx on this machine."""

from __future__ import annotations

import json
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
from streamer.monitoring.audit import AuditLog
from tests.app.held_engine import HeldEngine
from tests.app.pages import ENDED, analyse, wait_until

_DOCS = Path(__file__).parents[2] / "docs" / "reliability.md"


@pytest.mark.parametrize(
    "given", ["/../ward", "/ward/..", "/./ward", "streamer", "http://a/b", "/a b", "//a", "/a/../b?", "/a\n", "/é"]
)
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


def _certificate(folder: Path) -> str:
    """nginx's lines for a certificate of this machine."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made = ["-newkey", "rsa:2048", "-nodes", "-subj", "/CN=127.0.0.1", "-days", "1"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(["openssl", "req", "-x509", *made, *files], check=True, capture_output=True)
    return f"ssl_certificate {folder}/cert.pem; ssl_certificate_key {folder}/key.pem;"


@contextmanager
def _nginx(folder: Path, app_url: str, *, tls: bool = False) -> Iterator[str]:
    """A proxy in front of an app; gives the URL of the app behind it."""
    program = shutil.which("nginx", path=os.environ["PATH"] + ":/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    temporary = "\n".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    listen = f"listen 127.0.0.1:{port} ssl; {_certificate(folder)}" if tls else f"listen 127.0.0.1:{port};"
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; error_log {folder}/error.log; pid {folder}/pid;\nevents {{}}\n"
        f"http {{ access_log off; {temporary}\nserver {{ {listen}\n{_location(app_url)}\n}} }}\n"
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
        yield f"http{'s' if tls else ''}://127.0.0.1:{port}/streamer/"
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


def test_frames_behind_nginx_with_tls_and_a_login(tmp_path: Path, clip: Path) -> None:
    """Whoever is logged in gets the frames of his session, and the audit log says who he is."""
    pytest.importorskip("gradio")
    engine, log = HeldEngine().as_engine(), AuditLog(tmp_path / "audit")
    with (
        running(
            engine, host="127.0.0.1", port=0, root_path="/streamer", audit=log, login=lambda *who: who == ("li", "x")
        ) as url,
        _nginx(tmp_path, url, tls=True) as proxied,
        httpx.Client(base_url=proxied, verify=False, timeout=60) as client,
    ):
        assert client.post("login", data={"username": "li", "password": "x"}).status_code == 200
        with clip.open("rb") as content:
            (upload,) = client.post("gradio_api/upload", files={"files": content}).json()
        parts = client.get("config").json()["components"]
        component = next(part["id"] for part in parts if part["props"].get("elem_id") == "streamer")
        body = {"data": [[upload], "P-8"], "component_id": component, "fn_name": "start", "session_hash": "s"}
        token = client.post("gradio_api/component_server", json=body).json()["token"]
        address = f"analyses/s/{token}/frames/0"
        assert wait_until(lambda: client.get(address).status_code == 200)
        frame = client.get(address)
        assert frame.content.startswith(b"\xff\xd8\xff")
        assert frame.headers["cache-control"] == "no-store"
        assert httpx.get(f"{proxied}{address}", verify=False).status_code == 401
        assert client.post("analyses/s/leave").status_code == 204
        assert client.get(address).status_code == 404
    lines = [line for file in (tmp_path / "audit").glob("audit-*") for line in file.read_text().splitlines()]
    entries = [json.loads(line) for line in lines]
    assert [entry["action"] for entry in entries] == ["login", "analyse", "view", "delete"]
    assert {entry["user"] for entry in entries} == {log.pseudonym("li")}


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
