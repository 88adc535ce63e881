"""The app's own routes: pictures as they are, whose they are, and how long a browser may keep them."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from fastapi import FastAPI, Request

from streamer.app.api import Answers
from streamer.app.camera import CameraJob
from streamer.app.jobs import GoneError, Jobs
from streamer.app.study_job import StudyJob
from streamer.app.visitors import UserOf, nobody
from streamer.app.web import add_routes, new_web
from streamer.monitoring.audit import AuditLog
from tests.app.held_engine import KEY_FRAME, HeldEngine, numbered
from tests.app.own_loop import run_in_own_loop
from tests.app.pages import wait_until

pytest.importorskip("gradio")
JPEG_BEGINS = b"\xff\xd8\xff"


def web_of(jobs: Jobs, tmp_path: Path, user_of: UserOf = nobody, audit: AuditLog | None = None) -> FastAPI:
    web = new_web()
    no_demo: Any = None
    add_routes(web, Answers(jobs, tmp_path, no_demo, audit), user_of)
    return web


class Client:
    """Asks a web app without a network, in a loop of its own."""

    def __init__(self, web: FastAPI) -> None:
        self._web = web

    def __call__(
        self, path: str, method: str = "GET", content: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self._web)
            async with httpx.AsyncClient(transport=transport, base_url="http://app") as client:
                return await client.request(method, f"/analyses/{path}", content=content, headers=headers)

        return run_in_own_loop(ask())


@pytest.fixture
def ask(jobs: Jobs, tmp_path: Path) -> Client:
    return Client(web_of(jobs, tmp_path))


def analysed(jobs: Jobs, clip: Path) -> StudyJob:
    """The finished analysis of session "s"."""
    job = StudyJob("s", jobs.root, [clip])
    jobs.submit(job)
    assert job.finished.wait(60)
    return job


class Done(NamedTuple):
    """A finished analysis of session "s", and the routes that show it."""

    ask: Client
    token: str


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory, clip: Path) -> Iterator[Done]:
    root = tmp_path_factory.mktemp("done")
    jobs = Jobs(HeldEngine().as_engine(), root)
    yield Done(Client(web_of(jobs, root)), analysed(jobs, clip).token)
    jobs.close()


def pixels(answer: httpx.Response) -> npt.NDArray[np.int16]:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content.startswith(JPEG_BEGINS)
    return np.asarray(cv2.imdecode(np.frombuffer(answer.content, np.uint8), cv2.IMREAD_COLOR_RGB), np.int16)


def test_a_frame_is_a_jpeg_that_no_cache_may_keep(done: Done) -> None:
    answer = done.ask(f"s/{done.token}/frames/7?opacity=0")
    assert np.abs(pixels(answer) - numbered(7)).mean() < 3
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-streamer-position"] == "7"
    (row,) = json.loads(answer.headers["x-streamer-rows"])
    assert row[:4] == [0, 7, 7 / 25, 7 / 25]
    boxes, none = (pixels(done.ask(f"s/{done.token}/frames/7?boxes={wanted}")) for wanted in (1, 0))
    assert np.abs(boxes - none).max() > 50


def test_what_is_not_there_is_not_kept(done: Done) -> None:
    for question in ("frames/60", "frames/99999999999", "nodules/7"):
        answer = done.ask(f"s/{done.token}/{question}")
        assert (answer.status_code, answer.content) == (204, b"")
        assert answer.headers["cache-control"] == "no-store"


def test_result_files_are_handed_out_by_name_and_in_parts(done: Done) -> None:
    files = done.ask(f"s/{done.token}/status").json()["files"]
    assert {"report.json", "report.html", "overlay.mp4", "frames.jsonl"} <= {file["name"] for file in files}
    assert all(set(file) == {"name", "bytes"} for file in files)
    for file in files:
        answer = done.ask(f"s/{done.token}/files/{file['name']}?watched=1")
        assert (answer.status_code, len(answer.content)) == (200, file["bytes"])
        assert answer.headers["cache-control"] == "no-store"
        shown = "inline" if file["name"] == "overlay.mp4" else "attachment"  # a page of ours is no page of the app's
        assert answer.headers["content-disposition"].startswith(shown)
    part = done.ask(f"s/{done.token}/files/overlay.mp4", headers={"Range": "bytes=4-7"})
    assert (part.status_code, part.content) == (206, b"ftyp")
    for name in ("study.zip", "nothing", "..", "%2e%2e%2f%2e%2e%2fstreamer", ".streamer.json"):
        assert done.ask(f"s/{done.token}/files/{name}").status_code in (404, 405)


def test_only_the_session_that_asked_for_an_analysis_sees_it_and_only_until_it_ends(
    ask: Client, jobs: Jobs, clip: Path
) -> None:
    done = analysed(jobs, clip)
    questions = ("status", "frames/0", "nodules/1", f"nodules/1/heat/{KEY_FRAME}", "files/report.json")
    for question in questions:
        assert ask(f"s/{done.token}/{question}").status_code == 200
        for place in (f"other/{done.token}", "s/other"):
            answer = ask(f"{place}/{question}")
            assert (answer.status_code, set(answer.json())) == (404, {"error"})
            assert answer.headers["cache-control"] == "no-store"
    assert ask("s/other/film?time_s=1", "POST", b"x").status_code == 404
    assert ask("s/leave", "POST").status_code == 204
    assert not done.folder.exists()
    for question in questions:
        assert ask(f"s/{done.token}/{question}").json() == {
            "error": "this analysis is not here any more; start it again"
        }
    assert ask("nobody/leave", "POST").status_code == 204


def test_with_a_login_an_address_is_its_users_alone(jobs: Jobs, clip: Path, tmp_path: Path) -> None:
    done = analysed(jobs, clip)
    jobs.admit("s", "anna", new=True)
    with pytest.raises(GoneError):  # as every question does first
        jobs.admit("s", "ben", new=True)
    for user, expected in (("ben", 404), ("anna", 200)):

        async def who(_: Request, user: str = user) -> str:
            return user

        ask = Client(web_of(jobs, tmp_path, who))
        for question in ("status", "frames/0", "nodules/1", f"nodules/1/heat/{KEY_FRAME}", "files/report.json"):
            assert ask(f"s/{done.token}/{question}").status_code == expected
        if user == "ben":  # anna's would go on for ever
            assert ask("s/presence").status_code == 404
        assert ask("s/leave", "POST").status_code == (204 if user == "anna" else 404)
    assert not done.folder.exists()


@pytest.mark.parametrize(
    "question",
    [
        "frames/-1", "frames/x", "frames/1?opacity=nan", "frames/1?opacity=2", "frames/1?boxes=%00", "status?seen=x",
        "status?seen=-1", "frames/" + "9" * 5000, "nodules/x", "nodules/1/heat/x",
    ],
)  # fmt: skip
def test_nonsense_gets_one_line(done: Done, question: str) -> None:
    answer = done.ask(f"s/{done.token}/{question}")
    assert (answer.status_code, set(answer.json())) == (422, {"error"})


def test_a_nodule_that_is_not_in_the_frame_has_no_heat_map_in_it(done: Done) -> None:
    answer = done.ask(f"s/{done.token}/nodules/3/heat/0")
    assert (answer.status_code, answer.json()["error"][:9]) == (400, "nodule 3 ")


def test_state_and_rows_go_on_where_the_page_is(done: Done) -> None:
    state = done.ask(f"s/{done.token}/status?seen=58").json()
    assert (state["state"], state["frames"], [row[1] for row in state["rows"]]) == ("done", 60, [58, 59])
    assert state["panels"]["nodules"][0]["key"] == KEY_FRAME
    again = done.ask(f"s/{done.token}/status?seen=60&version={state['panels']['version']}").json()
    assert (again["rows"], "panels" in again) == ([], False)


def test_a_frame_is_sent_as_soon_as_it_is_analysed(ask: Client, jobs: Jobs, engine: HeldEngine, clip: Path) -> None:
    engine.hold(10)
    job = StudyJob("s", jobs.root, [clip])
    jobs.submit(job)
    assert wait_until(lambda: job.feed is not None and len(job.feed) == 10)
    assert ask(f"s/{job.token}/frames/10").status_code == 204  # asked, waited for, not there
    threading.Timer(0.1, engine.release).start()
    answer = ask(f"s/{job.token}/frames/10?opacity=0")
    assert np.abs(pixels(answer) - numbered(10)).mean() < 3
    assert float(answer.headers["x-streamer-age-ms"]) < 1000


@contextmanager
def filming(jobs: Jobs) -> Iterator[CameraJob]:
    job = CameraJob("s", jobs.root)
    jobs.submit(job)
    yield job
    jobs.stop(job)
    assert job.finished.wait(10)


def test_a_camera_sends_jpegs_and_its_frames_are_not_kept(ask: Client, jobs: Jobs) -> None:
    jpeg = cv2.imencode(".jpg", numbered(5))[1].tobytes()
    with filming(jobs) as job:
        assert ask(f"s/{job.token}/film?time_s=0.1", "POST", jpeg).status_code == 204
        assert wait_until(lambda: job.feed is not None and len(job.feed) == 1)
        answer = ask(f"s/{job.token}/frames/0?opacity=0")
        assert np.abs(pixels(answer) - numbered(5)).mean() < 3
        assert answer.headers["cache-control"] == "no-store"
        refused = ask(f"s/{job.token}/film?time_s=0.2", "POST", b"no picture")
        assert (refused.status_code, "not a picture" in refused.json()["error"]) == (400, True)
        for time_s in ("nan", "inf", "x"):
            assert ask(f"s/{job.token}/film?time_s={time_s}", "POST", jpeg).status_code == 422
        assert ask(f"s/{job.token}/film?time_s=0.2", "POST", bytes(21 * 2**20)).status_code == 413


def test_a_recording_is_not_filmed(done: Done) -> None:
    answer = done.ask(f"s/{done.token}/film?time_s=1", "POST", b"x")
    assert (answer.status_code, answer.json()) == (400, {"error": "this analysis is not of a camera"})


def test_looking_is_noted_with_its_user_or_not_done(jobs: Jobs, clip: Path, tmp_path: Path) -> None:
    done = analysed(jobs, clip)

    async def anna(_: Request) -> str:
        return "anna"

    log = AuditLog(tmp_path / "audit")
    ask = Client(web_of(jobs, tmp_path, anna, log))
    for position in range(3):
        assert ask(f"s/{done.token}/frames/{position}").status_code == 200
    lines = [line for file in (tmp_path / "audit").glob("audit-*") for line in file.read_text().splitlines()]
    (entry,) = map(json.loads, lines)
    assert (entry["action"], entry["user"]) == ("view", log.pseudonym("anna"))
    assert ask(f"s/{done.token}/files/overlay.mp4?watched=1").status_code == 200
    assert ask(f"s/{done.token}/files/report.json").status_code == 200
    lines = [line for file in (tmp_path / "audit").glob("audit-*") for line in file.read_text().splitlines()]
    assert [json.loads(line)["action"] for line in lines] == ["view", "export"]
    (tmp_path / "audit" / "head.json").write_text("nonsense")
    other = Client(web_of(jobs, tmp_path, anna, log))
    for question in ("frames/0", "status", "frames/0"):
        answer = other(f"s/{done.token}/{question}")
        assert (answer.status_code, "damaged" in answer.json()["error"]) == (400, True)
