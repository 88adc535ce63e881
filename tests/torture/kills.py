"""Runs that are killed at a random moment, and disks that are full at one: nothing half-written counts as a result."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import streamer
from streamer.outputs.folder import REPORT_JSON
from streamer.outputs.schema import read_frames, read_report
from streamer.testing import FakeAnalyser
from tests.sources.media import write_clip
from tests.torture.outcome import Outcome, residue

_FRAMES = 120


def kill_at_random(count: int, *, seed: int = 0) -> Outcome:
    """Kill `count` runs into one folder, each followed by a look at the folder; at last a run that is left alone."""
    chance, outcome = random.Random(seed), Outcome(name="kills at random moments, then a run into the same folder")
    context = multiprocessing.get_context("fork")  # no networks are loaded here: see `backends.process`
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        clip, output = write_clip(Path(place) / "clip.mp4", codec="libx264", frames=_FRAMES), Path(place) / "out"
        began_s = time.monotonic()
        _run(clip, output)
        whole_s = time.monotonic() - began_s
        for number in range(count):
            process = context.Process(target=_run, args=(clip, output))
            process.start()
            process.join(chance.uniform(0.0, 1.2 * whole_s))
            alive = process.is_alive()
            if alive and process.pid:
                os.kill(process.pid, signal.SIGKILL)
            process.join(60)
            complaint = _complaint(output)
            outcome.add("killed" if alive else "ended first", f"kill {number}: {complaint}" if complaint else "")
            if number % 10 == 9:
                _run(clip, output)
                complaint = _complaint(output) or (f"left {residue(output)}" if residue(output) else "")
                outcome.add("run after it", f"after kill {number}: {complaint}" if complaint else "")
    outcome.end()
    return outcome


def fill_the_disk(count: int, *, seed: int = 0) -> Outcome:
    """Run `count` times on a disk of a random size that is too small, over results of an earlier run."""
    chance, outcome = random.Random(seed), Outcome(name="full disk at random moments")
    with tempfile.TemporaryDirectory(prefix="torture-") as place:
        clip = write_clip(Path(place) / "clip.mp4", codec="libx264", frames=_FRAMES, size_wh=(640, 480))
        _run(clip, Path(place) / "whole")
        whole = sum(path.stat().st_size for path in (Path(place) / "whole").iterdir())
        for number in range(count):
            with _small_disk(Path(place) / "disk", int(whole * chance.uniform(1.02, 1.95))) as disk:
                if disk is None:
                    outcome.notes["not run"] = "no right to mount a disk of a given size"
                    break
                output = disk / "out"
                _run(clip, output)
                before = {path.name: path.read_bytes() for path in output.iterdir()}
                how, complaint = _run_out_of_space(clip, output, before)
                outcome.add(how, f"disk {number}: {complaint}" if complaint else "")
    outcome.end()
    return outcome


def _run_out_of_space(clip: Path, output: Path, before: dict[str, bytes]) -> tuple[str, str]:
    try:
        _run(clip, output)
    except streamer.OutputError as error:
        after = {path.name: path.read_bytes() for path in output.iterdir()}
        complaint = "" if after == before else f"earlier results changed: {sorted(after)} after {error}"
        return "refused in one line", complaint or ("" if "No space" in str(error) else f"unclear: {error}")
    except Exception as error:
        return "failed", f"{type(error).__name__}: {error}"
    return "had room", _complaint(output)


def _run(clip: Path, output: Path) -> None:
    streamer.run_study([clip], output, analyser=FakeAnalyser())


def _complaint(output: Path) -> str:
    """What is wrong with a folder of results; "" where it holds all of one run or no report."""
    path = output / REPORT_JSON
    if not path.exists():
        final = [one.name for one in output.glob("*") if one.suffix in (".mp4", ".jsonl", ".html")]
        before = (output / "report-before.json.partial").exists()
        return "" if before or not final else f"{final} without a report"
    try:
        report = read_report(path)
        frames = len(list(read_frames(output / "frames.jsonl")))
    except (streamer.StreamerError, json.JSONDecodeError) as error:
        return str(error)
    named = [clip.overlay for clip in report.videos] + [nodule.image for nodule in report.nodules]
    absent = [name for name in named if name and not (output / name).exists()]
    return f"{absent} are missing" if absent else "" if frames == _FRAMES else f"{frames} lines of frames"


@contextmanager
def _small_disk(place: Path, size_bytes: int) -> Iterator[Path | None]:
    """A disk of that size; None where none can be mounted."""
    place.mkdir(exist_ok=True)
    command = ["mount", "-t", "tmpfs", "-o", f"size={max(size_bytes // 4096, 1) * 4096}", "none", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)
