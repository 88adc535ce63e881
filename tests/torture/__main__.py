"""`make torture`: damaged inputs, kills, full disks, fuzzing and a soak of the app, with the figures as Markdown."""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.torture.fuzz import fuzz_parsers
from tests.torture.inputs import damage_inputs
from tests.torture.kills import fill_the_disk, kill_at_random
from tests.torture.outcome import Outcome, Sitting, write_section
from tests.torture.soak import soak_the_app


def main() -> None:
    """Run the trials that are asked for, by default all at full length: about four hours on two cores."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--inputs", type=int, default=10_000, help="damaged files to read")
    parser.add_argument("--analysed-inputs", type=int, default=1000, help="damaged files to analyse")
    parser.add_argument("--kills", type=int, default=200, help="runs to kill")
    parser.add_argument("--disks", type=int, default=50, help="disks to fill")
    parser.add_argument("--run-frames", type=int, default=24, help="frames of the clip of a run that is killed")
    parser.add_argument("--fuzz-minutes", type=float, default=60, help="for all parsers together")
    parser.add_argument("--soak-minutes", type=float, default=120)
    parser.add_argument("--soak-sessions", type=int, default=8, help="browser sessions at a time")
    parser.add_argument("--soak-pause-s", type=float, default=2.0, help="between one session's end and the next one")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="Markdown page for the figures; sections of other trials stay")
    parser.add_argument("--keep", type=Path, help="folder: the first four trials go on from what an earlier run kept")
    parser.add_argument("--at-most-minutes", type=float, default=math.inf, help="then these break off")
    given = parser.parse_args()
    if given.keep:
        given.keep.mkdir(parents=True, exist_ok=True)
    kept: dict[str, Any] = {
        "seed": given.seed,
        "sitting": Sitting(folder=given.keep, until_s=time.monotonic() + 60 * given.at_most_minutes),
    }
    trials: list[tuple[float, Callable[[], Outcome]]] = [
        (given.inputs, lambda: damage_inputs(given.inputs, **kept)),
        (given.analysed_inputs, lambda: damage_inputs(given.analysed_inputs, with_networks=True, **kept)),
        (given.kills, lambda: kill_at_random(given.kills, frames=given.run_frames, **kept)),
        (given.disks, lambda: fill_the_disk(given.disks, frames=given.run_frames, **kept)),
        (given.fuzz_minutes, lambda: fuzz_parsers(given.fuzz_minutes)),
        (
            given.soak_minutes,
            lambda: soak_the_app(
                given.soak_minutes, sessions=given.soak_sessions, pause_s=given.soak_pause_s, seed=given.seed
            ),
        ),
    ]
    broken = 0
    for amount, trial in trials:
        if not amount:
            continue
        outcome = trial()
        broken += len(outcome.failures)
        print("\n".join([f"## {outcome.name}", *outcome.lines()]), flush=True)
        if given.report:
            write_section(given.report, outcome, seed=given.seed)
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
