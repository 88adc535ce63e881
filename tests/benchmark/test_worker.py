"""Contenders in processes of their own, and the whole command in one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from streamer.benchmark.baselines import BaselineName
from streamer.benchmark.result import BenchmarkResult
from streamer.benchmark.worker import Candidate, CandidateProcess
from streamer.errors import WeightsError
from streamer.settings import Settings
from tests.cli.command_line import clip_in

_ROOT = Path(__file__).resolve().parent.parent.parent


def test_an_error_in_a_worker_is_raised_here(tmp_path: Path) -> None:
    with (
        CandidateProcess(Candidate(Settings(weights=tmp_path).with_runtime(device="cpu")), tmp_path) as worker,
        pytest.raises(WeightsError, match="no weights"),
    ):
        worker.wait_until_loaded()


@pytest.mark.slow
def test_a_pass_is_broken_off_and_the_worker_lives_on(random_engine_settings: Settings, tmp_path: Path) -> None:
    clip = clip_in(tmp_path, frames=5000)

    candidate = Candidate(random_engine_settings.with_runtime(device="cpu", threads=1), BaselineName.naive)
    with CandidateProcess(candidate, tmp_path) as worker:
        worker.wait_until_loaded()
        alarm = signal.signal(signal.SIGALRM, signal.default_int_handler)
        signal.setitimer(signal.ITIMER_REAL, 1.0)
        with pytest.raises(KeyboardInterrupt):
            worker.analyse(clip, 600)
        signal.signal(signal.SIGALRM, alarm)
        done = worker.cancel()
        assert done is not None
        assert 0 < done.frames < 5000
        assert worker.environment().host_memory_mb > 0
        assert worker.analyse(clip, 0).frames <= 1


def start(folder: Path, config: Path, *arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", "from streamer.cli.main import main; main()", "benchmark", "--video", "clip.mp4"]
    return subprocess.Popen(
        [*command, "--config", str(config), "--device", "cpu", "--json", "figures.json", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(_ROOT), os.environ.get("PYTHONPATH", "")])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # Ctrl-C reaches the whole group, as in a terminal
    )


@pytest.mark.slow
def test_the_whole_command(tmp_path: Path, config: Path) -> None:
    clip_in(tmp_path, frames=40)
    process = start(tmp_path, config, "--seconds", "1", "--rounds", "1", "--baseline", "naive", "--streams", "1")
    out, error = process.communicate(timeout=600)
    assert process.returncode == 0, error
    result = BenchmarkResult.model_validate_json((tmp_path / "figures.json").read_text())
    assert result.complete
    assert result.frames_per_second > 0
    assert result.baselines["naive"].agreement.same_boxes
    assert result.streams is not None
    assert "naive" in out
    assert sorted(path.name for path in tmp_path.iterdir() if path != config) == ["clip.mp4", "figures.json"]


@pytest.mark.slow
def test_ctrl_c_in_the_middle(tmp_path: Path, config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip_in(tmp_path, frames=40)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setenv("TMPDIR", str(scratch))
    process = start(tmp_path, config, "--seconds", "60")
    until_s = time.monotonic() + 500
    while not (list(scratch.glob("*/clip.mp4")) and list(scratch.rglob("overlay.mp4.partial"))):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < until_s
        time.sleep(0.2)
    time.sleep(2)
    os.killpg(process.pid, signal.SIGINT)
    out, error = process.communicate(timeout=120)
    assert process.returncode == 130, error
    assert "Traceback" not in error
    assert "stopped before the end" in out
    assert list(scratch.glob("streamer-benchmark-*")) == []
    assert not json.loads((tmp_path / "figures.json").read_text())["complete"]
