"""Where answers are kept: one SQLite file, written at every answer, so that a crash loses none."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from streamer.errors import DataError, OutputError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS study (digest TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS session (reader TEXT PRIMARY KEY, window TEXT NOT NULL, since TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS shown (
  reader TEXT NOT NULL, scenario TEXT NOT NULL, image TEXT NOT NULL, time TEXT NOT NULL,
  PRIMARY KEY (reader, scenario, image));
CREATE TABLE IF NOT EXISTS answer (
  id INTEGER PRIMARY KEY, reader TEXT NOT NULL, scenario TEXT NOT NULL, patient TEXT NOT NULL, image TEXT NOT NULL,
  rating TEXT NOT NULL, time TEXT NOT NULL);
CREATE INDEX IF NOT EXISTS answer_of ON answer (reader, scenario, image);
CREATE TABLE IF NOT EXISTS closed (
  reader TEXT NOT NULL, scenario TEXT NOT NULL, patient TEXT NOT NULL, time TEXT NOT NULL,
  PRIMARY KEY (reader, scenario, patient));
"""


class Elsewhere(Exception):  # noqa: N818  # no fault of anybody's: an answer that the page turns into a question
    """The reader has the study open in another window, which alone may answer."""


class AlreadyClosed(Exception):  # noqa: N818
    """The case is closed: its answers stand."""


class NotShown(Exception):  # noqa: N818
    """The image was never sent to the reader, who cannot have looked at it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """An answer that stands.

    Attributes:
        reader, scenario, patient, image: whose and on what.
        rating: as it was given.
        time: when, UTC.
        seconds: from when the image was first shown to then; None if that is not known.
        changes: how often the reader changed it before the case was closed.
        closed: whether the case is closed.
    """

    reader: str
    scenario: str
    patient: str
    image: str
    rating: str
    time: datetime
    seconds: float | None
    changes: int
    closed: bool


class AnswerStore:
    """The answers of a study. Any thread may use it; every write is on the disk when its call returns.

    Args:
        path: the database; made where missing.
        digest: of the study; another one than it was begun with is refused.

    Raises:
        DataError: the file is no database of this study.
        OutputError: it cannot be written.
    """

    def __init__(self, path: Path, digest: str) -> None:
        self._path, self._lock = path, threading.Lock()
        try:
            self._connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=FULL")  # an answer outlives a power cut
            self._connection.executescript(_SCHEMA)
            known = self._connection.execute("SELECT digest FROM study").fetchone()
            if known is None:
                self._connection.execute("INSERT INTO study VALUES (?)", (digest,))
        except sqlite3.DatabaseError as error:
            raise DataError(f"{path} cannot be used for answers: {error}; move it away, or free the disk") from error
        if known is not None and known[0] != digest:
            self.close()
            raise DataError(
                f"{path} was begun with other cases, scenarios, calls or seed: restore the study file, or move the "
                "answers away to begin anew"
            )

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def enter(self, reader: str, window: str, now: datetime) -> None:
        """Make a window the one that answers for a reader; any other is out from now on."""
        with self._writing() as cursor:
            cursor.execute("INSERT OR REPLACE INTO session VALUES (?, ?, ?)", (reader, window, _text(now)))

    def window_of(self, reader: str) -> str | None:
        """The window that answers for a reader; None before anybody entered."""
        with self._lock:
            row = self._connection.execute("SELECT window FROM session WHERE reader = ?", (reader,)).fetchone()
        return None if row is None else str(row[0])

    def note_shown(self, reader: str, scenario: str, image: str, now: datetime) -> None:
        """Remember when an image was first shown."""
        with self._writing() as cursor:
            cursor.execute("INSERT OR IGNORE INTO shown VALUES (?, ?, ?, ?)", (reader, scenario, image, _text(now)))

    def answer(
        self, reader: str, window: str, scenario: str, patient: str, image: str, rating: str, now: datetime
    ) -> None:
        """Store an answer; one given before stays in the file, but the last one stands.

        Raises:
            Elsewhere: another window answers for the reader.
            AlreadyClosed: the case is closed.
            NotShown: `note_shown` was never called for the image.
        """
        with self._writing() as cursor:
            _own_window(cursor, reader, window)
            _still_open(cursor, reader, scenario, patient)
            _was_shown(cursor, reader, scenario, image)
            cursor.execute(
                "INSERT INTO answer (reader, scenario, patient, image, rating, time) VALUES (?, ?, ?, ?, ?, ?)",
                (reader, scenario, patient, image, rating, _text(now)),
            )

    def close_case(self, reader: str, window: str, scenario: str, patient: str, now: datetime) -> None:
        """Close a case: no answer in it changes from now on.

        Raises:
            Elsewhere: another window answers for the reader.
            AlreadyClosed: it is closed.
        """
        with self._writing() as cursor:
            _own_window(cursor, reader, window)
            _still_open(cursor, reader, scenario, patient)
            cursor.execute("INSERT INTO closed VALUES (?, ?, ?, ?)", (reader, scenario, patient, _text(now)))

    def closed(self, reader: str, scenario: str) -> dict[str, datetime]:
        """Patients whose cases a reader has closed in a scenario, and when."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT patient, time FROM closed WHERE reader = ? AND scenario = ?", (reader, scenario)
            ).fetchall()
        return {patient: datetime.fromisoformat(time) for patient, time in rows}

    def ratings(self, reader: str, scenario: str, patient: str) -> dict[str, str]:
        """The answers that stand in a case, by image."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT image, rating FROM answer WHERE reader = ? AND scenario = ? AND patient = ? ORDER BY id",
                (reader, scenario, patient),
            ).fetchall()
        return dict(rows)

    def answers(self) -> list[Answer]:
        """All answers that stand, ordered by the time at which they were given."""
        query = """
            SELECT a.reader, a.scenario, a.patient, a.image, a.rating, a.time, s.time,
              (SELECT COUNT(*) - 1 FROM answer b
                WHERE b.reader = a.reader AND b.scenario = a.scenario AND b.image = a.image),
              EXISTS (SELECT 1 FROM closed c
                WHERE c.reader = a.reader AND c.scenario = a.scenario AND c.patient = a.patient)
            FROM answer a
            LEFT JOIN shown s ON s.reader = a.reader AND s.scenario = a.scenario AND s.image = a.image
            WHERE a.id = (SELECT MAX(id) FROM answer b
              WHERE b.reader = a.reader AND b.scenario = a.scenario AND b.image = a.image)
            ORDER BY a.id"""
        with self._lock:
            rows = self._connection.execute(query).fetchall()
        return [
            Answer(
                reader=reader, scenario=scenario, patient=patient, image=image, rating=rating,
                time=datetime.fromisoformat(time), changes=changes, closed=bool(closed),
                seconds=None if shown is None
                else (datetime.fromisoformat(time) - datetime.fromisoformat(shown)).total_seconds(),
            )
            for reader, scenario, patient, image, rating, time, shown, changes, closed in rows
        ]  # fmt: skip

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Cursor]:
        """A transaction; on the disk when the block ends, or undone.

        Raises:
            OutputError: the disk is full or the file is gone.
        """
        with self._lock, closing(self._connection.cursor()) as cursor:
            try:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    yield cursor
                except BaseException:
                    cursor.execute("ROLLBACK")
                    raise
                cursor.execute("COMMIT")
            except sqlite3.DatabaseError as error:
                raise OutputError(f"cannot write to {self._path}: {error}") from error


def utc_now() -> datetime:
    """The time, UTC."""
    return datetime.now(UTC)


def _own_window(cursor: sqlite3.Cursor, reader: str, window: str) -> None:
    row = cursor.execute("SELECT window FROM session WHERE reader = ?", (reader,)).fetchone()
    if row is None or row[0] != window:
        raise Elsewhere


def _still_open(cursor: sqlite3.Cursor, reader: str, scenario: str, patient: str) -> None:
    query = "SELECT 1 FROM closed WHERE reader = ? AND scenario = ? AND patient = ?"
    if cursor.execute(query, (reader, scenario, patient)).fetchone() is not None:
        raise AlreadyClosed


def _was_shown(cursor: sqlite3.Cursor, reader: str, scenario: str, image: str) -> None:
    query = "SELECT 1 FROM shown WHERE reader = ? AND scenario = ? AND image = ?"
    if cursor.execute(query, (reader, scenario, image)).fetchone() is None:
        raise NotShown


def _text(time: datetime) -> str:
    return time.isoformat(timespec="milliseconds")
