"""`streamer live` as a user meets it."""

from __future__ import annotations

from pathlib import Path

import pytest

import streamer.cli.live
from streamer.outputs.schema import read_report
from tests.cli.command_line import Cli, clip_in, overlay_frames
from tests.fakes import FakeEngine


@pytest.fixture(autouse=True)
def fake_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamer.cli.live, "Engine", lambda _: FakeEngine(delay_s=0.0).as_engine())


def test_a_clip_as_a_live_picture(cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    clip_in(tmp_path, "Hals links.mp4")
    assert cli("live", "--source", "Hals links.mp4", "--loop", "--seconds", "1", "--patient", "P-7") == 0
    folder = tmp_path / "results" / "Hals links"
    report = read_report(folder / "report.json")
    assert (report.patient, report.complete) == ("P-7", True)
    assert report.videos[0].live is not None
    assert overlay_frames(folder / "overlay.mp4") == report.videos[0].frames > 0
    captured = capsys.readouterr()
    assert "live: latency " in captured.out
    assert " frames dropped" in captured.out
    assert "results/Hals links/report.html" in captured.out
    assert "Hals links.mp4" in captured.err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["live"], "Missing option '--source'"),
        (["live", "--source", ""], "the source is empty"),
        (["run", "--source", "clip.mp4"], "No such option"),
        (["run", "--video", "clip.mp4", "--loop"], "No such option"),
        (["run"], "Missing option '--video'"),
        (
            ["run", "--video", "rtsp://user:secret@10.0.0.1/live"],
            "a URL is not read: give the path of a file on this machine, or",
        ),
        (["live", "--source", "absent.mp4"], "there is no file or folder absent.mp4"),
        (["live", "--source", "/dev/video99"], "video99 cannot be opened: No such file or directory"),
        (
            ["live", "--source", "http://user:secret@127.0.0.1:1/a"],
            "http://127.0.0.1:1/a cannot be opened: Connection",
        ),
    ],
)
def test_what_is_refused(cli: Cli, capsys: pytest.CaptureFixture[str], arguments: list[str], complaint: str) -> None:
    assert cli(*arguments) == 2
    captured = capsys.readouterr()
    assert complaint in captured.err
    assert "secret" not in captured.err + captured.out


def test_a_clip_is_never_replaced_by_its_own_result(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = clip_in(tmp_path, "overlay.mp4").read_bytes()
    assert cli("live", "--source", "overlay.mp4", "--output", ".") == 2
    assert "would be replaced" in capsys.readouterr().err
    assert (tmp_path / "overlay.mp4").read_bytes() == before


def test_each_run_has_a_folder_of_its_own(cli: Cli, tmp_path: Path) -> None:
    clip_in(tmp_path, "clip.mp4")
    killed = tmp_path / "results" / "clip-2"  # what a run that was killed has left
    killed.mkdir(parents=True)
    (killed / "overlay.mp4.partial").write_bytes(b"a picture")
    for name in ("clip", "clip-3", "clip-4"):
        assert cli("live", "--source", "clip.mp4") == 0
        assert (tmp_path / "results" / name / "report.json").exists()
    assert (killed / "overlay.mp4.partial").read_bytes() == b"a picture"


@pytest.mark.parametrize("seconds", ["inf", "nan", "1e10", "0"])
def test_a_time_that_is_none(cli: Cli, seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("live", "--source", "absent.mp4", "--seconds", seconds) == 2
    assert "--seconds" in capsys.readouterr().err


def test_what_the_backend_has_to_say(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    engine = FakeEngine(delay_s=0.0)
    engine.backend.warnings = ("fp32 runs instead of int8",)
    monkeypatch.setattr(streamer.cli.live, "Engine", lambda _: engine.as_engine())
    clip_in(tmp_path, "clip.mp4")
    assert cli("live", "--source", "clip.mp4") == 0
    assert "warning: fp32 runs instead of int8" in capsys.readouterr().err
