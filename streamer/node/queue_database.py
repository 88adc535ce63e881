"""The queue's database: its tables, and how it is opened."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from streamer.errors import OutputError

DATABASE = "queue.sqlite"
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE instances (
    sop_uid TEXT PRIMARY KEY, class_uid TEXT NOT NULL, study_uid TEXT NOT NULL, file TEXT NOT NULL,
    received_s REAL NOT NULL, committed INTEGER NOT NULL DEFAULT 0, job INTEGER REFERENCES jobs (id)
);
CREATE INDEX unassigned ON instances (study_uid) WHERE job IS NULL;
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY, state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, due_s REAL NOT NULL,
    reason TEXT NOT NULL DEFAULT '', ended_s REAL
);
CREATE TABLE deliveries (
    id INTEGER PRIMARY KEY, job INTEGER NOT NULL REFERENCES jobs (id), file TEXT NOT NULL, destination TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_s REAL NOT NULL, reason TEXT NOT NULL DEFAULT '', sent_s REAL,
    UNIQUE (file, destination)
);
CREATE TABLE commitments (
    id INTEGER PRIMARY KEY, transaction_uid TEXT NOT NULL, aet TEXT NOT NULL, objects TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0, due_s REAL NOT NULL, answered_s REAL
);
"""


def open_database(folder: Path) -> sqlite3.Connection:
    """The database in a folder, made where there is none; what is committed is on the disk, for its owner only.

    Raises:
        OutputError: it is of another version.
        OSError, sqlite3.Error: it cannot be used.
    """
    base = sqlite3.connect(folder / DATABASE, check_same_thread=False, timeout=30)
    try:
        _prepare(base, folder)
    except BaseException:
        base.close()
        raise
    return base


def _prepare(base: sqlite3.Connection, folder: Path) -> None:
    (version,) = base.execute("PRAGMA user_version").fetchone()
    if version not in (0, _SCHEMA_VERSION):
        raise OutputError(f"{folder} holds the queue of another version of streamer; choose another --folder")
    base.execute("PRAGMA journal_mode = WAL")
    base.execute("PRAGMA synchronous = FULL")
    base.execute("PRAGMA foreign_keys = ON")
    if version == 0:
        base.executescript(f"BEGIN; {_SCHEMA} PRAGMA user_version = {_SCHEMA_VERSION}; COMMIT;")
    (folder / DATABASE).chmod(0o600)
