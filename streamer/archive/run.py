"""The archive's driver: lists, hands clips to an executor, writes what comes back, and can be killed at any moment."""

from __future__ import annotations

import json
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from streamer.archive.clips import ClipTask, Failure, Outcome
from streamer.archive.executor import Claim, Executor
from streamer.archive.index import DoneIndex, Wanted, hash64
from streamer.archive.keys import clip_key
from streamer.archive.patients import write_patients
from streamer.archive.pictures import PICTURES
from streamer.archive.plan import PendingWork
from streamer.archive.store import Batch, Store
from streamer.archive.target import Target
from streamer.errors import InputError, StreamerError
from streamer.version import __version__

_FLUSH_S = 20.0
"""At most so much work is done again after a kill of the driver."""
_FLUSH_CLIPS = 500
_FLUSH_FRAMES = 50_000  # about 50 MB
_FETCH_FAILURES = 20
"""So many files in a row that cannot be had are no longer about the files: the storage is gone."""
_ARCHIVE_JSON = "archive.json"
_SECRET = "pseudonyms.key"


@dataclass(slots=True)
class Counts:
    """How far a run is.

    Attributes:
        listed: clips found.
        done_before: those done by earlier runs.
        to_do: those that this run is to do.
        finished: those of them that are done, whatever came of them.
        failures: by kind.
        duplicates: clips whose content was there already.
        frames: frames analysed, those of unfinished clips included.
        seconds: since the first clip was begun.
        stopped: whether it ended before all was done.
        patients: patients in the archive, at the end.
    """

    listed: int = 0
    done_before: int = 0
    to_do: int = 0
    finished: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    duplicates: int = 0
    frames: int = 0
    seconds: float = 0.0
    stopped: bool = False
    patients: int = 0

    @property
    def frames_per_second(self) -> float:
        """Frames analysed over time."""
        return self.frames / self.seconds if self.seconds > 0 else 0.0


Listener = Callable[[Counts], None]


class ArchiveRun:
    """One run into an archive.

    Args:
        target: where the tables go.
        store: the tables of this analysis in it.
        index: what they hold.
        analysis: its name.
        on_progress: told the counts after every outcome and at least every second.
        should_stop: asked before each clip; once True, what has begun is finished.
        wanted: what is wanted of each clip.
        pictures: whether a sample of pictures is kept for the page.
    """

    def __init__(
        self,
        target: Target,
        store: Store,
        index: DoneIndex,
        *,
        analysis: str,
        on_progress: Listener = lambda _: None,
        should_stop: Callable[[], bool] = lambda: False,
        wanted: Wanted = Wanted(),  # noqa: B008 (frozen)
        pictures: bool = True,
    ) -> None:
        self._target, self._store, self._index, self._analysis = target, store, index, analysis
        self._on_progress, self._should_stop = on_progress, should_stop
        self._wanted = wanted
        self.counts = Counts()
        self._rows: list[dict[str, Any]] = []
        self._nodules: list[Any] = []
        self._frame_rows: list[Any] = []
        self._replaced: dict[int, int] = {}
        self._touched: dict[int, tuple[int, dict[str, str]]] = {}
        self._known: set[int] = set()
        self._waiting: dict[str, list[Outcome]] = defaultdict(list)
        self._in_flight: dict[str, str] = {}
        self._pictures = _Pictures(target, analysis) if pictures else None
        self._flushed_s = time.monotonic()
        self._fetch_failures = 0

    def run(self, plan: PendingWork, executor: Executor) -> Counts:
        """Do what is planned.

        Raises:
            StreamerError: the storage, the weights, the device or the disk is gone; what was done before is kept.
        """
        counts = self.counts
        counts.listed, counts.done_before, counts.to_do = plan.listed, plan.done, plan.to_do
        self._store.update(plan.regrouped)
        for one in plan.unlisted:
            self._note(one)
        began_s = time.monotonic()
        try:
            for found in executor.run(self._until_stopped(plan.tasks()), self._claim):
                counts.frames, counts.seconds = executor.frames_done, time.monotonic() - began_s
                if found is not None:
                    counts.finished += 1
                    self._take(found)
                self._on_progress(counts)
                if self._is_due():
                    self._flush()
        except StreamerError:
            self._flush()  # what is done is done; if the disk is what failed, its own line is the same
            raise
        self._flush()
        counts.patients = write_patients(self._store)
        return counts

    def _until_stopped(self, tasks: Iterator[ClipTask]) -> Iterator[ClipTask]:
        for task in tasks:
            if self._should_stop():
                self.counts.stopped = True
                return
            yield task

    def _claim(self, task: ClipTask, digest: str) -> Claim:
        key = clip_key(self._analysis, digest)
        known = self._index.knows(key) or hash64(key) in self._known
        mine = self._in_flight.get(key) == task.uri  # a second attempt, after its process died
        if not mine and (key in self._in_flight or (known and not self._is_lacking(task, key))):
            return Claim(key=key, analyse=False)
        self._in_flight[key] = task.uri
        return Claim(key=key, analyse=True, picture_below=self._pictures.below if self._pictures else "")

    def _is_lacking(self, task: ClipTask, key: str) -> bool:
        """Whether the clip's own earlier result, of the same bytes, lacks what is wanted now."""
        earlier = self._index.find(task, self._wanted)
        same = earlier is not None and earlier.lacking and earlier.key == hash64(key)
        return same and hash64(key) not in self._known

    def _take(self, found: Outcome) -> None:
        key, analysed = found.key, found.result is not None or found.failure is not None
        if found.failure is not None and found.failure.kind == "fetch":
            self._fetch_failures += 1
            if self._fetch_failures >= _FETCH_FAILURES:
                raise InputError(
                    f"{self._fetch_failures} files in a row cannot be had ({found.failure.reason}): is the storage "
                    "gone? Run the same command again once it is back"
                )
        else:
            self._fetch_failures = 0
        if key is not None and not analysed and key in self._in_flight:
            self._waiting[key].append(found)
            return
        self._note(found)
        if key is not None and analysed:
            self._in_flight.pop(key, None)
            for waiting in self._waiting.pop(key, ()):
                self._note(replace(waiting, failure=_same_content(found.failure)))

    def _note(self, found: Outcome) -> None:
        earlier, uri = self._index.find(found.task, self._wanted), hash64(found.task.uri)
        if earlier is not None:
            known = found.key is not None and found.result is None and found.failure is None
            if known and earlier.key == hash64(found.key or ""):  # the same bytes, with another time
                self._touched[uri] = (earlier.part, {"fingerprint": found.task.fingerprint})
                return
            self._replaced[uri] = earlier.part
        if found.failure is not None:
            self.counts.failures[found.failure.kind] += 1
        self._rows.append(_clip_row(found))
        if found.result is not None:
            assert found.key is not None
            self._known.add(hash64(found.key))
            self._nodules.extend(found.result.nodules)
            self._frame_rows.extend(found.result.frames or ())
            if self._pictures is not None:
                self._pictures.add(found.key, found.result.picture)
        elif found.failure is None:
            self.counts.duplicates += 1

    def _is_due(self) -> bool:
        return (
            time.monotonic() - self._flushed_s > _FLUSH_S
            or len(self._rows) >= _FLUSH_CLIPS
            or len(self._frame_rows) >= _FLUSH_FRAMES
        )

    def _flush(self) -> None:
        self._flushed_s = time.monotonic()
        if self._touched:
            self._store.update(self._touched)
            self._touched = {}
        if not self._rows:
            return
        batch, replaced = Batch(self._rows, self._nodules, self._frame_rows), self._replaced
        self._rows, self._nodules, self._frame_rows, self._replaced = [], [], [], {}
        self._store.commit(batch, replaced=replaced)


class _Pictures:
    """Keeps the pictures of the lowest keys."""

    def __init__(self, target: Target, analysis: str) -> None:
        self._target, self._folder = target, f"pictures/analysis={analysis}"
        self._keys = sorted(name.removesuffix(".jpg") for name in target.names(self._folder))

    @property
    def below(self) -> str:
        """A picture is wanted of a key below this."""
        return "g" if len(self._keys) < PICTURES else self._keys[-1]  # "g" follows every hexadecimal digit

    def add(self, key: str, picture: bytes | None) -> None:
        """Take a picture, and let go of the one it displaces."""
        if picture is None or key in self._keys:
            return
        self._target.write(f"{self._folder}/{key}.jpg", picture)
        self._keys = sorted([*self._keys, key])
        for displaced in self._keys[PICTURES:]:
            self._target.remove(f"{self._folder}/{displaced}.jpg")
        self._keys = self._keys[:PICTURES]


def describe_archive(target: Target, analysis: str, settings: dict[str, Any], inputs: Sequence[str]) -> None:
    """Write `archive.json`: which analysis is the current one, and what each was made with.

    Raises:
        OutputError: it cannot be written, or what lies there is none of ours.
    """
    known = read_archive(target)
    known["current"] = analysis
    known["analyses"][analysis] = {
        "settings": settings,
        "streamer_version": __version__,
        "inputs": sorted({*known["analyses"].get(analysis, {}).get("inputs", ()), *inputs}),
        "last_run": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    target.write(_ARCHIVE_JSON, json.dumps(known, indent=1).encode())


def read_archive(target: Target) -> dict[str, Any]:
    """The content of `archive.json`; an empty one where there is none.

    Raises:
        InputError: it is damaged.
    """
    content = target.read(_ARCHIVE_JSON)
    try:
        found: Any = {"current": "", "analyses": {}} if content is None else json.loads(content)
        return {"current": str(found["current"]), "analyses": dict(found["analyses"])}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{target.shown(_ARCHIVE_JSON)} is damaged or not of streamer; choose another --output, or "
            "move it away and run again"
        ) from error


def pseudonym_secret(target: Target) -> bytes:
    """What makes the pseudonyms of this archive; made at random for a new one.

    Raises:
        OutputError: it cannot be read or written.
    """
    found = target.read(_SECRET)
    if found is None:
        found = secrets.token_hex(32).encode()
        target.write(_SECRET, found)
        if target.local is not None:
            (target.local / _SECRET).chmod(0o600)
    return found


def _same_content(failure: Failure | None) -> Failure | None:
    return (
        None if failure is None else replace(failure, reason=f"same content as another that failed: {failure.reason}")
    )


def _clip_row(found: Outcome) -> dict[str, Any]:
    task, result, failure = found.task, found.result, found.failure
    status = (
        "analysed"
        if result
        else "duplicate"
        if failure is None
        else "skipped"
        if failure.kind == "skipped"
        else "failed"
    )
    return {
        **({} if result is None else result.clip),
        "uri": task.uri.encode("utf-8", "replace").decode(),
        "key": found.key,
        "status": status,
        "failure": None if failure is None else failure.kind,
        "reason": None if failure is None else failure.reason,
        "patient": task.patient or ("" if result is None else result.patient),
        "study": task.study or ("" if result is None else result.study),
        "files": len(task.files),
        "size_bytes": task.size_bytes,
        "fingerprint": task.fingerprint,
        "attempts": found.attempts,
        "seconds": round(found.seconds, 3),
    }
