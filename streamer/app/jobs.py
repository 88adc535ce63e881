"""All jobs of all sessions: two run at a time, the others wait their turn; a session's end frees all it had."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from streamer._memory import return_freed_memory
from streamer.app.job import Job
from streamer.errors import InputError
from streamer.monitoring.metrics import Metrics
from streamer.pipeline.thyroid import Engine

AT_ONCE = 2
_GONE = "this analysis is not here any more; start it again"


class GoneError(InputError):
    """The session has no such analysis: it never had, or it has been replaced, or the session has ended."""


class Jobs:
    """Runs jobs on one engine.

    A session has one job at a time: a new one takes the place of the last.

    Args:
        engine: loaded networks.
        root: folder below which each job has its own.
        metrics: counts frames and failures; nobody counts if None.
        about_to_delete: told of a session and its user before what they had goes: a job, uploads.
    """

    def __init__(
        self,
        engine: Engine,
        root: Path,
        metrics: Metrics | None = None,
        about_to_delete: Callable[[str, str], None] = lambda *_: None,
    ) -> None:
        self.root = root / "jobs"
        self.root.mkdir(mode=0o700, parents=True)
        self.engine = engine
        self._metrics, self._about_to_delete = metrics, about_to_delete
        if metrics is not None:
            metrics.watch_queue("jobs", lambda: len(self._waiting))
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="job")
        self._lock = threading.Lock()
        self._waiting: list[Job] = []
        self._by_session: dict[str, Job] = {}
        self._uploads: dict[str, set[Path]] = {}
        self._users: dict[str, str] = {}

    def admit(self, session: str, user: str, *, new: bool = False) -> None:
        """Let a user into a session; where `new`, one that is nobody's yet becomes theirs.

        Raises:
            GoneError: it is another user's.
        """
        with self._lock:
            owner = self._users.setdefault(session, user) if new else self._users.get(session, user)
        if owner != user:
            raise GoneError(_GONE)

    def submit(self, job: Job) -> None:
        """Run `job` as soon as a worker is free."""
        with self._lock:
            last = self._by_session.get(job.session)
            self._by_session[job.session] = job
            self._waiting.append(job)
            user = self._users.get(job.session, "")
        if last is not None:
            self._about_to_delete(job.session, user)
            self._drop(last)
        self._pool.submit(self._run, job)

    def find(self, token: object, session: str) -> Job:
        """The session's job of that name.

        Raises:
            GoneError: it has none: the name is wrong, another session's, or its job has been replaced.
        """
        with self._lock:
            job = self._by_session.get(session)
        if job is None or job.token != token:
            raise GoneError(_GONE)
        return job

    def place(self, job: Job) -> int:
        """Place in the queue, counted from 1; 0 once it runs."""
        with self._lock:
            return self._waiting.index(job) + 1 if job in self._waiting else 0

    def stop(self, job: Job) -> None:
        """End a job early and keep what was done; one that waits leaves the queue."""
        job.stop()
        self._leave_queue(job)

    def claim(self, session: str, uploads: Sequence[Path]) -> None:
        """Delete these files when the session ends, if no other session has uploaded the same."""
        with self._lock:
            self._uploads.setdefault(session, set()).update(uploads)

    def end_session(self, session: str, *, last: Job | None = None) -> None:
        """Stop the session's job and delete its files and uploads; where `last` is given, only if it is that job."""
        with self._lock:
            if last is not None and self._by_session.get(session) is not last:
                return
            job = self._by_session.pop(session, None)
            uploads = self._uploads.pop(session, set())
            user = self._users.pop(session, "")
            others = Counter(path for paths in self._uploads.values() for path in paths)
        if job is not None or uploads:
            self._about_to_delete(session, user)
        if job is not None:
            self._drop(job)
        for path in uploads:
            if not others[path]:
                path.unlink(missing_ok=True)
                with suppress(OSError):  # the same content under another name
                    path.parent.rmdir()
        return_freed_memory()

    def close(self) -> None:
        """End all jobs and wait for them."""
        with self._lock:
            sessions = {*self._by_session, *self._uploads}
        for session in sessions:
            self.end_session(session)
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, job: Job) -> None:
        self._leave_queue(job)
        job.metrics = self._metrics
        job.execute(self.engine)
        if self._metrics is not None and job.state == "failed":
            self._metrics.failures.labels(kind="job").inc()
        return_freed_memory()

    def _drop(self, job: Job) -> None:
        self._leave_queue(job)
        job.discard()

    def _leave_queue(self, job: Job) -> None:
        with self._lock:
            if job in self._waiting:
                self._waiting.remove(job)
