"""Runs that are killed at a random moment, and disks that are full at one: nothing half-written counts as a result."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from multiprocessing.context import ForkServerContext
from pathlib import Path

import streamer
from streamer.outputs.folder import REPORT_JSON
from streamer.outputs.schema import read_frames, read_report
from streamer.testing import FakeAnalyser
from tests.sources.media import write_clip
from tests.torture.outcome import ONE_GO, Outcome, Sitting, residue

_PAGE_BYTES = 4096
_TICKS_HZ = os.sysconf("SC_CLK_TCK")
_USERS_OWN = "notes.txt"
_LAST_SHARE = 0.85
"""From here on a run writes its pages and gives its files their names; half of the kills come then."""


def kill_at_random(count: int, *, frames: int = 24, seed: int = 0, sitting: Sitting = ONE_GO) -> Outcome:
    """Kill `count` runs into one folder, each followed by a look at the folder, and by a run that is left alone.

    When a run is killed is counted in its own processor time, which other work on the machine does not stretch.
    """
    outcome = Outcome(name="Kills at random moments", asked="200, each followed by a run into the same folder")
    outcome.go_on(sitting)
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["streamer.run", "streamer.testing", "streamer.pipeline.thyroid", "matplotlib.figure"]
    )
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        clip = write_clip(Path(place) / "clip.mp4", codec="libx264", frames=frames)
        outputs = [Path(place) / "new", Path(place) / "earlier"]
        whole_s = _killed_after(context, clip, outputs[1], math.inf)[1]
        for number in range(outcome.tried, count):
            if outcome.late:
                break
            chance = random.Random(f"{seed} {number}")
            output = outputs[number % 2]  # without, and over, results of an earlier run
            output.mkdir(exist_ok=True)
            (output / _USERS_OWN).write_text("mine")
            share = chance.uniform(0.0, _LAST_SHARE) if number % 4 < 2 else chance.uniform(_LAST_SHARE, 1.1)
            alive, _ = _killed_after(context, clip, output, share * whole_s)
            complaint = _complaint(output, frames)
            outcome.add("killed" if alive else "ended first", f"kill {number}: {complaint}" if complaint else "")
            left_report = (output / REPORT_JSON).exists()
            outcome.counts["folder with a whole report" if left_report else "folder without a report"] += 1
            _killed_after(context, clip, output, math.inf)
            complaint = _complaint(output, frames) or (f"left {residue(output)}" if residue(output) else "")
            if not (output / REPORT_JSON).exists():
                complaint = complaint or "no report"
            outcome.counts["run after it is whole"] += not complaint
            if complaint:
                outcome.failures.append(f"after kill {number}: {complaint}")
            if output == outputs[0]:
                shutil.rmtree(output)
    outcome.done = f"{outcome.tried}, each followed by such a run; half over earlier results; a clip of {frames} frames"
    outcome.notes["processor time of a whole run"] = f"{whole_s:.2f} s"
    outcome.end()
    return outcome


def _killed_after(context: ForkServerContext, clip: Path, output: Path, seconds: float) -> tuple[bool, float]:
    """Run, and kill after so much processor time; whether it was killed, and the processor time it took."""
    process, spent_s = context.Process(target=_run, args=(clip, output)), 0.0
    process.start()
    stat = Path(f"/proc/{process.pid}/stat")
    with suppress(OSError):  # it has ended
        while process.exitcode is None and spent_s < seconds:
            time.sleep(0.004)
            user, system = stat.read_text().rpartition(")")[2].split()[11:13]  # proc(5)
            spent_s = max(spent_s, (int(user) + int(system)) / _TICKS_HZ)
    alive = process.is_alive()
    if alive:
        process.kill()
    process.join(60)
    return alive, spent_s


def fill_the_disk(count: int, *, frames: int = 24, seed: int = 0, sitting: Sitting = ONE_GO) -> Outcome:
    """Run `count` times on a disk of a random size that is too small, over results of an earlier run."""
    outcome = Outcome(name="Full disks", asked="50, full at random moments").go_on(sitting)
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        clip = write_clip(Path(place) / "clip.mp4", codec="libx264", frames=frames, size_wh=(320, 240))
        earlier = Path(place) / "whole"
        _run(clip, earlier)
        (earlier / _USERS_OWN).write_text("mine")
        sizes = [-(-path.stat().st_size // _PAGE_BYTES) * _PAGE_BYTES for path in earlier.iterdir()]
        for number in range(outcome.tried, count):
            if outcome.late:
                break
            chance = random.Random(f"{seed} {number}")
            size_bytes = int(sum(sizes) * chance.uniform(1.02, 1.95))
            with _small_disk(Path(place) / "disk", size_bytes + _PAGE_BYTES) as disk:
                if disk is None:
                    outcome.notes["not run"] = "no right to mount a disk of a given size"
                    break
                output = disk / "out"
                shutil.copytree(earlier, output)
                before = {path.name: path.read_bytes() for path in output.iterdir()}
                how, complaint = _run_out_of_space(clip, output, before, frames)
                outcome.add(how, f"disk {number}: {complaint}" if complaint else "")
    outcome.done = f"{outcome.tried}, of 1.02 to 1.95 times the size of the earlier results on them"
    outcome.end()
    return outcome


def _run_out_of_space(clip: Path, output: Path, before: dict[str, bytes], frames: int) -> tuple[str, str]:
    try:
        _run(clip, output)
    except streamer.OutputError as error:
        after = {path.name: path.read_bytes() for path in output.iterdir()}
        complaint = "" if after == before else f"earlier results changed: {sorted(after)} after {error}"
        return "refused in one line", complaint or ("" if "No space" in str(error) else f"unclear: {error}")
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "had room", _complaint(output, frames)


def _run(clip: Path, output: Path) -> None:
    streamer.run_study([clip], output, analyser=FakeAnalyser())


def _complaint(output: Path, expected: int) -> str:
    """What is wrong with a folder of results; "" where it holds all of one run or no report."""
    path = output / REPORT_JSON
    if not (output / _USERS_OWN).exists():
        return "a file of the user's is gone"
    if not path.exists():
        final = [one.name for one in output.glob("*") if one.suffix in (".mp4", ".jsonl", ".html")]
        listed = any((output / f"{name}.partial").exists() for name in ("report-before.json", REPORT_JSON))
        return "" if listed or not final else f"{final}, and no report that lists them"
    try:
        report = read_report(path)
        frames = len(list(read_frames(output / "frames.jsonl")))
    except (streamer.StreamerError, json.JSONDecodeError) as error:
        return str(error)
    named = [clip.overlay for clip in report.videos] + [nodule.image for nodule in report.nodules]
    absent = [name for name in named if name and not (output / name).exists()]
    return f"{absent} are missing" if absent else "" if frames == expected else f"{frames} lines of frames"


@contextmanager
def _small_disk(place: Path, size_bytes: int) -> Iterator[Path | None]:
    """A disk of that size; None where none can be mounted."""
    place.mkdir(exist_ok=True)
    command = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size={max(size_bytes // _PAGE_BYTES, 1) * _PAGE_BYTES}",
        "none",
        str(place),
    ]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
