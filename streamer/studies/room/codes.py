"""Who may read: a code for each reader, made once, or a login file of one's own."""

from __future__ import annotations

import hmac
import os
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path

from streamer.errors import DataError, OutputError, SettingsError
from streamer.studies.csv_file import csv_text, read_rows
from streamer.studies.room.study_file import ADMINISTRATOR, ReadingStudy

_MAX_FAILURES = 10
_PAUSE_S = 60.0
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # nothing that is taken for something else when read aloud


class Logins:
    """Tells whether a name and a code belong together; after ten wrong codes a name rests for a minute.

    Args:
        codes: by name.
        clock: seconds, for the rest.
    """

    def __init__(self, codes: dict[str, str], clock: Callable[[], float] = time.monotonic) -> None:
        self._codes = {name: code.encode() for name, code in codes.items()}
        self._clock, self._lock = clock, threading.Lock()
        self._failures: dict[str, tuple[int, float]] = {}

    def is_right(self, name: str, code: str) -> bool:
        """Whether the code is the name's, and the name is not at rest."""
        with self._lock:
            failures, since = self._failures.get(name, (0, 0.0))
            if failures >= _MAX_FAILURES:
                if self._clock() - since < _PAUSE_S:
                    return False
                failures = 0
            expected = self._codes.get(name, b"\0")
            if hmac.compare_digest(expected, code.encode(errors="replace")) and name in self._codes:
                self._failures.pop(name, None)
                return True
            if name in self._codes:
                self._failures[name] = (failures + 1, self._clock())
            return False


def load_codes(study: ReadingStudy) -> dict[str, str]:
    """The study's codes; made for readers who have none yet.

    Raises:
        OutputError: the file cannot be written.
        SettingsError: it cannot be read.
    """
    path = study.codes
    codes: dict[str, str] = {}
    if path.exists():
        try:
            codes = {row["name"]: row["code"] for _, row in read_rows(path, ("name", "code"))}
        except DataError as error:
            raise SettingsError(f"cannot read the access codes {path}: delete the file to make new ones") from error
    names = [*(reader.name for reader in study.file.readers), ADMINISTRATOR]
    if all(codes.get(name) for name in names):
        return codes
    codes |= {name: _code() for name in names if not codes.get(name)}
    text = csv_text(("name", "code"), [(name, code) for name, code in codes.items() if name in names])
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise OutputError(f"cannot write the access codes {path}: {error.strerror}") from error
    return codes


def codes_of_file(path: Path, study: ReadingStudy) -> dict[str, str]:
    """Codes of a login file, a line "name:password" each, which must name every reader and the administrator.

    Raises:
        SettingsError: the file cannot be read, or somebody is missing.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"cannot read the login file {path}") from error
    codes = {
        name: password
        for name, found, password in (line.strip().partition(":") for line in lines if not line.startswith("#"))
        if found and name and password
    }
    for name in (*(reader.name for reader in study.file.readers), ADMINISTRATOR):
        if name not in codes:
            raise SettingsError(f'{path} has no line "{name}:PASSWORD"')
    return codes


def _code() -> str:
    return "-".join("".join(secrets.choice(_ALPHABET) for _ in range(4)) for _ in range(3))
