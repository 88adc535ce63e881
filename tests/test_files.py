"""Atomic writes and folder locks."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from streamer._files import atomic_path, atomic_paths, lock_folder, write_whole
from streamer.errors import OutputError


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def fail(path: Path, error: BaseException) -> None:
    with atomic_path(path) as partial:
        partial.write_text("ne")
        raise error


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with atomic_path(path) as partial:
        partial.write_text("new")
        assert partial.name == "a.txt"  # libraries look at the suffix
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert names(tmp_path) == {"a.txt"}


def test_files_that_belong_together_are_moved_in_the_order_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    replace = Path.replace

    def noted(self: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", noted)
    with atomic_paths(tmp_path / "net.bin", tmp_path / "net.xml") as (binary, description):
        description.write_text("<net/>")
        binary.write_bytes(b"\x00")
    assert moved == ["net.bin", "net.xml"]
    assert names(tmp_path) == {"net.bin", "net.xml"}


@pytest.mark.parametrize("error", [RuntimeError("full"), KeyboardInterrupt()])
def test_after_a_failure_nothing_of_it_is_left(tmp_path: Path, error: BaseException) -> None:
    (tmp_path / "a.txt").write_text("old")
    with pytest.raises(type(error)):
        fail(tmp_path / "a.txt", error)
    assert names(tmp_path) == {"a.txt"}
    assert (tmp_path / "a.txt").read_text() == "old"


def test_an_error_of_the_file_system_names_the_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"cannot write .*absent/a\.txt: No such file"):
        write_whole(tmp_path / "absent" / "a.txt", b"")
    with pytest.raises(OutputError, match=r"cannot write .*b\.txt: No space left"):
        fail(tmp_path / "b.txt", OSError(28, "No space left on device"))
    assert names(tmp_path) == set()


@pytest.mark.skipif(sys.platform == "win32", reason="folders cannot be locked on Windows")
def test_a_folder_is_locked_until_its_holder_ends(tmp_path: Path) -> None:
    hold = (
        "import sys; from pathlib import Path; from streamer._files import lock_folder\n"
        "assert lock_folder(Path(sys.argv[1])) is not None; print('held', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", hold, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert lock_folder(tmp_path) is None
        holder.kill()
        holder.wait()
        descriptor = lock_folder(tmp_path)
    assert descriptor is not None
    os.close(descriptor)
    assert names(tmp_path) == set()


def test_a_device_is_not_replaced_by_a_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"  # stands for /dev/null, which a user may name to throw results away
    os.mkfifo(pipe)
    with pytest.raises(OutputError, match="it is there and is a device"):
        write_whole(pipe, b"content")
    assert pipe.is_fifo()
