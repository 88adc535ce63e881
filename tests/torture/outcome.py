"""What every trial of the torture counts, and how its figures are shown."""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from streamer.benchmark.machine import peak_host_memory_mb


@dataclass(slots=True, kw_only=True)
class Outcome:
    """Figures of one kind of trial.

    Attributes:
        name: what was tried.
        tried: trials so far.
        counts: how they ended, by a few words.
        failures: what broke a promise, a line each.
        notes: further figures, by name.
    """

    name: str
    tried: int = 0
    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    notes: dict[str, str] = field(default_factory=dict)
    began_s: float = field(default_factory=time.monotonic)

    def add(self, how: str, failure: str = "") -> None:
        """One trial has ended; `failure` says which promise it broke, "" for none."""
        self.tried += 1
        self.counts[how] += 1
        if failure:
            self.failures.append(failure)

    def end(self) -> None:
        """Note how long all took, and the memory of this process."""
        self.notes["minutes"] = f"{(time.monotonic() - self.began_s) / 60:.1f}"
        self.notes["peak memory of this process"] = f"{peak_host_memory_mb():.0f} MiB"

    def lines(self) -> list[str]:
        """As Markdown."""
        ended = ", ".join(f"{number} {how}" for how, number in self.counts.most_common())
        notes = "; ".join(f"{name} {value}" for name, value in self.notes.items())
        broken = [f"  - {line}" for line in self.failures[:20]]
        return [
            f"- **{self.name}**: {self.tried} tried; {ended}; {len(self.failures)} promises broken; {notes}",
            *broken,
        ]


def residue(folder: Path) -> list[str]:
    """Names of unfinished files in a folder of results."""
    return sorted(path.name for path in folder.glob("*.partial")) if folder.is_dir() else []
