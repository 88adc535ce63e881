"""What travels between the listing, the workers and the store: clips to analyse, what became of them, and failures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

FailureKind = Literal["listing", "fetch", "input", "skipped", "timeout", "crash", "internal"]
"""Why a clip has no result.

`listing`: its folder cannot be read. `fetch`: the file cannot be had. `input`: the file is damaged or no recording.
`skipped`: it is no ultrasound clip, such as a structured report. `timeout`: it hung or took too long. `crash`: its
process died. `internal`: a fault of streamer's own.
"""

TRANSIENT: frozenset[FailureKind] = frozenset({"listing", "fetch"})
"""Kinds that are tried again by every run: they say something of the storage, not of the clip."""

RETRIED: frozenset[FailureKind] = TRANSIENT | {"timeout", "crash", "internal"}
"""Kinds that `retry_failed` tries again: of the same bytes the others would come out the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipTask:
    """A clip to be analysed.

    Attributes:
        uri: where it is; names it in the tables. A folder of stills has the folder's.
        files: the file, or the stills in order, as URIs.
        size_bytes: of all files; None where the storage does not say.
        modified: what the storage says of its last change (time, ETag); "" for nothing.
        patient, study: whose it is, from a CSV or the path; None leaves it to the file's own header.
    """

    uri: str
    files: tuple[str, ...]
    size_bytes: int | None = None
    modified: str = ""
    patient: str | None = None
    study: str | None = None

    @property
    def fingerprint(self) -> str:
        """Stays the same while the storage says that the files did; "" where it says nothing."""
        return f"{self.size_bytes}:{self.modified}:{len(self.files)}" if self.modified else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why a clip has no result, in one line."""

    kind: FailureKind
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ClipResult:
    """What a worker found in a clip.

    Attributes:
        clip: columns of its row in `clips`.
        nodules: rows of `nodules`.
        frames: rows of `frames`; None where they were not asked for.
        picture: JPEG of its most suspicious frame; None where none was asked for.
        patient, study: as the file's header says, perhaps as pseudonyms; "" where it says nothing.
    """

    clip: Mapping[str, Any]
    nodules: Sequence[Mapping[str, Any]] = ()
    frames: Sequence[Mapping[str, Any]] | None = None
    picture: bytes | None = None
    patient: str = ""
    study: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a clip.

    Attributes:
        task: the clip.
        key: of its content under this analysis; None where it was never read.
        result: what was found; None after a failure, and for a duplicate.
        failure: why there is no result; None for a result, and for a duplicate.
        attempts: how often it was begun.
        seconds: from its beginning to here.
    """

    task: ClipTask
    key: str | None = None
    result: ClipResult | None = None
    failure: Failure | None = None
    attempts: int = 1
    seconds: float = field(default=0.0, compare=False)
