"""What every trial of the torture counts, and how its figures are shown."""

from __future__ import annotations

import json
import math
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from streamer._files import write_whole
from streamer.benchmark.machine import describe_machine, describe_versions, peak_host_memory_mb

_HEADING = (
    "# Load and faults, as measured\n\n"
    "Written by `make torture`, a section per trial; what is promised: [reliability.md](reliability.md).\n"
)
_SHOWN_FAILURES = 20
_KEPT_EVERY = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Sitting:
    """A part of a trial that takes hours.

    Attributes:
        folder: where its figures are kept, and those of the parts before it lie; None for a trial in one go.
        until_s: when to break off, by `time.monotonic`.
    """

    folder: Path | None = None
    until_s: float = math.inf


ONE_GO = Sitting()


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Figures of one kind of trial.

    Attributes:
        name: what was tried.
        asked: the full size of the trial, in words.
        done: the size of this one, in words.
        tried: trials so far.
        counts: how they ended, by a few words.
        table: the same by group: rows of cells, the first one the heading.
        failures: what broke a promise, a line each.
        notes: further figures, by name.
        by_group: how trials of each group ended.
        spent_s: how long all took, in seconds.
        kept: where it is kept, so that a later run goes on from it; nowhere if None.
        until_s: when to break off, by `time.monotonic`.
    """

    name: str
    asked: str
    done: str = ""
    tried: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    table: list[tuple[str, ...]] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    by_group: dict[str, Counter[str]] = field(default_factory=dict)
    spent_s: float = 0.0
    kept: Path | None = None
    until_s: float = math.inf
    _noted_s: float = field(default_factory=time.monotonic)

    def go_on(self, sitting: Sitting) -> Outcome:
        """Itself, with what an earlier sitting has kept of the same trial."""
        self.until_s = sitting.until_s
        if sitting.folder is None:
            return self
        self.kept = sitting.folder / f"{self.name.lower().replace(' ', '-')}.json"
        if self.kept.exists():
            earlier = json.loads(self.kept.read_text(encoding="utf-8"))
            self.counts, self.failures = Counter(earlier["counts"]), earlier["failures"]
            self.by_group = {group: Counter(ends) for group, ends in earlier["by_group"].items()}
            self.tried, self.spent_s, self.notes = earlier["tried"], earlier["spent_s"], earlier["notes"]
        return self

    @property
    def late(self) -> bool:
        """Whether it is time to break off."""
        return time.monotonic() > self.until_s

    def add(self, how: str, failure: str = "", *, group: str = "") -> None:
        """One trial has ended; `failure` says which promise it broke, "" for none."""
        self.tried += 1
        self.counts[how] += 1
        if group:
            self.by_group.setdefault(group, Counter())[how] += 1
        if failure:
            self.failures.append(failure)
        if not self.tried % _KEPT_EVERY:
            self.keep()

    def keep(self) -> None:
        """Keep the figures so far, for a later sitting."""
        now_s = time.monotonic()
        self.spent_s, self._noted_s = self.spent_s + now_s - self._noted_s, now_s
        if self.kept is not None:
            names = ("tried", "counts", "failures", "notes", "by_group", "spent_s")
            self.kept.write_text(json.dumps({name: getattr(self, name) for name in names}), encoding="utf-8")

    def end(self) -> None:
        """Note how long all took, and the memory of this process."""
        self.keep()
        self.notes["minutes"] = f"{self.spent_s / 60:.1f}"
        self.notes["peak memory of the trying process"] = f"{peak_host_memory_mb():.0f} MiB"
        self.keep()

    def lines(self) -> list[str]:
        """As Markdown, without the heading."""
        rows = [("asked", self.asked), ("done", self.done), *((how, str(n)) for how, n in self.counts.most_common())]
        rows += [("promises broken", str(len(self.failures))), *self.notes.items()]
        lines = ["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)]
        if self.table:
            heading, *body = self.table
            lines += ["", _row(heading), "|---" * len(heading) + "|", *map(_row, body)]
        if self.failures:
            lines += ["", *(f"- {line}" for line in self.failures[:_SHOWN_FAILURES])]
        return lines


def write_section(page: Path, outcome: Outcome, *, seed: int) -> None:
    """Put an outcome into the page in place of an earlier one of the same trial; the other sections stay."""
    text = page.read_text(encoding="utf-8") if page.exists() else ""
    sections = dict(re.findall(r"^## (.+)\n((?:(?!## ).*\n?)*)", text, re.MULTILINE))
    machine, versions = describe_machine(), describe_versions(("av", "pillow", "gradio", "atheris"))
    where = (
        f"{datetime.now(UTC):%Y-%m-%d}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
    )
    sections[outcome.name] = "\n".join(["", f"{where}; seed {seed}.", "", *outcome.lines()])
    body = "\n\n".join(f"## {name}\n\n{lines.strip()}" for name, lines in sections.items())
    write_whole(page, f"{_HEADING}\n{body}\n".encode())


def residue(folder: Path) -> list[str]:
    """Names of unfinished files in a folder of results."""
    return sorted(path.name for path in folder.glob("*.partial")) if folder.is_dir() else []


def _row(cells: tuple[str, ...]) -> str:
    return "| " + " | ".join(cells) + " |"
