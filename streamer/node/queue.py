"""The queue on disk: what was received, what is to be analysed, what is to be sent, what is to be confirmed.

SQLite holds the state, a folder each the objects and the results. Every step is one transaction that is on the disk
when its call returns, and none is half done: the process may be killed at any moment.

- An object is acknowledged after its file and its row are on the disk.
- It belongs to one job, and a job's end and the results it leaves to send are one transaction: what was acknowledged
  is analysed exactly once, as seen from outside. A job that was running when the process ended runs again; nothing of
  its first attempt was sent.
- A result is marked as sent after the receiver has confirmed it: it is sent at least once.
"""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from streamer._files import lock_folder, sync_to_disk
from streamer.errors import OutputError
from streamer.node.queue_database import DATABASE, open_database
from streamer.node.queue_status import read_status
from streamer.node.records import Commitment, Delivery, Job, QueueStatus, Received

_FIRST_WAIT_S, _LONGEST_WAIT_S = 5.0, 3600.0
_TOGETHER_S = 2.0
"""Results that failed in one call are due one shortly after the other."""
_MAX_ATTEMPTS = 5
"""Of an analysis that ends in an error which the file may be to blame for, such as too little memory."""


class Queue:
    """The state of a node in a folder of its own.

    Args:
        folder: made where missing, readable for its owner only.
        quiet_s: a study is due when nothing of it has arrived for so long.
        now_s: the clock, seconds since the epoch.
        exclusive: hold the folder against other processes, and take up what a killed one has left.

    Raises:
        OutputError: the folder cannot be used, or another process uses it.
    """

    def __init__(
        self, folder: Path, *, quiet_s: float = 30.0, now_s: Callable[[], float] = time.time, exclusive: bool = True
    ) -> None:
        self.folder, self._quiet_s, self._now_s = folder.absolute(), quiet_s, now_s
        self.incoming, self._instances, self._results = (
            self.folder / name for name in ("incoming", "instances", "results")
        )
        self._lock = threading.RLock()
        self._held: int | None = None
        try:
            for path in (self.folder, self.incoming, self._instances, self._results):
                path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if exclusive:
                self._held = lock_folder(self.folder)
                if self._held is None:
                    raise OutputError(f"another node uses {folder}: end it, or choose another --folder")
            self._base = open_database(self.folder)
            if exclusive:
                self._recover()
        except (OSError, sqlite3.Error) as error:
            self._release()
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise OutputError(f"the queue in {folder} cannot be used: {reason}; choose another --folder") from error

    def close(self) -> None:
        """Let another process use the folder."""
        with self._lock:
            self._base.close()
            self._release()

    def receive(self, arrived: Received) -> bool:
        """Take an object over: when this returns, it is safe. False for one that is there already.

        The file is moved. One that came before under the same UID is kept: it is the same object by definition. Where
        its analysis has failed it is tried anew.

        Raises:
            OSError, sqlite3.Error: it cannot be kept; it must not be acknowledged.
        """
        name = hashlib.sha256(arrived.sop_uid.encode()).hexdigest()[:32] + ".dcm"
        sync_to_disk(arrived.path)
        with self._lock:
            target = self._instances / name
            known = self._one("SELECT 1 FROM instances WHERE sop_uid = ?", arrived.sop_uid)
            if known is not None and target.is_file():
                arrived.path.unlink(missing_ok=True)
                self._try_anew(arrived.sop_uid)
                return False
            arrived.path.replace(target)
            sync_to_disk(self._instances)
            with self._base:
                self._base.execute(
                    "INSERT INTO instances (sop_uid, class_uid, study_uid, file, received_s) VALUES (?, ?, ?, ?, ?) "
                    "ON CONFLICT DO NOTHING",
                    (arrived.sop_uid, arrived.class_uid, arrived.study_uid, name, self._now_s()),
                )
        return known is None

    def claim(self) -> Job | None:
        """The next job, now running; None where none is due. Those that were tried least come first."""
        with self._lock, self._base:
            self._open_jobs()
            row = self._one(
                "SELECT id FROM jobs WHERE state = 'waiting' AND due_s <= ? ORDER BY attempts, id LIMIT 1",
                self._now_s(),
            )
            if row is None:
                return None
            number = int(row[0])
            self._base.execute("UPDATE jobs SET state = 'running', attempts = attempts + 1 WHERE id = ?", (number,))
            rows = self._base.execute(
                "SELECT file, study_uid FROM instances WHERE job = ? ORDER BY file", (number,)
            ).fetchall()
            return Job(
                number=number,
                files=tuple(self._instances / file for file, _ in rows),
                output=self._results / f"{number:06d}",
                study_uid=next((study for _, study in rows), ""),
            )

    def finish(self, job: Job, results: Sequence[Path], destinations: Sequence[str], *, reason: str = "") -> None:
        """A job is done, and its results are to be sent: in one step.

        Args:
            job: as claimed.
            results: files in its folder.
            destinations: where each of them is sent.
            reason: what could not be analysed; "" for nothing.
        """
        now = self._now_s()
        for path in (*results, *{path.parent for path in results}):
            sync_to_disk(path)
        rows = [
            (job.number, path.relative_to(self._results).as_posix(), destination, now)
            for path in results
            for destination in destinations
        ]
        with self._lock, self._base:
            self._base.executemany("INSERT INTO deliveries (job, file, destination, due_s) VALUES (?, ?, ?, ?)", rows)
            self._end(job, "failed" if reason and not results else "done", reason)

    def fail(self, job: Job, reason: str) -> None:
        """A job can never be done."""
        with self._lock, self._base:
            self._end(job, "failed", reason)

    def postpone(self, job: Job, reason: str, *, for_ever: bool = False) -> bool:
        """A job met an error that may pass: it is tried again later, False if it was tried often enough."""
        with self._lock, self._base:
            (attempts,) = self._one("SELECT attempts FROM jobs WHERE id = ?", job.number) or (0,)
            if attempts >= _MAX_ATTEMPTS and not for_ever:
                self._end(job, "failed", reason)
                return False
            self._base.execute(
                "UPDATE jobs SET state = 'waiting', due_s = ?, reason = ? WHERE id = ?",
                (self._now_s() + wait_s(attempts), reason, job.number),
            )
            return True

    def give_back(self, job: Job) -> None:
        """A job was stopped on the way: it waits as before."""
        with self._lock, self._base:
            self._base.execute("UPDATE jobs SET state = 'waiting', attempts = attempts - 1 WHERE id = ?", (job.number,))

    def due_deliveries(self, destination: str, limit: int = 100) -> list[Delivery]:
        """What is to be sent there now, oldest first, with what is due in a moment: one call serves them all."""
        now, waiting = self._now_s(), "FROM deliveries WHERE destination = ? AND sent_s IS NULL AND due_s <= ?"
        with self._lock:
            if self._one(f"SELECT 1 {waiting}", destination, now) is None:
                return []
            rows = self._base.execute(
                f"SELECT id, job, file {waiting} ORDER BY id LIMIT ?", (destination, now + _TOGETHER_S, limit)
            ).fetchall()
        return [
            Delivery(number=number, job=job, file=self._results / file, destination=destination)
            for number, job, file in rows
        ]

    def delivered(self, delivery: Delivery) -> None:
        """A result has arrived."""
        with self._lock, self._base:
            self._base.execute(
                "UPDATE deliveries SET sent_s = ?, reason = '' WHERE id = ?", (self._now_s(), delivery.number)
            )

    def not_delivered(self, delivery: Delivery, reason: str) -> float:
        """A result was not taken: it is sent again after a wait, which is returned, in seconds; for ever."""
        with self._lock, self._base:
            row = self._one("SELECT attempts FROM deliveries WHERE id = ?", delivery.number) or (0,)
            attempts = int(row[0]) + 1
            wait = wait_s(attempts)
            self._base.execute(
                "UPDATE deliveries SET attempts = ?, due_s = ?, reason = ? WHERE id = ?",
                (attempts, self._now_s() + wait, reason, delivery.number),
            )
        return wait

    def ask_commitment(self, transaction_uid: str, aet: str, objects: Sequence[tuple[str, str]]) -> None:
        """Keep a sender's question for an answer. What of its objects is there counts as complete: no quiet is awaited.

        Args:
            transaction_uid: names the question.
            aet: of the sender.
            objects: class and instance UIDs.
        """
        with self._lock, self._base:
            self._base.execute(
                "INSERT INTO commitments (transaction_uid, aet, objects, due_s) VALUES (?, ?, ?, ?)",
                (transaction_uid, aet, json.dumps([list(pair) for pair in objects]), self._now_s()),
            )
            self._base.executemany(
                "UPDATE instances SET committed = 1 WHERE sop_uid = ?", [(uid,) for _, uid in objects]
            )

    def due_commitments(self) -> list[Commitment]:
        """Questions to be answered now, and the answers."""
        with self._lock:
            rows = self._base.execute(
                "SELECT id, transaction_uid, aet, objects FROM commitments WHERE answered_s IS NULL AND due_s <= ? "
                "ORDER BY id",
                (self._now_s(),),
            ).fetchall()
            return [self._commitment(*row) for row in rows]

    def answered(self, commitment: Commitment) -> None:
        """A sender knows."""
        with self._lock, self._base:
            self._base.execute("UPDATE commitments SET answered_s = ? WHERE id = ?", (self._now_s(), commitment.number))

    def not_answered(self, commitment: Commitment) -> float:
        """A sender could not be told: it is told after a wait, which is returned, in seconds."""
        with self._lock, self._base:
            row = self._one("SELECT attempts FROM commitments WHERE id = ?", commitment.number) or (0,)
            attempts = int(row[0]) + 1
            wait = wait_s(attempts)
            self._base.execute(
                "UPDATE commitments SET attempts = ?, due_s = ? WHERE id = ?",
                (attempts, self._now_s() + wait, commitment.number),
            )
        return wait

    def status(self) -> QueueStatus:
        """How much waits where."""
        with self._lock:
            return read_status(self._base)

    def prune(self, keep_s: float, about_to: Callable[[str], None] = lambda _: None) -> int:
        """Delete objects and results of jobs that ended longer ago than that and have nothing left to send.

        Args:
            keep_s: how long they are kept.
            about_to: told the study of each job, before it goes.

        Returns:
            The number of such jobs.
        """
        with self._lock:
            jobs = self._base.execute(
                "SELECT id, (SELECT study_uid FROM instances WHERE job = jobs.id LIMIT 1) FROM jobs "
                "WHERE state IN ('done', 'failed') AND ended_s < ? AND NOT EXISTS "
                "(SELECT 1 FROM deliveries WHERE deliveries.job = jobs.id AND sent_s IS NULL)",
                (self._now_s() - keep_s,),
            ).fetchall()
            for job, study in jobs:
                about_to(study or "")
                self._forget(int(job))
        return len(jobs)

    def _forget(self, job: int) -> None:
        files = self._base.execute("SELECT file FROM instances WHERE job = ?", (job,)).fetchall()
        with self._base:  # rows first: a file without a row is swept up, a row without its file would be a lie
            self._base.execute("DELETE FROM deliveries WHERE job = ?", (job,))
            self._base.execute("DELETE FROM instances WHERE job = ?", (job,))
            self._base.execute("DELETE FROM jobs WHERE id = ?", (job,))
        for (file,) in files:
            (self._instances / file).unlink(missing_ok=True)
        for path in sorted((self._results / f"{job:06d}").rglob("*"), reverse=True):
            with suppress(OSError):
                path.unlink() if not path.is_dir() else path.rmdir()
        with suppress(OSError):
            (self._results / f"{job:06d}").rmdir()

    def sweep_incoming(self, older_s: float = 600.0) -> None:
        """Delete what associations have left that broke off; those under way write to their files all the time."""
        for path in self.incoming.iterdir():
            with suppress(OSError):
                if path.stat().st_mtime < time.time() - older_s:
                    path.unlink()

    def _recover(self) -> None:
        """Take up what a killed process has left: jobs that ran wait again, files that nobody was told of go."""
        with self._base:
            self._base.execute("UPDATE jobs SET state = 'waiting' WHERE state = 'running'")
        known = {file for (file,) in self._base.execute("SELECT file FROM instances")}
        for path in self._instances.iterdir():
            if path.name not in known:
                path.unlink()
        self.sweep_incoming(older_s=0.0)

    def _open_jobs(self) -> None:
        """A job for each study that is quiet or committed. A clock that was set back does not keep it waiting."""
        now = self._now_s()
        due = self._base.execute(
            "SELECT study_uid FROM instances WHERE job IS NULL GROUP BY study_uid "
            "HAVING MAX(received_s) <= ? OR MIN(received_s) > ? OR MIN(committed) = 1",
            (now - self._quiet_s, now + self._quiet_s),
        ).fetchall()
        for (study,) in due:
            job = self._base.execute("INSERT INTO jobs (state, due_s) VALUES ('waiting', ?)", (now,)).lastrowid
            self._base.execute("UPDATE instances SET job = ? WHERE job IS NULL AND study_uid = ?", (job, study))

    def _commitment(self, number: int, transaction_uid: str, aet: str, objects: str) -> Commitment:
        kept: list[tuple[str, str]] = []
        missing: list[tuple[str, str]] = []
        for class_uid, sop_uid in json.loads(objects):
            row = self._one("SELECT file FROM instances WHERE sop_uid = ? AND class_uid = ?", sop_uid, class_uid)
            there = row is not None and (self._instances / row[0]).is_file()
            (kept if there else missing).append((class_uid, sop_uid))
        return Commitment(
            number=number, transaction_uid=transaction_uid, aet=aet, kept=tuple(kept), missing=tuple(missing)
        )

    def _try_anew(self, sop_uid: str) -> None:
        with self._base:
            self._base.execute(
                "UPDATE jobs SET state = 'waiting', attempts = 0, due_s = ?, ended_s = NULL "
                "WHERE state = 'failed' AND id = (SELECT job FROM instances WHERE sop_uid = ?)",
                (self._now_s(), sop_uid),
            )

    def _end(self, job: Job, state: str, reason: str) -> None:
        self._base.execute(
            "UPDATE jobs SET state = ?, reason = ?, ended_s = ? WHERE id = ?",
            (state, reason, self._now_s(), job.number),
        )

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._base.execute(query, values).fetchone()
        return row

    def _release(self) -> None:
        if self._held is not None:
            os.close(self._held)
            self._held = None


def wait_s(attempts: int) -> float:
    """How long to wait after so many attempts: 5 s, doubled each time, an hour at most.

    Example:
        >>> [wait_s(1), wait_s(2), wait_s(50)]
        [5.0, 10.0, 3600.0]
    """
    return float(min(_FIRST_WAIT_S * 2 ** min(attempts - 1, 20), _LONGEST_WAIT_S))


@contextmanager
def opened(folder: Path) -> Iterator[Queue]:
    """The queue in a folder, beside the process that works on it.

    Raises:
        OutputError: there is none.
    """
    if not (folder / DATABASE).is_file():
        raise OutputError(f"{folder} holds no queue; name the folder of `streamer dicom serve` with --folder")
    queue = Queue(folder, exclusive=False)
    try:
        yield queue
    finally:
        queue.close()
