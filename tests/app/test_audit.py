"""Which questions of the page are noted, and how often."""

import asyncio
import json
from collections.abc import Awaitable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import pytest

from streamer.app.api import _answering
from streamer.app.audit import AppAudit
from streamer.errors import OutputError
from streamer.monitoring.audit import AuditLog


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
    audit.note("leave", "s", "anna", [])
    entries = _entries(tmp_path)
    assert [one["action"] for one in entries] == ["upload", "analyse", "view", "view", "export", "delete"]
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
