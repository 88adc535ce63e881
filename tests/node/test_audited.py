"""What a node notes of whom: received, analysed, sent, deleted; and what it does where it cannot note."""

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamer.monitoring.audit import AuditLog
from streamer.node import send
from streamer.node.peers import Peer
from streamer.node.queue import Queue
from streamer.node.receive import ReceiverSettings
from streamer.node.records import Received
from streamer.node.send import send_to_node
from streamer.node.serve import Node, NodeSettings
from tests.dicom_files import cine_dataset, write_dicom
from tests.node.in_process import DiscJobs

_WEB = "http://127.0.0.1:9/dicom-web"
_STUDY = "1.2.9"


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    return AuditLog(tmp_path / "audit")


@pytest.fixture
def node(tmp_path: Path, log: AuditLog) -> Iterator[Node]:
    """A node that was not started: its steps are taken one by one."""
    receiver = ReceiverSettings(aet="STREAMER", port=0, allowed=(), timeout_s=10)
    settings = NodeSettings(receiver=receiver, folder=tmp_path / "node", destinations=(_WEB,), quiet_s=0, keep_days=0.0)
    made = Node(settings, DiscJobs(), audit=log)
    yield made
    made._receiver.close()
    made.queue.close()


def _entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for file in sorted(folder.glob("audit-*")) for line in file.read_text().splitlines()]


def _spoil(folder: Path) -> None:
    (folder / "head.json").write_text("nonsense")


def _finished(queue: Queue, tmp_path: Path) -> Path:
    """A job with one result that is to be sent; the result."""
    arrived = tmp_path / "arrived"
    arrived.write_bytes(b"object")
    queue.receive(Received(path=arrived, sop_uid="1.2.1", class_uid="1.2.3", study_uid=_STUDY))
    job = queue.claim()
    assert job is not None
    result = job.output / "report.dcm"
    result.parent.mkdir(parents=True)
    result.write_bytes(b"result")
    queue.finish(job, [result], [_WEB])
    return result


@pytest.fixture
def posted(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """What went out to a server that takes everything."""
    sent: list[Path] = []

    def post(_: httpx.Client, path: Path) -> None:
        sent.append(path)

    monkeypatch.setattr(send, "_posted", post)
    return sent


def test_an_analysis_is_noted_with_its_study_or_waits(node: Node, tmp_path: Path, log: AuditLog) -> None:
    arrived = tmp_path / "arrived"
    arrived.write_bytes(b"object")
    node._receive(Received(path=arrived, sop_uid="1.2.1", class_uid="1.2.3", study_uid=_STUDY))
    kept = (tmp_path / "audit" / "head.json").read_text()
    _spoil(tmp_path / "audit")
    node._analyse()
    assert node.queue.status().jobs == {"waiting": 1}
    assert "damaged" in node.queue.status().failures[0]
    (tmp_path / "audit" / "head.json").write_text(kept)
    with node.queue._base as base:
        base.execute("UPDATE jobs SET due_s = 0")
    node._analyse()
    entries = _entries(tmp_path / "audit")
    assert [(one["action"], one["subject"]) for one in entries] == [
        ("receive", log.pseudonym(_STUDY)),
        ("analyse", log.pseudonym(_STUDY)),
    ]


def test_a_result_is_noted_and_sent_once(node: Node, tmp_path: Path, log: AuditLog, posted: list[Path]) -> None:
    result = _finished(node.queue, tmp_path)
    node._send(_WEB)
    node._send(_WEB)
    assert posted == [result]
    (entry,) = _entries(tmp_path / "audit")
    assert (entry["action"], entry["user"]) == ("send", log.pseudonym(_WEB))


def test_what_cannot_be_noted_does_not_go_out_and_goes_once_later(
    node: Node, tmp_path: Path, posted: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.node.queue.wait_s", lambda _: 0.0)
    result = _finished(node.queue, tmp_path)
    _spoil(tmp_path / "audit")
    node._send(_WEB)
    node._send(_WEB)
    assert posted == []
    assert "it cannot be noted: " in node.queue.status().failures[0]
    (tmp_path / "audit" / "head.json").unlink()
    node._send(_WEB)
    node._send(_WEB)
    assert posted == [result]
    assert node.queue.status().unsent == 0


@pytest.mark.parametrize("broken", [False, True])
def test_a_deletion_is_noted_and_done_in_any_case(
    node: Node, tmp_path: Path, log: AuditLog, posted: list[Path], caplog: pytest.LogCaptureFixture, broken: bool
) -> None:
    caplog.set_level(logging.ERROR, "streamer")
    result = _finished(node.queue, tmp_path)
    node._send(_WEB)
    if broken:
        _spoil(tmp_path / "audit")
    node._tidied_s = -1e9
    node._tidy()
    assert posted
    assert not result.exists()
    assert node.queue.status().jobs == {}
    entries = _entries(tmp_path / "audit")[1:]
    assert [(one["action"], one["subject"]) for one in entries] == [("delete", log.pseudonym(_STUDY))] * (not broken)
    assert ("a deletion is not in the audit log" in caplog.text) == broken


def test_an_object_that_cannot_be_noted_is_refused_for_now_and_not_kept(node: Node, tmp_path: Path) -> None:
    write_dicom(tmp_path / "us.dcm", cine_dataset(2, samples=1), bytes(2 * 48 * 64))
    peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port)
    said: list[str | None] = []
    head = tmp_path / "audit" / "head.json"
    for content in ("nonsense", None):
        head.unlink(missing_ok=True)
        if content:
            head.write_text(content)
        send_to_node([tmp_path / "us.dcm"], peer, aet="SCANNER", outcome=lambda _, reason: said.append(reason))
        assert node.queue.status().arriving == (content is None)
    assert said == ["the receiver answers with status A700", None]
