"""`make torture`: damaged inputs, kills, full disks, fuzzing and a soak of the app, with the figures as Markdown."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from streamer._files import write_whole
from streamer.benchmark.machine import describe_machine, describe_versions
from tests.torture.fuzz import fuzz_parsers
from tests.torture.inputs import damage_inputs
from tests.torture.kills import fill_the_disk, kill_at_random
from tests.torture.outcome import Outcome
from tests.torture.soak import soak_the_app

_HEADING = (
    "# Load and faults, as measured\n\nWritten by `make torture`; what is promised: [reliability.md](reliability.md).\n"
)


def main() -> None:
    """Run the trials that are asked for, by default all at full length: about six hours on two cores."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--inputs", type=int, default=10_000)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--disks", type=int, default=50)
    parser.add_argument("--fuzz-minutes", type=float, default=60)
    parser.add_argument("--soak-minutes", type=float, default=120)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, help="Markdown file for the figures")
    given = parser.parse_args()
    trials: list[tuple[float, Callable[[], Outcome]]] = [
        (given.inputs, lambda: damage_inputs(given.inputs, seed=given.seed)),
        (given.kills, lambda: kill_at_random(given.kills, seed=given.seed)),
        (given.disks, lambda: fill_the_disk(given.disks, seed=given.seed)),
        (given.fuzz_minutes, lambda: fuzz_parsers(given.fuzz_minutes)),
        (given.soak_minutes, lambda: soak_the_app(given.soak_minutes, seed=given.seed)),
    ]
    machine, versions = describe_machine(), describe_versions(("av", "pillow", "gradio", "atheris"))
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        + ", ".join(f"{name} {version}" for name, version in versions.items())
        + f"; seed {given.seed}.",
        "",
    ]
    broken = 0
    for amount, trial in trials:
        if not amount:
            continue
        outcome = trial()
        broken += len(outcome.failures)
        lines += outcome.lines()
        print("\n".join(outcome.lines()), flush=True)
        if given.report:
            write_whole(given.report, ("\n".join([_HEADING, *lines]) + "\n").encode())
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
