"""The command line in a process of its own: a clean end by signal, and nothing half-written when it is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import streamer.cli.run
from streamer.outputs.schema import read_frames, read_report
from tests.cli.command_line import Cli, clip_in, listing, overlay_frames


def start(folder: Path, *arguments: str | Path) -> subprocess.Popen[str]:
    heard = "import signal; signal.signal(signal.SIGHUP, signal.SIG_DFL)"  # these tests may run under nohup
    command = [sys.executable, "-c", f"{heard}; from streamer.cli.main import main; main()", *map(str, arguments)]
    root = Path(streamer.cli.run.__file__).parents[2]
    path = os.pathsep.join([str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    return subprocess.Popen(
        command,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": path},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def await_frames(process: subprocess.Popen[str], output: Path, frames: int) -> None:
    lines = output / "frames.jsonl.partial"
    until = time.monotonic() + 120
    while not lines.exists() or lines.read_bytes().count(b"\n") < frames:
        if process.poll() is not None or time.monotonic() > until:
            process.kill()
            pytest.fail(f"no {frames} frames: {process.communicate()}")
        time.sleep(0.05)


def test_a_bad_input_in_a_process_of_its_own(tmp_path: Path) -> None:
    process = start(tmp_path, "run", "--video", "absent.mp4")
    out, error = process.communicate(timeout=120)
    assert (process.returncode, out) == (2, "")
    assert error == "error: there is no file or folder absent.mp4\n"
    assert listing(tmp_path) == []


@pytest.mark.usefixtures("engine")  # has filled the cache
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_ends_a_run_with_a_partial_result(tmp_path: Path, config: Path, number: signal.Signals) -> None:
    clip_in(tmp_path, frames=4000)
    output = tmp_path / "out"
    process = start(tmp_path, "run", "--video", "clip.mp4", "--config", config, "--output", output)
    await_frames(process, output, 5)
    process.send_signal(number)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "incomplete" in out
    report = read_report(output / "report.json")
    assert not report.complete
    frames = report.videos[0].frames
    assert 5 <= frames < 4000
    assert len(list(read_frames(output / "frames.jsonl"))) == frames
    assert overlay_frames(output / "overlay.mp4") == frames
    assert not list(output.glob("*.partial"))


@pytest.mark.usefixtures("engine")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_the_normal_end_of_a_live_run(tmp_path: Path, config: Path, number: signal.Signals) -> None:
    clip_in(tmp_path)
    output = tmp_path / "out"
    arguments = ("live", "--source", "clip.mp4", "--loop", "--config", config, "--output", output)
    process = start(tmp_path, *arguments)
    await_frames(process, output, 5)
    process.send_signal(number)
    _, error = process.communicate(timeout=120)
    assert process.returncode == 0, error
    report = read_report(output / "report.json")
    assert report.complete
    assert report.videos[0].frames >= 5
    assert overlay_frames(output / "overlay.mp4") == report.videos[0].frames


@pytest.mark.usefixtures("engine")
def test_a_killed_run_leaves_no_final_file(tmp_path: Path, config: Path, cli: Cli, ready: None) -> None:
    clip_in(tmp_path, frames=4000)
    output = tmp_path / "out"
    process = start(tmp_path, "run", "--video", "clip.mp4", "--config", config, "--output", output)
    await_frames(process, output, 5)
    process.kill()
    process.communicate(timeout=120)
    assert listing(output)
    assert all(name.endswith(".partial") for name in listing(output))
    # Whole lines, as far as it came, and the next run into the folder clears up.
    lines = (output / "frames.jsonl.partial").read_bytes()
    assert lines.endswith(b"\n")
    clip_in(tmp_path, "short.mp4", frames=3)
    assert cli("run", "--video", "short.mp4", "--output", output) == 0
    assert read_report(output / "report.json").videos[0].frames == 3
    assert not list(output.glob("*.partial"))
