"""Who may use the app, and the app without a browser."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from streamer.app.server import is_loopback, read_logins, running, serve
from streamer.errors import SettingsError
from streamer.settings import Settings
from tests.app.conftest import App
from tests.app.held_engine import KEY_FRAME, HeldEngine


def ask(app: App, question: str, data: object, session: str = "s") -> httpx.Response:
    config = httpx.get(f"{app.url}config").json()
    component = next(part["id"] for part in config["components"] if part["props"].get("elem_id") == "streamer")
    body = {"data": data, "component_id": component, "fn_name": question, "session_hash": session}
    return httpx.post(f"{app.url}gradio_api/component_server", json=body)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "ward-pc"])
def test_others_need_a_login(host: str) -> None:
    with pytest.raises(SettingsError, match="--auth-file"):
        serve(Settings(), host=host, port=0, auth_file=None, without_login=False, announce=lambda _: None)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.9.1"])
def test_loopback_is_known(host: str) -> None:
    assert is_loopback(host)


def test_login_file(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("# ward 3\n\nmüller:a:b\nli:secret\n", encoding="utf-8")
    is_right = read_logins(path)
    assert is_right("müller", "a:b")
    assert is_right("li", "secret")
    assert not any([is_right("li", "a:b"), is_right("li", ""), is_right("nobody", "\0"), is_right("", "")])


@pytest.mark.parametrize("text", ["", "# nobody\n", "name\n", "name:\n", ":password\n"])
def test_login_file_without_a_login_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "users"
    path.write_text(text)
    with pytest.raises(SettingsError, match="users"):
        read_logins(path)


QUESTIONS = ("start", "note", "stop", "record", "archive", "claim")


@pytest.mark.parametrize("question", QUESTIONS)
@pytest.mark.parametrize("data", [None, [], 7, ["x"] * 5, [{"a": 1}, None, [None], "z", -1], "../../etc/passwd"])
def test_nonsense_gets_an_answer(app: App, question: str, data: object) -> None:
    answer = ask(app, question, data)
    assert answer.status_code == 200
    assert set(answer.json()) == {"error"}


def test_only_uploads_are_opened(app: App, clip: Path) -> None:
    for path in (str(clip), str(app.root / "phantom.mp4"), str(app.root / ("0" * 64) / ".." / "phantom.mp4")):
        assert "gone" in ask(app, "start", [[path], ""]).json()["error"]


def test_api_returns_the_report(app: App, clip: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(app.url, verbose=False, analytics_enabled=False)
    report = client.predict(gradio_client.handle_file(clip), "P-8", api_name="/analyse")
    client.close()
    assert (report["patient"], report["complete"]) == ("P-8", True)
    assert report["nodules"][0]["key_frame"] == KEY_FRAME
    assert app.job_folders() == []


def test_api_without_a_patient(app: App, clip: Path) -> None:
    gradio_client = pytest.importorskip("gradio_client")
    client = gradio_client.Client(app.url, verbose=False, analytics_enabled=False)
    report = client.predict(gradio_client.handle_file(clip), None, api_name="/analyse")
    client.close()
    assert (report["patient"], report["complete"]) == ("", True)


@pytest.mark.parametrize("patient", [None, 7, ["P"], {"a": 1}])
def test_a_patient_that_is_no_text(app: App, patient: object) -> None:
    assert ask(app, "start", [["a"], patient]).json() == {"error": "the patient's identifier must be a text"}


def named(path: str, **more: object) -> dict[str, object]:
    return {"path": path, "meta": {"_type": "gradio.FileData"}, **more}


@pytest.fixture
def planted(app: App, clip: Path) -> Iterator[tuple[Path, Path]]:
    """A job's file, and a link among the uploads."""
    own, link = app.root / "jobs" / "x.mp4", app.root / ("0" * 64) / "clip.mp4"
    own.write_bytes(clip.read_bytes())
    link.parent.mkdir()
    link.symlink_to(clip)
    yield own, link
    own.unlink()
    shutil.rmtree(link.parent)


def test_a_program_may_name_what_was_uploaded_and_no_other_file(
    app: App, clip: Path, planted: tuple[Path, Path]
) -> None:
    """Gradio would copy any file of the machine into its cache, and fetch what a URL names."""
    own, link = planted
    foreign = [str(clip), "/etc/passwd", "/nonexistent", "http://127.0.0.1:9/x.mp4", "", "\0", str(own), str(link)]
    foreign += [f"{link.parent}/../../../etc/passwd", str(app.root / "phantom.mp4")]
    upload = httpx.post(f"{app.url}gradio_api/upload", files={"files": ("a.mp4", clip.read_bytes())}).json()[0]
    routes = ("queue/join", "run/analyse", "api/analyse", "call/analyse", "call/v2/analyse", "component_server")
    for path in foreign:
        for data in (
            [named(path), "x"],
            ["x", named(path)],
            [[{"deep": [named(path, is_stream=True)]}], named(upload)],
        ):
            for route in routes:
                answer = httpx.post(f"{app.url}gradio_api/{route}", json={"data": data, "fn_index": 0})
                assert (answer.status_code, answer.json()) == (
                    400, {"error": "the uploaded file is gone; choose it again"}
                )  # fmt: skip
    for body in (b"{", b"[" * 100_000):
        assert httpx.post(f"{app.url}gradio_api/queue/join", content=body).status_code == 400
    assert httpx.post(f"{app.url}gradio_api/queue/join", content=bytes(21 * 2**20)).status_code == 413
    question = {"data": [named(upload), "x"], "fn_index": 0, "session_hash": "p"}
    assert httpx.post(f"{app.url}gradio_api/queue/join", json=question).status_code == 200
    with httpx.stream("GET", f"{app.url}gradio_api/queue/data?session_hash=p", timeout=60) as events:
        (done,) = (line for line in events.iter_lines() if "process_completed" in line)
    assert json.loads(done.removeprefix("data:"))["output"]["data"][0]["patient"] == "x"


def test_login_guards_page_questions_and_files() -> None:
    pytest.importorskip("gradio")
    engine = HeldEngine().as_engine()
    with running(engine, host="127.0.0.1", port=0, login=lambda *given: given == ("li", "secret")) as url:
        assert httpx.post(f"{url}gradio_api/component_server", json={}).status_code == 401
        for question in ("file=/etc/hostname", "file=README.md", "file//etc/hostname"):
            assert httpx.get(f"{url}gradio_api/{question}").status_code == 404
        for question in ("status", "frames/0", "nodules/1", "nodules/1/heat/0", "files/report.json"):
            answer = httpx.get(f"{url}analyses/s/t/{question}")
            assert (answer.status_code, answer.json()) == (401, {"error": "log in first"})
        for question in ("s/t/film?time_s=1", "s/leave"):
            assert httpx.post(f"{url}analyses/{question}").status_code == 401
        assert httpx.post(f"{url}login", data={"username": "li", "password": "wrong"}).status_code == 400
        assert httpx.post(f"{url}login", data={"username": "li", "password": "secret"}).status_code == 200
