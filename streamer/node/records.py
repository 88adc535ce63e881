"""What the queue holds: objects as they arrive, jobs, results on their way, questions to be answered."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

STOP, END = "stop", "end"
"""What the node says to the process of its analyses: break the job off; end."""


class StoppedError(Exception):
    """The node is to end; the job is as if it had not begun."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """An object as it arrives: its UIDs, and the file it was written to."""

    path: Path
    sop_uid: str
    class_uid: str
    study_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Objects of one study that are analysed together, and the folder of their results."""

    number: int
    files: tuple[Path, ...]
    output: Path
    study_uid: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A result of a job on its way to a destination."""

    number: int
    job: int
    file: Path
    destination: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Commitment:
    """A sender's question whether its objects are kept (PS3.4, annex J): pairs of class and instance UID."""

    number: int
    transaction_uid: str
    aet: str
    kept: tuple[tuple[str, str], ...]
    missing: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStatus:
    """How much waits where; `failures` gives a reason for each job that failed or delivery that was not taken yet."""

    arriving: int
    jobs: dict[str, int]
    unsent: int
    sent: int
    failures: tuple[str, ...]
