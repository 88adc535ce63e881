"""Clips out of pipes: what comes by standard input or a named pipe is kept in a temporary file first."""

from __future__ import annotations

import shutil
import stat
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from streamer.errors import InputError, OutputError

STANDARD_INPUT = "-"


@contextmanager
def from_pipes(paths: Sequence[str]) -> Iterator[list[str]]:
    """The paths, those of pipes replaced by files with all that came out of them; gone with the context.

    Many containers cannot be read without seeking, and every clip is opened twice: a pipe can be read once.

    Args:
        paths: what a user gave; "-" is standard input.

    Raises:
        InputError: standard input is given twice, is a terminal, or nothing came.
        OutputError: the temporary folder is full.
    """
    if paths.count(STANDARD_INPUT) > 1:
        raise InputError("standard input (-) can be read once only")
    if not any(_is_pipe(path) for path in paths):
        yield list(paths)
        return
    with tempfile.TemporaryDirectory(prefix="streamer-pipe-") as folder:
        places = [Path(folder) / str(number) for number in range(len(paths))]
        yield [_kept(path, place) if _is_pipe(path) else path for path, place in zip(paths, places, strict=True)]


def _is_pipe(path: str) -> bool:
    if path == STANDARD_INPUT:
        return True
    try:
        return stat.S_ISFIFO(Path(path).stat().st_mode)
    except (OSError, ValueError):  # `open_source` says what is wrong with it
        return False


def _kept(path: str, folder: Path) -> str:
    """A file with what the pipe gives."""
    folder.mkdir()
    if path != STANDARD_INPUT:
        with Path(path).open("rb") as pipe:
            name = Path(path).name
            return _copied(pipe, folder / ("pipe" if name.isdigit() else name))  # <(...) of a shell is /dev/fd/63
    if sys.stdin is None:
        raise InputError("standard input is closed: pipe a clip into it, or give a file")
    if sys.stdin.isatty():
        raise InputError("standard input is a terminal: pipe a clip into it, or give a file")
    return _copied(sys.stdin.buffer, folder / "standard-input")


def _copied(pipe: BinaryIO, target: Path) -> str:
    try:
        with target.open("wb") as file:
            shutil.copyfileobj(pipe, file, 1024 * 1024)
    except OSError as error:
        remedy = "free some space there, or name another folder in TMPDIR"
        raise OutputError(f"the pipe cannot be kept in {tempfile.gettempdir()}: {error.strerror}; {remedy}") from error
    if not target.stat().st_size:
        raise InputError(f"nothing came out of the pipe ({target.name})")
    return str(target)
