"""The course of a benchmark, with implementations that do as they are told."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import streamer.benchmark.rounds as rounds
from streamer.benchmark.baselines import BaselineName
from streamer.benchmark.passes import Environment, NetworkKind, Pass
from streamer.benchmark.result import BenchmarkResult
from streamer.benchmark.rounds import BenchmarkRun, RoundPlan
from streamer.benchmark.streams import StreamsObservation
from streamer.benchmark.worker import Candidate
from streamer.errors import DeviceError, SettingsError
from streamer.settings import Settings
from streamer.sources import open_source
from tests.benchmark.results import FACTS, done_pass
from tests.cli.command_line import clip_in


class Stage:
    """What all workers share: the order of calls, and what goes wrong."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.clip_frames: list[int] = []
        self.interrupt_at: int | None = None
        self.unusable: set[str] = set()
        self.carries = 5
        self.fails_at: int | None = None
        self.breaks_above = 100
        self.shares: list[int] = []


class ActingWorker:
    """Streamer does 100 frames a second, a baseline 20."""

    stage: Stage

    def __init__(self, candidate: Candidate, folder: Path) -> None:
        self.candidate = candidate

    def __enter__(self) -> ActingWorker:
        return self

    def __exit__(self, *_: object) -> None:
        self.stage.calls.append(f"end {self.candidate.name}")

    def wait_until_loaded(self) -> None:
        if self.candidate.name in self.stage.unusable:
            raise SettingsError(f"{self.candidate.name} needs something")

    def analyse(self, clip: Path, seconds: float) -> Pass:
        self.stage.calls.append(f"{self.candidate.name} {clip.stem}")
        with open_source(clip) as source:
            self.stage.clip_frames.append(sum(1 for _ in source.frames()))
        if len(self.stage.calls) == self.stage.interrupt_at:
            raise KeyboardInterrupt
        if len(self.stage.calls) == self.stage.fails_at:
            raise DeviceError("the device's memory is full")
        return done_pass(100 if self.candidate.baseline is None else 20, 1.0)

    def cancel(self) -> Pass | None:
        return done_pass(7, 0.1)

    def networks_ms(self) -> dict[str, float]:
        return {"detector": 2.0}

    def environment(self) -> Environment:
        return FACTS

    def start_streams(self, clip: Path, count: int, seconds: float) -> None:
        self.count = count

    def observed(self) -> StreamsObservation:
        self.stage.shares.append(self.count)
        if self.count > self.stage.breaks_above:
            raise DeviceError("the device's memory is full")
        dropped = 0 if self.count <= self.stage.carries else 3
        return StreamsObservation(
            frames=self.count * (25,), dropped_frames=dropped, elapsed_s=1, pace=25, latencies_ms=()
        )


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    ActingWorker.stage = Stage()
    monkeypatch.setattr(rounds, "CandidateProcess", ActingWorker)
    return ActingWorker.stage


def course(tmp_path: Path, **options: Any) -> BenchmarkRun:
    plan = RoundPlan(
        settings=Settings(), recording=clip_in(tmp_path, frames=40), seconds=1.0, rounds=2,
        baselines=[BaselineName.naive, BaselineName.supervision],
    )  # fmt: skip
    return BenchmarkRun(replace(plan, **options), tmp_path, lambda *_: None)


def measured(run: BenchmarkRun) -> BenchmarkResult:
    run.run()
    result = run.result()
    assert result is not None
    return result


def test_contenders_take_turns_on_the_same_frames(stage: Stage, tmp_path: Path) -> None:
    result = measured(course(tmp_path))
    names = ["streamer", "naive", "supervision"]
    turns = [f"{name} recording" for name in names] + 2 * [f"{name} clip" for name in names]
    assert [call for call in stage.calls if not call.startswith("end")] == turns
    assert result.clip.frames_looped == 20  # of 40: as many as the slowest does in its time
    # Long enough for the fastest: 100 frames a second for a second, and a fifth more.
    assert stage.clip_frames == 3 * [25] + 6 * [120]
    assert result.speedup_over_baseline == {"naive": 5, "supervision": 5}
    assert (result.rounds, result.complete, result.streams) == (2, True, None)
    assert result.floor_ratio == 5
    assert sorted(stage.calls[-3:]) == ["end naive", "end streamer", "end supervision"]


def test_kinds_of_networks_are_told_apart() -> None:
    plan = RoundPlan(
        settings=Settings(), recording=Path(), seconds=1, baselines=[BaselineName.naive], kinds=list(NetworkKind)
    )
    assert [candidate.name for candidate in plan.candidates()] == ["streamer", "naive", "naive-compiled", "naive-paper"]
    assert plan.measured_s == 12


def test_ctrl_c_keeps_what_was_measured(stage: Stage, tmp_path: Path) -> None:
    stage.interrupt_at = 7  # streamer's second round
    run = course(tmp_path)
    result = measured(run)
    assert (run.interrupted, result.complete) == (True, False)
    assert list(result.frames_per_second_of_rounds) == pytest.approx([100, 70])
    assert list(result.baselines["supervision"].frames_per_second_of_rounds) == [20]
    assert result.device == "a device"


def test_ctrl_c_before_anything_was_measured(stage: Stage, tmp_path: Path) -> None:
    stage.interrupt_at = 2
    run = course(tmp_path)
    run.run()
    assert run.interrupted
    assert run.result() is None


def test_a_baseline_that_cannot_be_loaded_is_left_out_or_an_error(stage: Stage, tmp_path: Path) -> None:
    stage.unusable = {"supervision"}
    run = course(tmp_path, needed=False)
    assert set(measured(run).baselines) == {"naive"}
    assert run.left_out == ["supervision needs something"]
    with pytest.raises(SettingsError, match="needs something"):
        course(tmp_path).run()


def test_live_streams(stage: Stage, tmp_path: Path) -> None:
    result = measured(course(tmp_path, streams="auto", baselines=[]))
    assert result.streams is not None
    assert result.streams.held == 5
    assert [trial.streams for trial in result.streams.trials] == [1, 2, 4, 8, 6, 5]
    one = measured(course(tmp_path, streams=6, baselines=[])).streams
    assert one is not None
    assert (one.held, len(one.trials)) == (0, 1)


def test_processes_share_live_streams(stage: Stage, tmp_path: Path) -> None:
    result = measured(course(tmp_path, streams=8, processes=3, baselines=[]))
    assert result.streams is not None
    assert (result.streams.held, result.streams.trials[0].processes) == (8, 3)
    assert stage.shares == [2, 3, 3]
    assert stage.calls[-3:] == 3 * ["end streamer"]


@pytest.mark.parametrize(("device_memory_mb", "processes"), [(None, 1), (900.0, 8)])
def test_beside_a_gpu_a_process_a_core_shares_live_streams(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device_memory_mb: float | None, processes: int
) -> None:
    machine = {"cpu": "a processor", "cores": 8, "system": "a system"}
    monkeypatch.setattr(rounds, "describe_machine", lambda: machine)
    monkeypatch.setattr(ActingWorker, "environment", lambda _: replace(FACTS, device_memory_mb=device_memory_mb))
    result = measured(course(tmp_path, streams=64, baselines=[]))
    assert result.streams is not None
    assert result.streams.trials[0].processes == processes


def test_a_baseline_that_fails_on_the_way_keeps_its_rounds(stage: Stage, tmp_path: Path) -> None:
    stage.fails_at = 8  # naive's second round
    run = course(tmp_path)
    result = measured(run)
    assert {name: len(one.frames_per_second_of_rounds) for name, one in result.baselines.items()} == {
        "naive": 1, "supervision": 2,
    }  # fmt: skip
    assert run.left_out == ["naive from round 2 of 2 on: the device's memory is full"]
    stage.calls.clear()
    stage.fails_at = 4  # streamer's first round: there is nothing to say without it
    with pytest.raises(DeviceError):
        course(tmp_path).run()


def test_live_streams_that_fail_cost_nothing_else(stage: Stage, tmp_path: Path) -> None:
    stage.breaks_above = 2
    run = course(tmp_path, streams="auto", baselines=[])
    result = measured(run)
    assert len(result.frames_per_second_of_rounds) == 2
    assert result.streams is not None
    assert (result.streams.held, [trial.streams for trial in result.streams.trials]) == (2, [1, 2])
    assert run.left_out == ["live streams beyond those in the table: the device's memory is full"]
