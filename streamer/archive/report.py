"""report.html of an archive: one page that needs nothing but itself, made of the tables as they are now."""

from __future__ import annotations

import base64
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from heapq import nlargest
from pathlib import Path, PurePosixPath
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from streamer._files import write_whole
from streamer.archive.run import read_archive
from streamer.archive.store import Store
from streamer.archive.tables import CLIPS, PATIENTS
from streamer.archive.target import Target
from streamer.errors import InputError
from streamer.outputs.schema import RESEARCH_USE_ONLY
from streamer.version import __version__

PAGE = "report.html"
_COLUMNS = (
    "uri", "key", "status", "failure", "reason", "patient", "frames", "duration_s", "malignancy", "decision", "nodules",
    "complete", "analysis_s", "seconds", "finished", "device", "precision", "attempts",
)  # fmt: skip
_SLOWEST = 20
_EXAMPLES = 5
_BARS = 20
_BAR_WH = (520, 140)


@dataclass(slots=True)
class _Tally:
    """What the page shows, collected in one pass over the clips; no row is kept but the slowest."""

    statuses: Counter[str] = field(default_factory=Counter)
    decisions: Counter[str] = field(default_factory=Counter)
    devices: Counter[str] = field(default_factory=Counter)
    nodules: Counter[int] = field(default_factory=Counter)
    malignancy: Counter[int] = field(default_factory=Counter)
    frames_of_clip: Counter[int] = field(default_factory=Counter)
    hours: Counter[datetime] = field(default_factory=Counter)
    failures: dict[tuple[str, str], list[Any]] = field(default_factory=lambda: defaultdict(lambda: [0, []]))
    slowest: list[tuple[float, str, dict[str, Any]]] = field(default_factory=list)
    frames: int = 0
    duration_s: float = 0.0
    analysis_s: float = 0.0
    incomplete: int = 0
    repeated: int = 0

    def add(self, row: dict[str, Any]) -> None:
        """Count a clip."""
        self.statuses[row["status"]] += 1
        self.repeated += (row["attempts"] or 1) > 1
        if row["status"] in ("failed", "skipped"):
            entry = self.failures[row["failure"], _kind_of(row["reason"], row["uri"])]
            entry[0] += 1
            if len(entry[1]) < _EXAMPLES:
                entry[1].append(row["uri"])
        self.slowest = nlargest(_SLOWEST, [*self.slowest, (row["seconds"] or 0.0, row["uri"], row)])
        if row["status"] == "analysed":
            self._add_result(row)

    def _add_result(self, row: Mapping[str, Any]) -> None:
        self.decisions[row["decision"]] += 1
        self.devices[f"{row['device']}, {row['precision']}"] += 1
        self.nodules[row["nodules"]] += 1
        self.frames_of_clip[_power(row["frames"])] += 1
        self.frames += row["frames"]
        self.duration_s += row["duration_s"]
        self.analysis_s += row["analysis_s"]
        self.incomplete += not row["complete"]
        self.hours[row["finished"].replace(minute=0, second=0, microsecond=0)] += 1
        if row["malignancy"] is not None:
            self.malignancy[min(int(row["malignancy"] * _BARS), _BARS - 1)] += 1


def write_report(output: str, page: Path | None = None) -> str:
    """Write the page; gives its path, or its URL.

    Args:
        output: folder or URL of the archive.
        page: the HTML file; `report.html` in the archive if None.

    Raises:
        InputError: there is no archive.
        OutputError: the tables cannot be read, or the page cannot be written.
    """
    target = Target(output)
    known = read_archive(target)
    analysis = known["current"]
    if not analysis:
        raise InputError(f"{output} is no archive: make one with streamer archive INPUT --output {output}")
    store, tally = Store(target, analysis), _Tally()
    for part in store.parts(CLIPS):
        for row in store.read(CLIPS, part, columns=_COLUMNS).to_pylist():
            tally.add(row)
    content = _render(tally, analysis, known, _patients(store), _pictures(target, analysis)).encode()
    if page is not None:
        write_whole(page, content)
        return str(page)
    target.write(PAGE, content)
    return target.shown(PAGE)


def _render(
    tally: _Tally, analysis: str, known: Mapping[str, Any], patients: Counter[str], pictures: Sequence[tuple[str, str]]
) -> str:
    environment = Environment(
        loader=PackageLoader("streamer.archive"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    failures = sorted(tally.failures.items(), key=lambda one: -one[1][0])
    sizes = range(min(tally.frames_of_clip, default=0), max(tally.frames_of_clip, default=0) + 1)
    return environment.get_template("report.html.j2").render(
        notice=RESEARCH_USE_ONLY,
        version=__version__,
        created=datetime.now(UTC).isoformat(timespec="minutes"),
        analysis=analysis,
        described=known["analyses"][analysis],
        earlier=sorted(set(known["analyses"]) - {analysis}),
        tally=tally,
        total=tally.statuses.total(),
        failures=[(kind, reason, count, examples) for (kind, reason), (count, examples) in failures],
        patients=patients,
        slowest=[(seconds, uri, row) for seconds, uri, row in tally.slowest if seconds],
        charts=[
            ("malignancy of a clip", _chart(tally.malignancy, range(_BARS), lambda at: f"{at / _BARS:.2f}")),
            ("nodules that count, per clip", _chart(tally.nodules, range(max(tally.nodules, default=0) + 1), str)),
            ("frames per clip, from", _chart(tally.frames_of_clip, sizes, lambda power: str(2**power))),
            ("clips finished per hour (UTC)", _chart(tally.hours, sorted(tally.hours)[-48:], "{:%d. %H:00}".format)),
        ],
        pictures=pictures,
    )


def _chart(counts: Mapping[Any, int], keys: Iterable[Any], label: Callable[[Any], str]) -> list[dict[str, Any]]:
    """Bars of a histogram in pixels of the drawing."""
    keys = list(keys)
    highest, (width, height) = max((counts.get(key, 0) for key in keys), default=0), _BAR_WH
    if not highest:
        return []
    step = width / len(keys)
    every = math.ceil(len(keys) / 10)
    return [
        {
            "x": round(at * step, 1),
            "width": round(max(step - 1, 0.5), 1),
            "height": round(height * counts.get(key, 0) / highest, 1),
            "count": counts.get(key, 0),
            "label": label(key) if at % every == 0 else "",
            "title": label(key),
        }
        for at, key in enumerate(keys)
    ]


def _power(frames: int) -> int:
    return max(frames, 1).bit_length() - 1


def _kind_of(reason: str, uri: str) -> str:
    """A reason without the clip's own name, so that like ones are counted together."""
    return reason.replace(PurePosixPath(uri).name, "the file")


def _patients(store: Store) -> Counter[str]:
    found: Counter[str] = Counter()
    for part in store.parts(PATIENTS):
        found.update(
            one or "no clip analysed" for one in store.read(PATIENTS, part, ("decision",))["decision"].to_pylist()
        )
    return found


def _pictures(target: Target, analysis: str) -> list[tuple[str, str]]:
    folder = f"pictures/analysis={analysis}"
    pictures = ((name, target.read(f"{folder}/{name}")) for name in target.names(folder))
    return [(name.removesuffix(".jpg"), base64.b64encode(jpeg).decode()) for name, jpeg in pictures if jpeg]
