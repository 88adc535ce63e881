"""The command line as a user meets it: results, and one clear line for what is wrong."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from PIL import Image
from typer.core import TyperGroup
from typer.main import get_command

import streamer.cli.live
import streamer.cli.run
from streamer.cli.main import _called
from streamer.outputs.schema import read_frames, read_report
from streamer.pipeline.thyroid import Engine
from streamer.version import __version__
from tests.cli.command_line import Cli, clip_in, listing, overlay_frames
from tests.fakes import FakeEngine
from tests.sources.media import numbered_image, write_clip


@pytest.mark.usefixtures("ready")
def test_a_run(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip_in(tmp_path, "Hals links.mp4")
    assert cli("run", "--video", "Hals links.mp4", "--patient", "P-7") == 0
    folder = tmp_path / "results" / "Hals links"
    report = read_report(folder / "report.json")
    assert (report.patient, report.complete, report.videos[0].frames) == ("P-7", True, 8)
    assert [line.frame for line in read_frames(folder / "frames.jsonl")] == list(range(8))
    assert overlay_frames(folder / "overlay.mp4") == 8
    output = capsys.readouterr().out
    assert "research use only" in output
    assert "results/Hals links/report.html" in output


@pytest.mark.usefixtures("ready")
def test_clips_of_the_same_name(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    clips = clip_in(tmp_path / "a", "甲状腺 [1].mp4"), clip_in(tmp_path / "b", "甲状腺 [1].mp4", frames=3)
    assert cli("run", "--video", clips[0], "--video", clips[1], "--output", "out") == 0
    report = read_report(tmp_path / "out" / "report.json")
    assert [(video.name, video.frames) for video in report.videos] == [("甲状腺 [1].mp4", 8), ("甲状腺 [1].mp4 (2)", 3)]
    assert "甲状腺 [1].mp4" in capsys.readouterr().out


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("size_wh", [(1, 1), (3, 5), (7680, 4320)])
def test_stills_of_any_size(cli: Cli, tmp_path: Path, size_wh: tuple[int, int]) -> None:
    Image.fromarray(numbered_image(7, width=max(size_wh[0], 8), height=size_wh[1])).resize(size_wh).save("still.png")
    assert cli("run", "--video", "still.png") == 0
    (video,) = read_report(tmp_path / "results" / "still" / "report.json").videos
    assert (video.width, video.height, video.frames, video.complete) == (*size_wh, 1, True)


@pytest.mark.usefixtures("ready")
def test_a_folder_of_stills_given_as_dot(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sweep").mkdir()
    monkeypatch.chdir(tmp_path / "sweep")
    for number in range(3):
        Image.fromarray(numbered_image(number)).save(f"{number}.png")
    assert cli("run", "--video", ".", "--output", "../out") == 0
    assert [(video.name, video.frames) for video in read_report(tmp_path / "out" / "report.json").videos] == [
        ("sweep", 3)
    ]


@pytest.mark.usefixtures("ready")
def test_a_clip_that_breaks_off_is_a_warning(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_clip(tmp_path / "cut.mkv", codec="libx264", frames=60, options={"g": "5", "bf": "0"})
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * 0.6)])
    assert cli("run", "--video", "cut.mkv") == 0
    assert not read_report(tmp_path / "results" / "cut" / "report.json").complete
    captured = capsys.readouterr()
    assert "warning: cut.mkv: " in captured.err
    assert "incomplete" in captured.out


def missing(folder: Path) -> None:
    assert not (folder / "input").exists()


def empty(folder: Path) -> None:
    (folder / "input").write_bytes(b"")


def no_video(folder: Path) -> None:
    (folder / "input").write_text("patient: Jane Doe\n" * 50)


def truncated(folder: Path) -> None:
    content = clip_in(folder, "whole.mp4").read_bytes()
    (folder / "input").write_bytes(content[: len(content) // 2])
    (folder / "whole.mp4").unlink()


def zero_frames(folder: Path) -> None:
    with av.open(str(folder / "input"), "w", format="matroska") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        output.start_encoding()


def audio_only(folder: Path) -> None:
    with av.open(str(folder / "input"), "w", format="mp4") as output:
        stream = output.add_stream("aac", rate=48_000)
        sound = av.AudioFrame.from_ndarray(np.zeros((2, 4096), np.float32), format="fltp", layout="stereo")
        sound.sample_rate = 48_000
        output.mux(stream.encode(sound))
        output.mux(stream.encode(None))


def no_stills(folder: Path) -> None:
    (folder / "input").mkdir()
    (folder / "input" / "notes.txt").write_text("nothing here")


@pytest.mark.parametrize("make", [missing, empty, no_video, truncated, zero_frames, audio_only, no_stills])
def test_a_bad_input_is_one_line(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], make: Callable[[Path], None]
) -> None:
    """Refused before the networks are loaded: the default weights need not exist."""
    make(tmp_path)
    before = listing(tmp_path)
    assert cli("run", "--video", "input") == 2
    assert_one_line(capsys, "input")
    assert listing(tmp_path) == before


def assert_one_line(capsys: pytest.CaptureFixture[str], *named: str) -> None:
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("error: ")
    assert "Jane" not in line
    for part in named:
        assert part in line


def test_a_second_clip_that_is_bad(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip_in(tmp_path)
    assert cli("run", "--video", "clip.mp4", "--video", "absent.mp4", "--output", "out") == 2
    assert_one_line(capsys, "absent.mp4")
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("output", ["file", "file/below", "/proc/streamer", "x" * 300])
def test_an_output_that_cannot_be_written(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], output: str
) -> None:
    clip_in(tmp_path)
    (tmp_path / "file").write_text("mine")
    before = listing(tmp_path)
    assert cli("run", "--video", "clip.mp4", "--output", output) == 2
    assert_one_line(capsys, "cannot write")
    assert listing(tmp_path) == before


@pytest.mark.usefixtures("ready")
@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_an_output_without_permission(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip_in(tmp_path)
    (tmp_path / "locked").mkdir(mode=0o500)
    assert cli("run", "--video", "clip.mp4", "--output", "locked") == 2
    assert_one_line(capsys, "cannot write", "Permission denied")


@pytest.mark.parametrize("spoil", ["absent", "manifest", "checksum"])
def test_unusable_weights(
    cli: Cli, weights_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: str
) -> None:
    clip_in(tmp_path)
    folder = tmp_path / "weights"
    folder.mkdir()
    if spoil != "absent":
        for path in weights_folder.iterdir():
            content = path.read_bytes()
            if path.suffix == {"manifest": ".json", "checksum": ".safetensors"}[spoil]:
                content = content[:-100] + b"x" * 100
            (folder / path.name).write_bytes(content)
    (tmp_path / "config.yaml").write_text(f"weights: {folder}\n")
    before = listing(tmp_path)
    assert cli("run", "--video", "clip.mp4", "--config", "config.yaml") == 2
    assert_one_line(capsys, str(folder))
    assert listing(tmp_path) == before


def test_cuda_asked_for_and_absent(
    cli: Cli, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    clip_in(tmp_path)
    assert cli("run", "--video", "clip.mp4", "--config", config, "--device", "cuda") == 2
    assert_one_line(capsys, "CUDA", "--device cpu")
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize("text", [None, "detection: {confidence: 7}", "{"])
def test_a_bad_configuration(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None) -> None:
    clip_in(tmp_path)
    if text is not None:
        (tmp_path / "settings[1].yaml").write_text(text)
    assert cli("run", "--video", "clip.mp4", "--config", "settings[1].yaml") == 2
    assert_one_line(capsys, "settings[1].yaml")


@pytest.mark.parametrize(
    "arguments", [("run",), ("run", "--video"), ("walk",), ("run", "--video", "x", "--device", "tpu")]
)
def test_wrong_usage(cli: Cli, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...]) -> None:
    assert cli(*arguments) == 2
    error = capsys.readouterr().err
    assert "Traceback" not in error
    assert "Error" in error


def test_help_and_version(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("--version") == 0
    assert capsys.readouterr().out == f"streamer {__version__}\n"
    assert cli("run", "--help") == 0
    assert "--video" in capsys.readouterr().out


def test_the_phantom_is_written_into_a_new_folder(cli: Cli, tmp_path: Path) -> None:
    assert cli("phantom", "--output", "new/clip.mp4", "--frames", "3") == 0
    assert overlay_frames(tmp_path / "new" / "clip.mp4") == 3
    assert cli("phantom", "--output", "new/clip.mp4/below/clip.mp4", "--frames", "3") == 2


def test_the_demo_simulates_and_analyses(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its clip lies in the folder of its results and survives them."""
    monkeypatch.setattr(streamer.cli.run, "Engine", lambda settings, **_: FakeEngine(settings=settings, delay_s=0))
    assert cli("demo", "--output", "demo") == 0
    report = read_report(tmp_path / "demo" / "report.json")
    assert (report.patient, report.complete) == ("phantom", True)
    assert overlay_frames(tmp_path / "demo" / "overlay.mp4") == overlay_frames(tmp_path / "demo" / "phantom.mp4")


@pytest.mark.usefixtures("ready")
def test_a_folder_that_nobody_chose_is_numbered_on(cli: Cli, tmp_path: Path) -> None:
    clip_in(tmp_path, "IM_0001.mp4")
    for patient, name in (("A", "IM_0001"), ("A", "IM_0001-2"), ("", "IM_0001-3")):
        assert cli("run", "--video", "IM_0001.mp4", "--patient", patient) == 0
        assert read_report(tmp_path / "results" / name / "report.json").patient == patient


@pytest.mark.parametrize("command", [("run", "--video"), ("live", "--source")])
def test_of_two_runs_into_one_folder_the_slower_is_refused(
    cli: Cli,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: tuple[str, str],
) -> None:
    """The faster one is done while the slower one loads its networks."""
    clip_in(tmp_path)
    report = tmp_path / "out" / "report.json"

    def loaded(*_: object, **__: object) -> Engine:
        report.parent.mkdir()
        report.write_text("of the faster run")
        return FakeEngine(delay_s=0.0).as_engine()

    monkeypatch.setattr(streamer.cli.run, "Engine", loaded)
    monkeypatch.setattr(streamer.cli.live, "Engine", loaded)
    assert cli(*command, "clip.mp4", "--output", "out") == 2
    assert "another run has just written to out; choose another output folder" in capsys.readouterr().err
    assert report.read_text() == "of the faster run"
    assert listing(report.parent) == ["report.json"]


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("folder", ["2026-11-28T10:30:00", "pipe:1", "%03d"])
def test_any_folder_name_will_do(cli: Cli, tmp_path: Path, folder: str) -> None:
    clip_in(tmp_path)
    assert cli("run", "--video", "clip.mp4", "--output", folder) == 0
    assert overlay_frames(tmp_path.absolute() / folder / "overlay.mp4") == 8


def test_an_empty_path_is_refused(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("run", "--video", "") == 2
    assert "a path is empty" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["run", "app", "deidentify", "cross-validate", "dicom", "study"])
def test_the_command_that_is_called_is_made_alone_and_is_the_same(
    command: str, cli: Cli, capsys: pytest.CaptureFixture[str]
) -> None:
    alone = get_command(_called([command, "--help"]))
    assert isinstance(alone, TyperGroup)
    assert list(alone.commands) == [command]
    whole = get_command(_called(["--version", command]))
    assert isinstance(whole, TyperGroup)
    assert {"run", "live", "dicom", "study"} < set(whole.commands)
    assert cli(command, "--help") == 0
    assert f"streamer {command}" in capsys.readouterr().out


def test_a_command_that_is_none(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("runn") == 2
    assert "No such command 'runn'" in capsys.readouterr().err
