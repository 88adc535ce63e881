"""Clips by standard input and named pipes."""

from __future__ import annotations

import io
import os
import sys
import tempfile
import threading
from pathlib import Path

import pytest

import streamer.cli.run
from streamer.cli.piped import from_pipes
from streamer.errors import InputError, OutputError
from streamer.outputs.schema import read_report
from tests.cli.command_line import Cli, clip_in
from tests.fakes import FakeEngine


def pipe_in(monkeypatch: pytest.MonkeyPatch, content: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def test_a_clip_by_standard_input(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An mp4 with its index at the end, which cannot be read without seeking."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(streamer.cli.run, "Engine", lambda *_, **__: FakeEngine(delay_s=0.0).as_engine())
    pipe_in(monkeypatch, clip_in(tmp_path, frames=8).read_bytes())
    assert cli("run", "--video", "-") == 0
    report = read_report(tmp_path / "results" / "standard-input" / "report.json")
    assert [(video.name, video.frames, video.complete) for video in report.videos] == [("standard-input", 8, True)]
    assert list((tmp_path / "tmp").iterdir()) == []


def test_a_named_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "clip.mp4")
    writer = threading.Thread(target=lambda: (tmp_path / "clip.mp4").write_bytes(b"content"))
    writer.start()
    with from_pipes(["a.mp4", str(tmp_path / "clip.mp4")]) as paths:
        assert paths[0] == "a.mp4"
        assert (Path(paths[1]).name, Path(paths[1]).read_bytes()) == ("clip.mp4", b"content")
    writer.join()
    assert not Path(paths[1]).exists()


def test_files_stay_as_they_are(tmp_path: Path) -> None:
    with from_pipes(["absent.mp4", str(tmp_path), "a\0b"]) as paths:
        assert paths == ["absent.mp4", str(tmp_path), "a\0b"]


def test_what_is_no_clip(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe_in(monkeypatch, b"")
    with pytest.raises(InputError, match="nothing came out of the pipe"), from_pipes(["-"]):
        pass
    with pytest.raises(InputError, match="once only"), from_pipes(["-", "-"]):
        pass
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"), from_pipes(["-"]):
        pass


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full here")
def test_a_full_temporary_folder_is_named_with_its_remedy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    pipe_in(monkeypatch, b"content")
    opened = Path.open
    full = Path("/dev/full")
    monkeypatch.setattr(Path, "open", lambda self, mode="r": opened(full if mode == "wb" else self, mode))
    told = rf"^the pipe cannot be kept in {tmp_path}: No space left on device; free some space there, or .* TMPDIR$"
    with pytest.raises(OutputError, match=told), from_pipes(["-"]):
        pass
    assert list(tmp_path.iterdir()) == []
