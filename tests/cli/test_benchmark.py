"""`streamer benchmark`: its options, its exit codes, and both of its kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import streamer.cli.benchmark_run as terminal
from streamer.benchmark.rounds import BenchmarkRun, RoundPlan
from tests.benchmark.results import example
from tests.cli.command_line import Cli, clip_in


@pytest.fixture
def plans(monkeypatch: pytest.MonkeyPatch) -> list[RoundPlan]:
    """A course that measures nothing and has its result at once; the plans it was given."""
    given: list[RoundPlan] = []
    monkeypatch.setattr(BenchmarkRun, "run", lambda self: given.append(self.plan))
    monkeypatch.setattr(BenchmarkRun, "result", lambda _: example())
    return given


def test_table_json_and_page(
    plans: list[RoundPlan], cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clip_in(tmp_path)
    arguments = ("--video", "clip.mp4", "--seconds", "2", "--rounds", "1", "--baseline", "all", "--streams", "auto")
    outputs = ("--baseline-networks", "both", "--json", "figures.json", "--report", "page.md")
    assert cli("benchmark", *arguments, *outputs) == 0
    (plan,) = plans
    assert (plan.recording, plan.seconds, plan.rounds, plan.needed, plan.streams) == (
        Path("clip.mp4"), 2, 1, False, "auto",
    )  # fmt: skip
    assert [candidate.name for candidate in plan.candidates()] == [
        "streamer", "naive", "ultralytics", "supervision", "naive-compiled", "ultralytics-compiled",
        "supervision-compiled",
    ]  # fmt: skip
    assert json.loads((tmp_path / "figures.json").read_text())["frames_per_second"] == 40
    assert (tmp_path / "page.md").exists()
    assert (tmp_path / "page.png").exists()
    assert "40.0" in capsys.readouterr().out


def test_without_a_clip_one_is_simulated(plans: list[RoundPlan], cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "write_nodules", lambda path: path.touch())
    assert cli("benchmark", "--baseline", "naive", "--baseline", "supervision") == 0
    assert plans[0].recording.name == "phantom.mp4"
    assert [candidate.name for candidate in plans[0].candidates()] == ["streamer", "naive", "supervision"]
    assert plans[0].needed


def test_ctrl_c_saves_what_was_measured(
    plans: list[RoundPlan], cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip_in(tmp_path)
    monkeypatch.setattr(BenchmarkRun, "run", lambda self: setattr(self, "interrupted", True))
    assert cli("benchmark", "--video", "clip.mp4", "--json", "figures.json") == 130
    assert (tmp_path / "figures.json").exists()
    monkeypatch.setattr(BenchmarkRun, "result", lambda _: None)
    assert cli("benchmark", "--video", "clip.mp4", "--json", "none.json") == 130
    assert not (tmp_path / "none.json").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--video", "absent.mp4"), "there is no file or folder absent.mp4"),
        (("--json", "nowhere/figures.json"), "there is no folder nowhere"),
        (("--report", "nowhere/page.md"), "there is no folder nowhere"),
        (("--streams", "many"), "--streams takes a number from 1 to 1024, or auto (got 'many')"),
        (("--processes", "2"), "--processes needs --streams"),
        (("--streams", "0"), "(got '0')"),
        (("--config", "absent.yaml"), "absent.yaml"),
    ],
)
def test_errors_are_one_line(
    arguments: tuple[str, ...], message: str, cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("benchmark", *arguments) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("arguments", [("--baseline", "none"), ("--seconds", "0"), ("--device", "tpu")])
def test_usage_errors(arguments: tuple[str, ...], cli: Cli) -> None:
    assert cli("benchmark", *arguments) == 2


def test_the_apps_benchmark_is_still_there(cli: Cli, monkeypatch: pytest.MonkeyPatch, plans: list[RoundPlan]) -> None:
    asked: list[float] = []

    def pretend(_: object, *, video: Path | None, seconds: float, json_file: Path | None) -> int:
        asked.append(seconds)
        return 0

    monkeypatch.setattr(terminal, "run_app_benchmark", pretend)
    assert cli("benchmark", "app", "--seconds", "4") == 0
    assert (asked, plans) == ([4], [])
