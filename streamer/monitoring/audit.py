"""Who looked at, uploaded, exported or deleted what: an append-only log in which a gap shows.

Each line holds its number and the SHA-256 of the line before, so that a line that is changed, removed or put in breaks
the chain; `head.json` holds the last number, so that a missing end shows, too. Whoever may write to the folder may
forge all of it: copy it elsewhere, or make its files append-only (`chattr +a`), where that matters. Users and patients
stand as pseudonyms made with the secret in `audit.key`.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import os
import secrets
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from streamer._files import write_whole
from streamer.errors import InputError, OutputError

if sys.platform != "win32":
    import fcntl

_LOG = logging.getLogger(__name__)

Action = Literal["login", "view", "upload", "analyse", "annotate", "export", "delete", "receive", "send"]

_HEAD, _KEY, _LOCK = "head.json", "audit.key", ".lock"
_MAX_BYTES = 16 * 2**20
_FIRST = "0" * 64
_PSEUDONYM_DIGITS = 16
_TAIL_BYTES = 4096  # an entry has about 300


class AuditLog:
    """Appends to the log in a folder; several processes may, at once.

    Args:
        folder: made where missing, readable by its owner only.
        max_bytes: size from which a new file is begun.

    Raises:
        OutputError: the folder cannot be written.
    """

    def __init__(self, folder: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes
        self._thread_lock = threading.Lock()
        with _written(folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._locked():
                self._secret = _secret(folder)

    def pseudonym(self, name: str) -> str:
        """What stands for a user or patient in this log; "" for ""."""
        if not name:
            return ""
        digest = hmac.new(self._secret, name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()
        return digest[:_PSEUDONYM_DIGITS]

    def add(self, action: Action, *, user: str = "", session: str = "", subject: str = "") -> None:
        """Append an entry and bring it to the disk.

        Args:
            action: what was done.
            user: who did it; its pseudonym is written.
            session: the visit or association during which it was done; its pseudonym is written.
            subject: patient, study or file that it was done to; its pseudonym is written.

        Raises:
            OutputError: it cannot be written; what was to be logged should then not happen.
        """
        with _written(self._folder), self._thread_lock, self._locked():
            head, torn = _synced(self._folder, _read_head(self._folder))
            entry: dict[str, Any] = {
                "number": head.number + 1,
                "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
                "action": action,
                "user": self.pseudonym(user),
                "session": self.pseudonym(session),
                "subject": self.pseudonym(subject),
                "before": head.digest,
            }
            line = json.dumps(entry).encode()
            path = self._file(head)
            descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, b"\n" * torn + line + b"\n")
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            now = _Head(number=head.number + 1, digest=hashlib.sha256(line).hexdigest(), file=path.name)
            _write_head(self._folder, now)

    def add_deletion(self, *, user: str = "", session: str = "", subject: str = "") -> None:
        """Append that something is about to be deleted; a log that cannot be written is no reason to keep it.

        Args: as of `add`.
        """
        try:
            self.add("delete", user=user, session=session, subject=subject)
        except OutputError as error:
            _LOG.error("a deletion is not in the audit log: %s", error)

    def _file(self, head: _Head) -> Path:
        current = self._folder / head.file if head.file else None
        if current is not None and (not current.exists() or current.stat().st_size < self._max_bytes):
            return current
        return self._folder / f"audit-{head.number + 1:012d}.jsonl"

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if sys.platform != "win32":
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Head:
    """The last entry that was written."""

    number: int = 0
    digest: str = _FIRST
    file: str = ""


def verify(folder: Path) -> tuple[int, list[str]]:
    """Count the entries of a log, and name every gap.

    Returns:
        Number of entries, and a line for each gap: a line missing, changed, put in, unreadable, or the end missing.

    Raises:
        InputError: there is no log.
    """
    files = sorted(folder.glob("audit-*.jsonl"))
    if not files and not (folder / _HEAD).exists():
        raise InputError(f"there is no audit log in {folder}")
    gaps: list[str] = []
    count, number, digest = 0, 0, _FIRST
    for file in files:
        for at, line in enumerate(file.read_bytes().splitlines(), start=1):
            found = _entry(line)
            gap = _gap(found, number, digest)
            if gap:
                gaps.append(f"{file.name}, line {at}: {gap}")
            count, number = count + 1, number + 1 if found is None else found[0]
            digest = hashlib.sha256(line).hexdigest()
    head, _ = _synced(folder, _read_head(folder))
    if head.number > number:
        gaps.append(f"the end is missing: {head.number} entries were written, the last one here is {number}")
    elif head.number < number:
        gaps.append(f"entries after {head.number} were put in")
    elif head.digest != digest:
        gaps.append(f"entry {number}, the last one, was changed")
    return count, gaps


def _gap(found: tuple[int, str] | None, number: int, digest: str) -> str:
    """What is wrong with an entry after entry `number`, whose line has this digest; "" for nothing."""
    if found is None:
        return "it cannot be read"
    if found[0] != number + 1:
        return f"entry {found[0]} follows entry {number}"
    return "" if found[1] == digest else "the entry before it was changed"


def _synced(folder: Path, head: _Head) -> tuple[_Head, bool]:
    """The head with an entry that a crash kept it from noting, and whether the file ends within a line."""
    files = sorted(folder.glob("audit-*.jsonl"))
    if not files:
        return head, False
    with files[-1].open("rb") as file:
        file.seek(max(file.seek(0, os.SEEK_END) - _TAIL_BYTES, 0))
        tail = file.read()
    torn = bool(tail) and not tail.endswith(b"\n")
    lines = tail.splitlines()
    found = _entry(lines[-1]) if lines and not torn else None
    if found is None or found != (head.number + 1, head.digest):
        return head, torn
    return _Head(number=found[0], digest=hashlib.sha256(lines[-1]).hexdigest(), file=files[-1].name), torn


def _entry(line: bytes) -> tuple[int, str] | None:
    try:
        entry = json.loads(line)
        return int(entry["number"]), str(entry["before"])
    except (ValueError, KeyError, TypeError):
        return None


def _read_head(folder: Path) -> _Head:
    try:
        found = json.loads((folder / _HEAD).read_text())
        return _Head(number=int(found["number"]), digest=str(found["digest"]), file=str(found["file"]))
    except FileNotFoundError:
        return _Head()
    except (ValueError, KeyError, TypeError) as error:
        raise OutputError(f"{folder / _HEAD} is damaged; move the log away and begin a new one") from error


def _write_head(folder: Path, head: _Head) -> None:
    write_whole(folder / _HEAD, json.dumps({"number": head.number, "digest": head.digest, "file": head.file}).encode())


def _secret(folder: Path) -> bytes:
    path = folder / _KEY
    if not path.exists():
        write_whole(path, secrets.token_hex(32).encode())
        path.chmod(0o600)
    return path.read_bytes()


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write the audit log in {folder}: {error.strerror or error}") from error
