"""Who is called what: pseudonyms, new UIDs and shifts of dates, the same for the same original."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
from pathlib import Path
from typing import Any

from pydicom.dataset import Dataset

from streamer._files import atomic_path
from streamer.dicom.attributes import text
from streamer.errors import InputError

_LONGEST_SHIFT_DAYS = 3650
_VERSION = 1


class Pseudonyms:
    """Derives all that is new from a secret. Without a file the secret is forgotten, and nothing leads back.

    Args:
        path: file that keeps secret and assignments, so that a later run gives the same; made where missing. Whoever
            has it can lead everything back: it is readable for its owner only, and belongs beside the originals.

    Raises:
        InputError: the file is none of ours.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._kept: dict[str, Any] = {
            "version": _VERSION,
            "secret": secrets.token_hex(32),
            "patients": {},
            "uids": {},
            "files": {},
        }
        if path is not None and path.exists():
            self._kept = _read(path)
        self._secret = bytes.fromhex(self._kept["secret"])

    def patient(self, header: Dataset) -> str:
        """Pseudonym of the patient whom a header names; by identifier and issuer, else by name and date of birth."""
        keywords = (
            ("PatientID", "IssuerOfPatientID") if text(header, "PatientID") else ("PatientName", "PatientBirthDate")
        )
        original = [text(header, keyword) for keyword in keywords]
        pseudonym = f"ANON-{self._derived('patient', *original)[:6].hex().upper()}"
        self._kept["patients"][pseudonym] = {
            keyword: text(header, keyword) for keyword in ("PatientID", "PatientName", "PatientBirthDate")
        } | {"shift_days": self.shift_days(pseudonym)}
        return pseudonym

    def shift_days(self, pseudonym: str) -> int:
        """By how many days a patient's dates move, always into the past; intervals stay as they are."""
        return -(1 + int.from_bytes(self._derived("shift", pseudonym)[:4], "big") % _LONGEST_SHIFT_DAYS)

    def uid(self, original: str) -> str:
        """A new UID under 2.25 (PS3.5, B.2)."""
        new = f"2.25.{int.from_bytes(self._derived('uid', original)[:16], 'big')}"
        self._kept["uids"][original] = new
        return new

    def note_file(self, source: Path, written: str) -> None:
        """Keep which file became which."""
        self._kept["files"][str(source)] = written

    def save(self) -> None:
        """Write the file, if there is to be one.

        Raises:
            OutputError: it cannot be written.
        """
        if self._path is None:
            return
        with atomic_path(self._path) as partial:
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                json.dump(self._kept, file, indent=1, ensure_ascii=False)

    def _derived(self, *parts: str) -> bytes:
        return hmac.new(self._secret, "\0".join(parts).encode(), hashlib.sha256).digest()


def _read(path: Path) -> dict[str, Any]:
    try:
        kept: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sound = kept["version"] == _VERSION and len(bytes.fromhex(kept["secret"])) == 32
        sound = sound and all(isinstance(kept[name], dict) for name in ("patients", "uids", "files"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{path} is no map of an earlier run; choose another file for --map") from error
    if not sound:
        raise InputError(f"{path} is no map of an earlier run; choose another file for --map")
    return kept
