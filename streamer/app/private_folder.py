"""The app's temporary folder: this user alone can look into it, and it goes with the app (if killed, the next one)."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from streamer.errors import OutputError

if sys.platform != "win32":
    import fcntl

_PREFIX = "streamer-app-"
_FRESH_S = 60.0
"""Age up to which a folder is left alone: its app may be about to lock it."""


@contextmanager
def private_folder() -> Iterator[Path]:
    """A temporary folder, deleted with all it holds; those of apps that were killed are deleted first.

    Raises:
        OutputError: it cannot be made.
    """
    place = Path(tempfile.gettempdir())
    _remove_abandoned(place)
    try:
        folder = tempfile.TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True)
    except OSError as error:
        raise OutputError(f"cannot write to the temporary folder {place}: {error.strerror}") from error
    with folder as path, _in_use(Path(path)):
        yield Path(path).resolve()


@contextmanager
def _in_use(folder: Path) -> Iterator[bool]:
    """Try to lock a folder; the system lets go of it when this process ends, however that comes about.

    Yields:
        False if another process holds it, or nobody can tell.
    """
    if sys.platform == "win32":  # no locks on folders there: what a killed app leaves stays
        yield False
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        locked = False
        with suppress(OSError):  # held, or a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            locked = True
        yield locked
    finally:
        os.close(descriptor)


def _remove_abandoned(place: Path) -> None:
    """Delete this user's folders that nobody holds: patients' clips outlive a crash until the next start at most."""
    for folder in place.glob(f"{_PREFIX}*"):
        with suppress(OSError):
            if sys.platform == "win32" or folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            if time.time() - folder.stat().st_ctime < _FRESH_S:
                continue
            with _in_use(folder) as ours:
                if ours:
                    shutil.rmtree(folder, ignore_errors=True)
