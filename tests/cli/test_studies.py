"""`streamer run` over folders, one study per clip; outputs and pixel spacing as options; examples in every help."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import streamer.cli.run
from streamer.cli.main import app
from streamer.cli.options import numbered, spacing_of
from streamer.outputs.schema import read_frames, read_report
from tests.cli.command_line import Cli, clip_in, listing
from tests.fakes import FakeEngine


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A folder with two clips, numbered so that the order of names is not that of text, and a file that is none."""
    folder = tmp_path / "sweeps"
    folder.mkdir()
    clip_in(folder, "sweep 10.mp4", frames=3)
    clip_in(folder, "sweep 9.mp4", frames=6)
    (folder / "notes.txt").write_text("left lobe")
    (folder / ".hidden.mp4").write_bytes((folder / "sweep 9.mp4").read_bytes())
    return folder


@pytest.mark.usefixtures("ready")
def test_a_folder_of_clips_is_one_patient(cli: Cli, clips: Path, tmp_path: Path) -> None:
    assert cli("run", "--video", clips, "--output", "out") == 0
    report = read_report(tmp_path / "out" / "report.json")
    assert [(video.name, video.frames) for video in report.videos] == [("sweep 9.mp4", 6), ("sweep 10.mp4", 3)]


@pytest.mark.usefixtures("ready")
def test_each_clip_is_a_study_of_its_own(cli: Cli, clips: Path, tmp_path: Path) -> None:
    assert cli("run", "--video", clips, "--each", "clip", "--output", "out") == 0
    reports = {path.parent.name: read_report(path) for path in (tmp_path / "out").glob("*/report.json")}
    assert {name: [video.frames for video in report.videos] for name, report in reports.items()} == {
        "sweep 9": [6],
        "sweep 10": [3],
    }


@pytest.mark.usefixtures("ready")
def test_of_several_studies_one_that_fails_is_named_and_the_others_go_on(
    cli: Cli, clips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(b"no video at all, not even a little")
    assert cli("run", "--video", broken, "--video", clips, "--each", "clip", "--output", "out") == 2
    assert "broken.mp4" in capsys.readouterr().err
    assert len(list((tmp_path / "out").glob("*/report.json"))) == 2


def test_outputs_and_spacing(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamer.cli.run, "Engine", lambda settings, **_: FakeEngine(settings=settings).as_engine())
    clip_in(tmp_path)
    arguments = ("--outputs", "frames,csv,report_json", "--pixel-spacing-mm", "0.1,0.2")
    assert cli("run", "--video", "clip.mp4", "--output", "out", *arguments) == 0
    assert listing(tmp_path / "out") == ["frames.jsonl", "nodules.csv", "report.json"]
    assert read_report(tmp_path / "out" / "report.json").videos[0].pixel_spacing_mm == (0.1, 0.2)
    nodules = [one for line in read_frames(tmp_path / "out" / "frames.jsonl") for one in line.nodules]
    assert nodules
    assert all(one.area_mm2 == pytest.approx(one.area_px * 0.02, abs=0.01) for one in nodules)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--outputs", "frames,pdf"], "--outputs: setting 'outputs.1'"),
        (["--outputs", ""], "--outputs: setting 'outputs.0'"),
        (["--pixel-spacing-mm", "0"], "numbers from 0.001 to 5"),
        (["--pixel-spacing-mm", "0.1,nan"], "numbers from 0.001 to 5"),
        (["--pixel-spacing-mm", "1,2,3"], "numbers from 0.001 to 5"),
        (["--pixel-spacing-mm", "wide"], "numbers from 0.001 to 5"),
    ],
)
def test_nonsense_is_refused(
    cli: Cli, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str
) -> None:
    assert cli("run", "--video", "clip.mp4", *arguments) == 2
    assert complaint in " ".join(capsys.readouterr().err.split())


def test_spacing_and_numbers() -> None:
    assert (spacing_of(None), spacing_of("0.1"), spacing_of("0.1, 0.2")) == (None, (0.1, 0.1), (0.1, 0.2))
    assert numbered(["a", "a (2)", "a", "a"]) == ["a", "a (2)", "a (3)", "a (4)"]


def commands(one: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command that does something, those of groups included, with its name."""
    subcommands = getattr(one, "commands", {})
    if not subcommands or getattr(one, "invoke_without_command", False):
        yield " ".join(path), one
    for name, command in subcommands.items():
        yield from commands(command, (*path, name))


def test_every_command_has_an_example() -> None:
    found = {name: command for name, command in commands(typer.main.get_command(app)) if name}
    assert {"run", "live", "evaluate", "compare", "cross-validate", "benchmark", "benchmark app"} <= found.keys()
    without = [
        name for name, command in found.items() if f"Example: streamer {name.split()[0]}" not in str(command.epilog)
    ]
    assert not without


def test_every_example_is_a_line_that_its_command_takes() -> None:
    """An option that was renamed, or a value out of bounds, would be a usage error here."""
    top: Any = typer.main.get_command(app)
    for name, described in commands(top):
        lines = re.findall(r"Example: streamer (.+)", str(described.epilog))
        for line in lines:
            command, arguments, parent = top, shlex.split(line), None
            while True:
                context = command.make_context(name, list(arguments), parent=parent)
                rest = [*getattr(context, "_protected_args", ()), *context.args]
                if not getattr(command, "commands", {}) or not rest:
                    break
                parent, (_, command, arguments) = context, command.resolve_command(context, rest)
            assert command.callback is not None, line
