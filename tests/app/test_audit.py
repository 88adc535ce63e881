"""Which questions of the page are noted, and how often."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image

from streamer.app.api import Answers, _answering
from streamer.app.audit import AppAudit
from streamer.app.demo_clip import DemoClip
from streamer.app.jobs import Jobs
from streamer.app.scintigraphy import ScintigraphyAnswers
from streamer.app.server import _noting_deletions, noted
from streamer.errors import OutputError
from streamer.monitoring.audit import AuditLog
from tests.app.held_engine import HeldEngine


@pytest.fixture
def audit(tmp_path: Path) -> AppAudit:
    return AppAudit(AuditLog(tmp_path))


def _entries(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for file in sorted(folder.glob("audit-*")) for line in file.read_text().splitlines()]


def test_a_visit_is_noted_and_looking_at_one_analysis_once(audit: AppAudit, tmp_path: Path) -> None:
    audit.note("welcome", "s", "anna", [])
    audit.note("claim", "s", "anna", ["/tmp/x/NAME.mp4"])
    audit.note("start", "s", "anna", [["/tmp/x/NAME.mp4"], "PATIENT"])
    for _ in range(5):
        audit.note("look", "s", "anna", ["token"])
    audit.note("look", "other", "", ["token"])
    audit.note("archive", "s", "anna", ["token"])
    entries = _entries(tmp_path)
    assert [one["action"] for one in entries] == ["upload", "analyse", "view", "view", "export"]
    assert entries[1]["subject"] == AuditLog(tmp_path).pseudonym("PATIENT")
    assert len({one["session"] for one in entries}) == 2
    assert entries[3]["user"] == ""
    text = json.dumps(entries)
    assert not any(name in text for name in ("NAME", "PATIENT", "anna"))


async def _anna(_: object) -> str:
    return "anna"


class _Request:
    """A page's request, as Gradio hands it over."""

    async def json(self) -> dict[str, str]:
        return {"session_hash": "s"}


def test_a_question_is_noted_before_it_is_answered(audit: AppAudit, tmp_path: Path) -> None:
    asked: list[str] = []

    def archive(session: str, token: str) -> dict[str, Any]:
        asked.append(token)
        return {"path": session}

    answer = _answering(archive, audit, _anna)
    assert _answer_of(answer(["token"], cast(Any, _Request()))) == {"path": "s"}
    (entry,) = _entries(tmp_path)
    assert (entry["action"], entry["user"]) == ("export", AuditLog(tmp_path).pseudonym("anna"))
    (tmp_path / "head.json").write_text("nonsense")
    assert "damaged" in _answer_of(answer(["other"], cast(Any, _Request())))["error"]
    assert asked == ["token"], "what cannot be noted is not done"


async def _awaited(answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    return await answer


def _answer_of(answer: Awaitable[dict[str, Any]]) -> dict[str, Any]:
    """The answer, awaited in a thread of its own: a browser that other tests drive keeps a loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, _awaited(answer)).result()


def test_what_cannot_be_noted_is_an_error(audit: AppAudit, tmp_path: Path) -> None:
    (tmp_path / "head.json").write_text("nonsense")
    for question in ("archive", "look", "look"):  # nor by asking again
        with pytest.raises(OutputError, match="damaged"):
            audit.note(question, "s", "", ["token"])


@dataclass(frozen=True)
class _Audited:
    """An app with a log, without a page."""

    jobs: Jobs
    answers: Answers
    uploads: Path
    log: AuditLog
    folder: Path

    def upload(self, name: str) -> Path:
        """A picture as Gradio leaves it."""
        path = self.uploads / ("ab" * 32) / name
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(np.random.default_rng(0).poisson(20, (96, 96)).astype(np.uint8)).save(path)
        return path

    def noted(self) -> list[tuple[object, object]]:
        """Action and user of each entry."""
        return [(one["action"], one["user"]) for one in _entries(self.folder)]

    def break_log(self) -> None:
        """From now on nothing can be noted."""
        (self.folder / "head.json").write_text("nonsense")


@pytest.fixture
def audited(tmp_path: Path) -> Iterator[_Audited]:
    log = AuditLog(tmp_path / "audit")
    jobs = Jobs(HeldEngine().as_engine(), tmp_path, about_to_delete=_noting_deletions(log))
    answers = Answers(jobs, tmp_path, cast(DemoClip, None), log, _anna)
    yield _Audited(jobs, answers, tmp_path, log, tmp_path / "audit")
    jobs.close()


def test_the_tab_scintigraphy_notes_uploads_and_analyses_with_their_user(audited: _Audited) -> None:
    network, read = ScintigraphyAnswers(audited.jobs, audited.answers, None).functions()
    anna, upload = audited.log.pseudonym("anna"), audited.upload("NAME.png")
    assert "error" not in _answer_of(network([], cast(Any, _Request())))
    assert audited.noted() == []
    assert "picture" in _answer_of(read([str(upload), "NAME.png", False], cast(Any, _Request())))
    assert audited.noted() == [("upload", anna), ("analyse", anna)]
    assert _entries(audited.folder)[0]["subject"] == audited.log.pseudonym("NAME.png")
    audited.break_log()
    refused = _answer_of(read([str(upload), "NAME.png", False], cast(Any, _Request())))
    assert list(refused) == ["error"], "what cannot be noted is not done"


def test_a_program_s_upload_is_noted_beside_its_analysis(audited: _Audited, clip: Path) -> None:
    upload = audited.upload("x.png").with_name("neck.mp4")
    upload.write_bytes(clip.read_bytes())
    audited.answers.start_for_program("s", "anna", str(upload), "P-1")
    assert [action for action, _ in audited.noted()] == ["upload", "analyse"]


@pytest.mark.parametrize("broken", [False, True])
@pytest.mark.parametrize("way", ["leave", "lose", "close"])
def test_what_a_page_had_is_deleted_and_that_is_noted_where_it_can_be(
    audited: _Audited, caplog: pytest.LogCaptureFixture, way: str, broken: bool
) -> None:
    caplog.set_level(logging.ERROR, "streamer")
    upload = audited.upload("NAME.png")
    audited.jobs.admit("s", "anna", new=True)
    audited.answers.claim("s", str(upload))
    if broken:
        audited.break_log()
    if way == "leave":
        audited.answers.leave("s", "anna")
    elif way == "lose":
        audited.answers.lose("s")
    else:
        audited.jobs.close()
    assert not upload.exists()
    assert audited.noted() == [("delete", audited.log.pseudonym("anna"))] * (not broken)
    assert ("a deletion is not in the audit log" in caplog.text) == broken
    audited.answers.lose("s")  # there is nothing any more
    assert len(audited.noted()) == (not broken)


def test_an_analysis_that_another_replaces_is_noted_as_deleted(audited: _Audited, clip: Path) -> None:
    upload = audited.upload("x.png").with_name("neck.mp4")
    upload.write_bytes(clip.read_bytes())
    for _ in range(2):
        audited.answers.start_for_program("s", "anna", str(upload), "P-1")
    actions = [action for action, _ in audited.noted()]
    assert actions == ["upload", "analyse", "upload", "analyse", "delete"]
    assert len({user for _, user in audited.noted()}) == 1


def test_a_login_is_noted_and_refused_where_it_cannot_be(audited: _Audited, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "streamer")
    login = noted(lambda name, password: (name, password) == ("anna", "right"), audited.log)
    assert not login("anna", "wrong")
    assert audited.noted() == []
    assert login("anna", "right")
    assert audited.noted() == [("login", audited.log.pseudonym("anna"))]
    audited.break_log()
    assert not login("anna", "right")
    assert "a login was refused" in caplog.text
