"""Patients and studies from the rows of their clips, as one run over all these clips would sum them up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from streamer.archive.store import Store
from streamer.archive.tables import CLIPS, NODULES, PATIENTS, STUDIES
from streamer.pipeline.aggregation import decide, decisive

_CLIP_COLUMNS = ("key", "status", "failure", "patient", "study", "frames", "complete", "threshold")
_NODULE_COLUMNS = ("key", "track", "malignancy_max", "threshold", "qualifies", "decides", "malignant")


@dataclass(frozen=True, slots=True)
class _Nodule:
    """A track, as far as it decides."""

    key: str
    track: int
    malignancy_max: float
    threshold: float | None
    qualifies: bool
    decides: bool
    malignant: bool


@dataclass(slots=True)
class _Group:
    """The clips of a patient or study."""

    keys: dict[str, tuple[int, bool, float]] = field(default_factory=dict)
    studies: set[str] = field(default_factory=set)
    clips: int = 0
    failed: int = 0


def write_patients(store: Store) -> int:
    """Make the tables `patients` and `studies` anew from `clips` and `nodules`; gives the number of patients.

    A clip of which nobody says whose it is counts for no patient. The same content under two names counts once.

    Raises:
        OutputError: a table cannot be read or written.
    """
    results: dict[str, tuple[int, bool, float]] = {}
    patients: dict[str, _Group] = defaultdict(_Group)
    studies: dict[tuple[str, str], _Group] = defaultdict(_Group)
    for row in _rows(store, CLIPS, _CLIP_COLUMNS):
        if row["status"] == "analysed":
            results[row["key"]] = (row["frames"], row["complete"], row["threshold"])
    for row in _rows(store, CLIPS, _CLIP_COLUMNS):  # twice rather than all in memory
        if row["patient"] and row["failure"] != "skipped":
            _add(patients[row["patient"]], row, results)
            _add(studies[row["patient"], row["study"] or ""], row, results)
    nodules: dict[str, list[_Nodule]] = defaultdict(list)
    for row in _rows(store, NODULES, _NODULE_COLUMNS):
        nodules[row["key"]].append(_Nodule(**row))
    store.write_table(PATIENTS, [{"patient": name, **_summed(one, nodules)} for name, one in sorted(patients.items())])
    store.write_table(
        STUDIES,
        [{"patient": name, "study": study, **_summed(one, nodules)} for (name, study), one in sorted(studies.items())],
    )
    return len(patients)


def _add(group: _Group, row: Mapping[str, Any], results: Mapping[str, tuple[int, bool, float]]) -> None:
    group.clips += 1
    group.studies.add(row["study"] or "")
    if row["key"] in results:
        group.keys[row["key"]] = results[row["key"]]
    else:
        group.failed += 1


def _summed(group: _Group, nodules: Mapping[str, Sequence[_Nodule]]) -> dict[str, Any]:
    tracks = [nodule for key in group.keys for nodule in nodules.get(key, ())]
    counted = [track for track in tracks if track.qualifies]
    decision = decide(tracks) if group.keys else None
    deciding = decisive(tracks)
    return {
        "decision": decision,
        "malignancy": max((track.malignancy_max for track in counted), default=None),
        "threshold": None if deciding is None else deciding.threshold,
        "nodules": len(counted),
        "decisive_key": None if deciding is None else deciding.key,
        "decisive_track": None if deciding is None else deciding.track,
        "studies": len(group.studies),
        "clips": group.clips,
        "failed_clips": group.failed,
        "frames": sum(frames for frames, _, _ in group.keys.values()),
        "complete": not group.failed and all(complete for _, complete, _ in group.keys.values()),
    }


def _rows(store: Store, table: str, columns: Sequence[str]) -> Iterable[dict[str, Any]]:
    for part in store.parts(table):
        yield from store.read(table, part, columns=columns).to_pylist()
