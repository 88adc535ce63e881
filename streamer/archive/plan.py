"""What is to be done: the listing held against what is there, on disk rather than in memory."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import IO

from streamer.archive.clips import ClipTask, Outcome
from streamer.archive.index import Done, DoneIndex, Wanted, hash64


@dataclass(slots=True)
class PendingWork:
    """A listing on its way into work.

    Attributes:
        listed: clips that were found.
        done: those of them of which nothing is to be done.
        unlisted: what could not be listed.
        regrouped: clips that only change their patient or study, by hash of the URI: part, and new columns.
        to_do: clips that `tasks` gives, to be analysed.
    """

    listed: int
    done: int
    unlisted: list[Outcome]
    regrouped: dict[int, tuple[int, dict[str, str]]]
    _spool: IO[str]
    to_do: int

    def tasks(self) -> Iterator[ClipTask]:
        """The clips to be analysed, once."""
        self._spool.seek(0)
        for line in self._spool:
            values = json.loads(line)
            yield ClipTask(**{**values, "files": tuple(values["files"])})

    def close(self) -> None:
        """Release the temporary file."""
        self._spool.close()


def make_plan(found: Iterable[ClipTask | Outcome], index: DoneIndex, wanted: Wanted) -> PendingWork:
    """Hold a listing (as of `list_clips`) against what was done; a URI that is listed twice counts once."""
    spool = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115  # the plan closes it
    plan = PendingWork(0, 0, [], {}, spool, 0)
    seen: set[int] = set()
    for one in found:
        if isinstance(one, Outcome):
            plan.unlisted.append(one)
            continue
        uri = hash64(one.uri)
        if uri in seen:
            continue
        seen.add(uri)
        plan.listed += 1
        done = index.find(one, wanted)
        if done is None or not done.current:
            plan.to_do += 1
            plan._spool.write(json.dumps(asdict(one)) + "\n")
        else:
            plan.done += 1
            _note_group(plan, uri, one, done)
    return plan


def _note_group(plan: PendingWork, uri: int, task: ClipTask, done: Done) -> None:
    if done.regroup:
        named = {"patient": task.patient, "study": task.study}
        plan.regrouped[uri] = (done.part, {name: value for name, value in named.items() if value is not None})
