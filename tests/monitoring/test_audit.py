"""The audit log: names are pseudonyms, rotation, and every gap shows."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from streamer.errors import InputError, OutputError
from streamer.monitoring.audit import AuditLog, verify


@pytest.fixture
def log(tmp_path: Path) -> AuditLog:
    log = AuditLog(tmp_path / "audit")
    for number in range(4):
        log.add("view", user="Dr. Who", subject=f"PATIENT^{number}")
    return log


@pytest.fixture
def folder(log: AuditLog, tmp_path: Path) -> Path:
    return tmp_path / "audit"


def _file(folder: Path) -> Path:
    return next(folder.glob("audit-*.jsonl"))


def test_entries_are_numbered_and_name_nobody(folder: Path) -> None:
    entries = [json.loads(line) for line in _file(folder).read_text().splitlines()]
    assert [entry["number"] for entry in entries] == [1, 2, 3, 4]
    assert len({entry["user"] for entry in entries}) == 1
    assert len({entry["subject"] for entry in entries}) == 4
    assert "Who" not in _file(folder).read_text()
    assert "PATIENT" not in _file(folder).read_text()
    assert verify(folder) == (4, [])


def test_only_its_owner_may_read_it(folder: Path) -> None:
    assert (folder.stat().st_mode & 0o777, _file(folder).stat().st_mode & 0o777) == (0o700, 0o600)
    assert (folder / "audit.key").stat().st_mode & 0o777 == 0o600


def test_a_later_process_goes_on_with_the_same_pseudonyms(folder: Path) -> None:
    AuditLog(folder).add("export", user="Dr. Who")
    entries = [json.loads(line) for line in _file(folder).read_text().splitlines()]
    assert (entries[4]["number"], entries[4]["user"]) == (5, entries[0]["user"])
    assert verify(folder) == (5, [])


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda lines: [lines[0], *lines[2:]], "line 2: entry 3 follows entry 1"),
        (lambda lines: [lines[0], lines[1].replace("view", "send"), *lines[2:]], "line 3: the entry before it was"),
        (lambda lines: [lines[0], "nonsense", *lines[2:]], "line 2: it cannot be read"),
        (lambda lines: lines[:3], "the end is missing: 4 entries were written, the last one here is 3"),
        (lambda lines: [*lines[:3], lines[3].replace("view", "send")], "entry 4, the last one, was changed"),
        (lambda lines: [*lines, lines[3].replace('"number": 4', '"number": 5')], "the entry before it was changed"),
    ],
)  # fmt: skip
def test_a_gap_shows(folder: Path, change: object, expected: str) -> None:
    lines = _file(folder).read_text().splitlines()
    _file(folder).write_text("\n".join(change(lines)) + "\n")  # type: ignore[operator]
    assert any(expected in gap for gap in verify(folder)[1])


def test_files_are_rotated_and_a_missing_one_shows(tmp_path: Path) -> None:
    log = AuditLog(tmp_path, max_bytes=300)
    for _ in range(6):
        log.add("login", user="a")
    files = sorted(tmp_path.glob("audit-*.jsonl"))
    assert len(files) == 3
    assert verify(tmp_path) == (6, [])
    files[1].unlink()
    assert verify(tmp_path)[1] == [f"{files[2].name}, line 1: entry 5 follows entry 2"]


def test_a_crash_between_the_entry_and_its_note_leaves_no_gap(folder: Path) -> None:
    head = (folder / "head.json").read_text()
    AuditLog(folder).add("view", subject="x")
    (folder / "head.json").write_text(head)
    assert verify(folder) == (5, [])
    AuditLog(folder).add("view", subject="y")
    assert verify(folder) == (6, [])


def test_a_line_that_was_cut_by_a_crash_shows_and_spoils_no_other(folder: Path) -> None:
    with _file(folder).open("a") as file:
        file.write('{"number": 5, "ti')
    AuditLog(folder).add("view", subject="y")
    count, gaps = verify(folder)
    assert count == 6
    assert gaps[0].endswith("line 5: it cannot be read")


def test_many_threads_and_logs_make_one_chain(tmp_path: Path) -> None:
    logs = [AuditLog(tmp_path) for _ in range(3)]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda number: logs[number % 3].add("view", subject=str(number)), range(24)))
    assert verify(tmp_path) == (24, [])


def test_no_log_and_no_place_for_one_are_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no audit log"):
        verify(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot write the audit log"):
        AuditLog(tmp_path / "file" / "audit")
