"""The output folder: files are written under a temporary name and get their own once all of them are finished."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import av

from streamer.errors import OutputError

if sys.platform != "win32":
    import fcntl

PARTIAL = ".partial"
FRAMES = "frames.jsonl"
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
NODULES_CSV = "nodules.csv"

_OWN_NAMES = re.compile(
    r"overlay(-\d+)?\.mp4|nodule-\d{3,}\.png|frames\.jsonl|nodules\.csv|report\.(json|html)"
    r"|dicom-(report|reader|overlay|seg|key|selection|state)-\d+\.dcm"
)


def overlay_name(position: int, videos: int) -> str:
    """File name of the overlay of clip `position`, counted from 1, in a study of `videos` clips."""
    return "overlay.mp4" if videos == 1 else f"overlay-{position}.mp4"


def picture_name(track: int) -> str:
    """File name of a nodule's picture."""
    return f"nodule-{track:03d}.png"


def dicom_name(kind: str, number: int | str) -> str:
    """File name of a DICOM result, by its kind (docs/dicom.md) and number."""
    return f"dicom-{kind}-{number}.dcm"


def is_result(path: Path, directory: Path) -> bool:
    """Whether `path` is `directory` itself, or a file in it, or a link to one, that a run into it may replace."""
    folder, file, parent = (Path(os.path.realpath(place)) for place in (directory, path, path.parent))
    return file == folder or any(
        one.parent == folder and _OWN_NAMES.fullmatch(one.name) for one in (file, parent / path.name)
    )


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn errors of the file system and of FFmpeg (mostly OSErrors too) into an OutputError that names `path`."""
    try:
        yield
    except (OSError, av.FFmpegError) as error:
        name = path.with_name(path.name.removesuffix(PARTIAL))
        reason = error.strerror or type(error).__name__
        if not isinstance(error, OSError):
            raise OutputError(f"cannot encode {name}: {reason}") from error
        remedy = "free some space or choose" if error.errno in (errno.ENOSPC, errno.EDQUOT) else "choose"
        raise OutputError(f"cannot write {name}: {reason}; {remedy} another output folder") from error


class OutputFolder:
    """One run's hold on the output folder.

    Args:
        directory: created, with its parents, where absent.

    Raises:
        OutputError: it cannot be created or written to, or another run is writing to it.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        with output_errors(directory):
            self._made = not directory.exists()
            directory.mkdir(parents=True, exist_ok=True)
            self._lock = _locked(directory)
            try:
                self.discard()
                # Found out now rather than after minutes of analysis.
                probe = self.partial(REPORT_JSON)
                probe.touch()
                probe.unlink()
            except OSError:
                self.release()
                raise

    def partial(self, name: str) -> Path:
        """Where the file that will be called `name` is written until it is finished."""
        return self.directory / (name + PARTIAL)

    def discard(self) -> None:
        """Delete unfinished files, those of an earlier run that was killed included; only names of our own.

        Raises:
            OSError: a file cannot be removed.
        """
        for path in self.directory.iterdir():
            if path.name.endswith(PARTIAL) and _OWN_NAMES.fullmatch(path.name.removesuffix(PARTIAL)):
                path.unlink()

    def publish(self, names: Sequence[str]) -> None:
        """Give finished files their names, `report.json` last, in place of an earlier run's.

        The earlier `report.json` goes first: at no moment does a report stand beside files that it does not describe.

        Raises:
            OutputError: a file cannot be moved or removed.
        """
        with output_errors(self.directory):
            for name in names:
                _sync(self.partial(name))
            (self.directory / REPORT_JSON).unlink(missing_ok=True)
            for path in self.directory.iterdir():
                if _OWN_NAMES.fullmatch(path.name) and path.name not in names:
                    path.unlink()
            for name in sorted(names, key=lambda name: name == REPORT_JSON):
                self.partial(name).replace(self.directory / name)

    def release(self) -> None:
        """Let another run use the folder; a folder that was made in vain goes away."""
        os.close(self._lock)
        if self._made:
            with suppress(OSError):  # not empty
                self.directory.rmdir()


def _locked(directory: Path) -> int:
    """A descriptor that locks the folder until it is closed, by the end of the process at the latest."""
    if sys.platform == "win32":  # no locks on folders there
        return os.open(os.devnull, os.O_RDONLY)
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise OutputError(f"another run is writing to {directory}; choose another output folder") from error
    except OSError:
        pass  # a file system without locks
    return descriptor


def _sync(path: Path) -> None:
    """Bring a file to the disk before its name says that it is finished."""
    with path.open("rb") as file:
        os.fsync(file.fileno())
