"""What the app keeps goes with it, and what a killed one has left goes with the next."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from streamer.app import private_folder as module
from streamer.app.private_folder import private_folder
from streamer.errors import OutputError

_KILLED = """
import os
from streamer.app.private_folder import private_folder
with private_folder() as folder:
    (folder / "clip.mp4").write_text("patient")
    print(folder, flush=True)
    os._exit(9)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return tmp_path


def killed() -> Path:
    done = subprocess.run([sys.executable, "-c", _KILLED], capture_output=True, text=True, check=False)
    assert done.returncode == 9, done.stderr
    return Path(done.stdout.strip())


def test_it_is_private_and_goes() -> None:
    with private_folder() as folder:
        assert folder.stat().st_mode & 0o077 == 0
        (folder / "clip.mp4").touch()
    assert not folder.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders there")
def test_what_a_killed_app_has_left_goes_with_the_next(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    left = killed()
    with private_folder():
        assert (left / "clip.mp4").exists()  # it may be an app that is just starting
    monkeypatch.setattr(module, "_FRESH_S", -1.0)
    others = place / "others"
    others.mkdir()
    link = place / "streamer-app-link"
    link.symlink_to(others)
    with private_folder() as folder:
        assert not left.exists()
        with private_folder() as other:  # a second app beside this one
            assert folder.exists()
            assert other != folder
        assert folder.exists()
    assert sorted(place.iterdir()) == sorted([others, link])


def test_a_folder_that_cannot_be_made(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(place / "absent"))
    with pytest.raises(OutputError, match="cannot write to the temporary folder"), private_folder():
        pass
