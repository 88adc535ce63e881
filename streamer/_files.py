"""Atomic file writes, and locks on folders."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from streamer.errors import OutputError

if sys.platform != "win32":
    import fcntl


@contextmanager
def atomic_paths(*paths: Path) -> Iterator[tuple[Path, ...]]:
    """Write files of one folder in one step each: a reader sees the old one or the new one, never half of it.

    The body writes to the paths that are yielded: the same names, in a temporary folder beside the targets. They are
    moved in the order given when the body ends. After an exception they are gone and the targets are as they were.

    Raises:
        OutputError: the file system refuses, or a target is there and is a device; another exception of
            the body goes through.
    """
    first = paths[0]
    for path in paths:
        if path.exists() and not (path.is_file() or path.is_dir()):  # an empty folder may be replaced by a whole one
            raise OutputError(f"cannot write {path}: it is there and is a device; choose another name")
    try:
        with tempfile.TemporaryDirectory(prefix=".partial-", dir=first.parent) as folder:
            partial = tuple(Path(folder) / path.name for path in paths)
            yield partial
            for written, path in zip(partial, paths, strict=True):
                written.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {first}: {error.strerror or error}") from error


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """`atomic_paths` for a single file.

    Example:
        >>> with atomic_path(Path("history.csv")) as partial:  # doctest: +SKIP
        ...     partial.write_text("epoch,loss\\n")
    """
    with atomic_paths(path) as (partial,):
        yield partial


def write_whole(path: Path, content: bytes) -> None:
    """Write bytes in one step.

    Raises:
        OutputError: the file cannot be written.
    """
    with atomic_path(path) as partial:
        partial.write_bytes(content)


def lock_folder(folder: Path) -> int | None:
    """Lock a folder for this process. The lock ends with the descriptor, by the end of the process at the latest.

    The folder itself is locked, so that no lock file lies among a user's results (`filelock` needs one).

    Returns:
        A descriptor for `os.close`, or None if another process holds the lock. Where folders cannot be locked (Windows,
        some network file systems) the descriptor locks nothing.

    Raises:
        OSError: the folder cannot be opened.
    """
    if sys.platform == "win32":
        return os.open(os.devnull, os.O_RDONLY)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    except OSError:
        pass
    return descriptor


def sync_to_disk(path: Path) -> None:
    """Bring a file, or the names in a folder, to the disk.

    Raises:
        OSError: the file system refuses.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
