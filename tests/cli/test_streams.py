"""Standard streams that fail: the work is done all the same."""

from __future__ import annotations

import errno
import io
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import streamer.cli.main
from streamer.cli.streams import standard_streams
from tests.cli.command_line import Cli, clip_in

FULL = Path("/dev/full")
needs_full = pytest.mark.skipif(not FULL.exists(), reason="no /dev/full here")


def _print_and_write(result: Path) -> None:
    print("x", flush=True)  # noqa: T201
    result.write_text("done")


@needs_full
def test_a_full_standard_error_is_not_missed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stderr", full)
        with standard_streams():
            print("x" * 100_000, file=sys.stderr, flush=True)  # noqa: T201
            (tmp_path / "result").write_text("done")
            print("y", file=sys.stderr, flush=True)  # noqa: T201
    assert (tmp_path / "result").read_text() == "done"


@needs_full
def test_a_full_standard_output_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with FULL.open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        with pytest.raises(SystemExit) as caught, standard_streams():
            _print_and_write(tmp_path / "result")
    assert caught.value.code == 2
    assert (tmp_path / "result").exists()
    assert capsys.readouterr().err == (
        "error: standard output cannot be written: No space left on device; the results themselves are written\n"
    )


@contextmanager
def no_reader() -> Iterator[None]:
    """Standard output is a pipe that nobody reads."""
    reading, writing = os.pipe()
    os.close(reading)
    with pytest.MonkeyPatch.context() as patch, open(writing, "w") as pipe:  # noqa: PTH123
        patch.setattr(sys, "stdout", pipe)
        yield


def test_a_reader_that_is_gone_is_left_to_typer() -> None:
    with pytest.raises(BrokenPipeError), no_reader(), standard_streams():
        print("x", flush=True)  # noqa: T201


def test_a_reader_that_is_gone_at_the_end() -> None:
    with pytest.raises(SystemExit) as caught, no_reader(), standard_streams():
        print("x")  # noqa: T201
    assert caught.value.code == 1


def test_streams_are_put_back_and_closed_ones_stay_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    before = sys.stdout
    with standard_streams():
        assert sys.stderr is None
    assert sys.stdout is before


def test_characters_that_a_terminal_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="ascii"))
    with standard_streams():
        print("Häls │ 1", flush=True)  # noqa: T201
    assert written.getvalue() == b"H?ls ? 1\n"


@needs_full
def test_help_into_a_full_disk_in_a_process_of_its_own() -> None:
    root = Path(streamer.cli.main.__file__).parents[2]
    command = [sys.executable, "-c", "from streamer.cli.main import main; main()", "--version"]
    with FULL.open("w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, cwd=root, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: standard output cannot be written: No space left on device")
    assert "Traceback" not in done.stderr


def test_no_temporary_folder(cli: Cli, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def nowhere(*_: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp', '/var/tmp']")

    monkeypatch.setattr(tempfile, "gettempdir", nowhere)
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"clip")))
    assert cli("run", "--video", "-") == 2
    assert capsys.readouterr().err == (
        "error: no temporary folder can be written: free some space, or name a folder in TMPDIR\n"
    )


def test_another_missing_file_is_no_matter_of_temporary_folders(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: object, **__: object) -> str:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr("streamer.sources.clips.expand_clips", gone)
    clip_in(Path.cwd())
    with pytest.raises(FileNotFoundError):
        cli("run", "--video", "clip.mp4")


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    program = """
import os
from streamer.cli.streams import standard_streams
with standard_streams(), open("result", "w") as result:
    os.system("echo noise >&2")
    result.write("done %d" % result.fileno())
"""
    subprocess.run(["sh", "-c", '"$0" -c "$1" <&- >&- 2>&-', sys.executable, program], cwd=tmp_path, check=True)
    text = (tmp_path / "result").read_text()
    assert text.startswith("done ")
    assert int(text.split()[1]) > 2
