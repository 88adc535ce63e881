"""`--json`: standard output is one line per study, for a program to read."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import streamer.cli.live
import streamer.cli.run
from streamer.outputs.schema import read_report
from streamer.run import run_study
from streamer.settings import Settings
from streamer.testing import FakeAnalyser
from tests.cli.command_line import Cli, clip_in
from tests.fakes import FakeEngine
from tests.outputs.study_example import study_report, track
from tests.sources.media import write_clip


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    for face in (streamer.cli.run, streamer.cli.live):
        monkeypatch.setattr(face, "Engine", lambda *_, **__: FakeEngine(delay_s=0.0).as_engine())


def test_a_line_per_study(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a.mp4", "b [x].mp4"):
        clip_in(tmp_path, name, frames=6)
    assert cli("run", "--video", "a.mp4", "--video", "b [x].mp4", "--each", "clip", "--patient", "P ü", "--json") == 0
    captured = capsys.readouterr()
    lines = [json.loads(line) for line in captured.out.splitlines()]
    assert [Path(line["report"]) for line in lines] == [
        tmp_path / "results" / name / "report.json" for name in ("a", "b [x]")
    ]
    for line in lines:
        report = read_report(Path(line["report"]))
        assert line["folder"] == str(Path(line["report"]).parent)
        for key in ("patient", "decision", "patient_malignancy", "threshold", "complete"):
            assert line[key] == getattr(report, key)
    assert "research use only" in captured.err


def test_no_report_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    analyser = FakeAnalyser(settings=Settings(outputs=("frames",)))
    report = run_study([clip_in(tmp_path, frames=3)], tmp_path / "out", analyser=analyser)
    streamer.cli.run.print_result(Console(), Console(stderr=True), report, tmp_path / "out", as_json=True)
    captured = capsys.readouterr()
    line = json.loads(captured.out)
    assert (line["report"], line["folder"]) == (None, str(tmp_path / "out"))
    assert captured.err.splitlines()[-1] == f"results: {tmp_path / 'out'}"  # no page was asked for, either


def test_live(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip_in(tmp_path, frames=3)
    assert cli("live", "--source", "clip.mp4", "--output", "out", "--json") == 0
    line = json.loads(capsys.readouterr().out)
    assert line["report"] == str(tmp_path / "out" / "report.json")
    assert line["complete"]


def test_lines_are_not_wrapped_where_there_is_no_terminal(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "a name of a clip that is much longer than the eighty columns of a terminal of old times.mkv"
    path = write_clip(tmp_path / name, codec="libx264", frames=60, options={"g": "5", "bf": "0"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    monkeypatch.setenv("COLUMNS", "80")
    assert cli("run", "--video", name) == 0
    captured = capsys.readouterr()
    warnings = [line for line in captured.err.splitlines() if line.startswith("warning: ")]
    assert warnings
    assert all(line.startswith(f"warning: {name}: ") for line in warnings)
    assert any("the clip breaks off" in line or "damaged" in line for line in warnings)


@pytest.mark.parametrize(
    ("decides", "said"),
    [
        (True, "malignant (maximum 0.56; nodule 2 decides: 0.50, threshold 0.44)"),
        (False, "undecided (maximum 0.56; nodule 2 was seen too briefly to decide: 0.50, threshold 0.44)"),
    ],
)
def test_a_threshold_stands_beside_the_maximum_that_was_held_against_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], decides: bool, said: str
) -> None:
    """The greatest maximum lies below the threshold of its many frames; another, of few frames, reaches its own."""
    long = replace(track(1, malignancy=0.56), threshold=0.609, decides=True)
    brief = replace(track(2, malignancy=0.5), threshold=0.436, decides=decides)
    report = replace(study_report(long, brief), decision="malignant" if decides else "undecided")
    streamer.cli.run.print_result(Console(), Console(stderr=True), report, tmp_path, as_json=True)
    captured = capsys.readouterr()
    deciding = json.loads(captured.out)["decisive_nodule"]
    assert deciding == {"track": 2, "malignancy_max": 0.5, "threshold": 0.436, "decides": decides}
    assert f"patient: {said}" in captured.err


def test_a_nodule_seen_too_briefly_to_decide_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    brief = replace(track(1, malignancy=0.9), threshold=0.42, decides=False)
    report = replace(study_report(brief), decision="undecided")
    streamer.cli.run.print_result(Console(), Console(stderr=True), report, tmp_path)
    said = capsys.readouterr().out
    assert "undecided (maximum 0.90, threshold 0.42; nodule 1 was seen too briefly to decide)" in said
    assert f"results: {tmp_path}\n" in said  # there is no page
