"""What an archive holds already, in 40 bytes a clip: a million clips are 40 MB."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from streamer.archive.clips import RETRIED, TRANSIENT, ClipTask

_ROW = np.dtype([("uri", "u8"), ("key", "u8"), ("fingerprint", "u8"), ("group", "u8"), ("part", "u4"), ("flags", "u1")])
_RESULT, _TRANSIENT, _RETRIED, _FRAMES, _FOLDER, _DUPLICATE = 1, 2, 4, 8, 16, 32


def hash64(text: str) -> int:
    """A hash that is the same in every process; two of a million texts share one with probability 3e-8."""
    return int.from_bytes(hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little")


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What is known of a clip.

    Attributes:
        part: number of the part that holds its row.
        current: whether nothing needs to be done.
        regroup: whether only its patient or study changed.
        key: hash of its result's key; None where it has no result.
        lacking: whether that result lacks rows per frame or a folder that are wanted.
    """

    part: int
    current: bool
    regroup: bool = False
    key: int | None = None
    lacking: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What a run wants of each clip.

    Attributes:
        frames: rows per frame.
        folders: a folder of results.
        retry_failed: another try where a failure may not be the clip's fault.
        verify: that files are read again although their time and size are as they were.
    """

    frames: bool = False
    folders: bool = False
    retry_failed: bool = False
    verify: bool = False


class DoneIndex:
    """Answers what was done with a clip, and whether a content is known."""

    def __init__(self) -> None:
        self._chunks: list[Any] = []
        self._rows = np.zeros(0, _ROW)
        self._keys = np.zeros(0, np.uint64)

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, rows: Iterable[Mapping[str, Any]], *, part: int) -> None:
        """Take the clips of a part."""
        packed = [
            (
                hash64(row["uri"]),
                hash64(row["key"] or ""),
                hash64(row["fingerprint"] or ""),
                _group(row["patient"], row["study"]),
                part,
                _flags(row),
            )
            for row in rows
        ]
        self._chunks.append(np.array(packed, _ROW))

    def finish(self) -> None:
        """Make it ready for questions; after the last part."""
        self._rows = np.concatenate(self._chunks) if self._chunks else self._rows
        self._chunks = []
        self._rows = self._rows[np.argsort(self._rows["uri"], kind="stable")]
        self._keys = np.unique(self._rows["key"][(self._rows["flags"] & _RESULT) > 0])

    def knows(self, key: str) -> bool:
        """Whether there is a result for a content."""
        wanted = np.uint64(hash64(key))
        at = int(np.searchsorted(self._keys, wanted))
        return at < len(self._keys) and bool(self._keys[at] == wanted)

    def find(self, task: ClipTask, wanted: Wanted) -> Done | None:
        """What was done with a clip; None where its URI is new."""
        at = int(np.searchsorted(self._rows["uri"], np.uint64(hash64(task.uri))))
        if at >= len(self._rows) or int(self._rows["uri"][at]) != hash64(task.uri):
            return None
        row = self._rows[at]
        flags, part = int(row["flags"]), int(row["part"])
        key = int(row["key"]) if flags & _RESULT else None
        same = bool(task.fingerprint) and int(row["fingerprint"]) == hash64(task.fingerprint) and not wanted.verify
        lacking = flags & (_RESULT | _DUPLICATE) == _RESULT and (
            (wanted.frames and not flags & _FRAMES) or (wanted.folders and not flags & _FOLDER)
        )
        again = flags & (_TRANSIENT | _RETRIED if wanted.retry_failed else _TRANSIENT)
        if not same or lacking or again:
            return Done(part=part, current=False, key=key, lacking=lacking)
        named = task.patient is not None or task.study is not None
        regroup = named and int(row["group"]) != _group(task.patient, task.study)
        return Done(part=part, current=True, regroup=regroup, key=key)


def _flags(row: Mapping[str, Any]) -> int:
    flags = _RESULT if row["status"] in ("analysed", "duplicate") else 0
    flags |= _TRANSIENT if row["failure"] in TRANSIENT else 0
    flags |= _RETRIED if row["failure"] in RETRIED else 0
    flags |= _DUPLICATE if row["status"] == "duplicate" else 0
    return flags | (_FRAMES if row["has_frames"] else 0) | (_FOLDER if row["folder"] else 0)


def _group(patient: str | None, study: str | None) -> int:
    return hash64(f"{patient or ''}\0{study or ''}")
