"""The output folder: files are written under a temporary name and get their own once all of them are finished."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, count
from pathlib import Path

import av

from streamer._files import lock_folder, sync_to_disk
from streamer.errors import InputError, OutputError
from streamer.output_registry import OUTPUTS, is_output_file
from streamer.outputs.schema import read_report

PARTIAL = ".partial"
FRAMES = "frames.jsonl"
REPORT_JSON = "report.json"
REPORT_HTML = "report.html"
NODULES_CSV = "nodules.csv"

_BEFORE = "report-before.json"
"""Name of the earlier report, as a partial file, while its results are being replaced."""

_OUTPUTS_OF_OLD = ("frames", "csv", "report_html")
"""What a report stands for that does not say which outputs were chosen."""

_PROBE_BYTES = 64 * 1024
"""Room without which no run begins: a report of one nodule takes some 10 kB, the page more."""


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
        one.parent == folder and is_output_file(one.name) for one in (file, parent / path.name)
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


class UnchangedReport:
    """Sees that no other run has written into a folder since this one was asked for.

    The networks are loaded before the folder is locked: of two runs that are started together into one folder the
    faster would be done by then, and its results taken for those of an earlier run.

    Args:
        directory: the folder, which need not be there.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._before = self._report()

    def check(self) -> None:
        """The last thing before the folder is written to.

        Raises:
            OutputError: another report is there now.
        """
        if self._report() != self._before:
            raise OutputError(f"another run has just written to {self._directory}; choose another output folder")

    def _report(self) -> tuple[int, int] | None:
        try:
            found = (self._directory / REPORT_JSON).stat()
        except (OSError, ValueError):  # what else is wrong with the folder shows when it is opened
            return None
        return found.st_ino, found.st_mtime_ns


@contextmanager
def new_folder(wanted: Path) -> Iterator[Path]:
    """A folder of that name, numbered on where it is taken, chosen and made in one step: two runs never share it.

    Left without a file in it, it goes away again, and its parent where that was made too.

    Raises:
        OutputError: it cannot be made.
    """
    with output_errors(wanted):
        parent_made = not wanted.parent.exists()
        wanted.parent.mkdir(parents=True, exist_ok=True)
        numbered = (wanted.with_name(f"{wanted.name}-{number}") for number in count(2))
        folder = next(one for one in chain([wanted], numbered) if _made(one))
    try:
        yield folder
    finally:
        with suppress(OSError):  # not empty, or gone already
            folder.rmdir()
        if parent_made:
            with suppress(OSError):
                wanted.parent.rmdir()


def _made(folder: Path) -> bool:
    try:
        folder.mkdir()
    except FileExistsError:
        return False
    return True


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
                self._replaceable = self._results_of_earlier_run()
                self._refuse_foreign(path.name for path in directory.iterdir() if is_output_file(path.name))
                self.discard()
                self._probe()
            except (OSError, OutputError):
                self.release()
                raise

    def _probe(self) -> None:
        """See that files can be made here, and have room, now rather than after minutes of analysis.

        Where a disk has no room for the first bytes of a video, PyAV 18 would also keep that file open for good.
        """
        probe = self.partial(REPORT_JSON)
        try:
            probe.write_bytes(bytes(_PROBE_BYTES))
        finally:
            probe.unlink(missing_ok=True)

    def partial(self, name: str) -> Path:
        """Where the file that will be called `name` is written until it is finished."""
        return self.directory / (name + PARTIAL)

    def discard(self) -> None:
        """Delete unfinished files, those of an earlier run that was killed included; only names of our own.

        Raises:
            OSError: a file cannot be removed.
        """
        for path in self.directory.iterdir():
            name = path.name.removesuffix(PARTIAL)
            if name != path.name and (name == _BEFORE or is_output_file(name)):
                path.unlink()

    def commit(self, names: Sequence[str]) -> None:
        """Give finished files their names, `report.json` last, in place of an earlier run's.

        Only files that the earlier run's report lists are removed or replaced. That report is set aside first: at no
        moment does a report stand beside files that it does not describe, and a run that is killed here leaves a list
        of what is whose.

        Raises:
            OutputError: a file cannot be moved or removed, or one that is not ours has come there meanwhile.
        """
        with output_errors(self.directory):
            for name in names:
                sync_to_disk(self.partial(name))
            self._refuse_foreign(name for name in names if os.path.lexists(self.directory / name))
            if REPORT_JSON in self._replaceable:
                (self.directory / REPORT_JSON).replace(self.partial(_BEFORE))
            for name in self._replaceable - set(names) - {REPORT_JSON}:
                (self.directory / name).unlink(missing_ok=True)
            for name in sorted(names, key=lambda name: name == REPORT_JSON):
                self.partial(name).replace(self.directory / name)
            self.partial(_BEFORE).unlink(missing_ok=True)
            self._replaceable = set(names)

    def _results_of_earlier_run(self) -> set[str]:
        """Names of what an earlier run has left here.

        What was being replaced when a run was killed belongs to no report any more, and is removed.
        """
        listed = _listed_by(self.directory / REPORT_JSON)
        if listed:
            return listed
        leftovers = _listed_by(self.partial(_BEFORE)) | _listed_by(self.partial(REPORT_JSON))
        for name in leftovers - {REPORT_JSON}:
            (self.directory / name).unlink(missing_ok=True)
        return set()

    def _refuse_foreign(self, names: Iterable[str]) -> None:
        foreign = min((name for name in names if name not in self._replaceable), default=None)
        if foreign is not None:
            raise OutputError(
                f"{self.directory} holds {foreign}, which no report of an earlier run lists: move it away or choose "
                "another output folder"
            )

    def release(self) -> None:
        """Let another run use the folder; a folder that was made in vain goes away."""
        os.close(self._lock)
        if self._made:
            with suppress(OSError):  # not empty
                self.directory.rmdir()


def _listed_by(path: Path) -> set[str]:
    """Names of the results that a report of ours lists, its own included; none where it is not one of ours."""
    try:
        report = read_report(path)
    except InputError:
        return set()
    pictures = {nodule.image for nodule in report.nodules} | {clip.overlay for clip in report.videos}
    names = {name for name in pictures if name is not None and is_output_file(name)}
    outputs = report.settings.get("outputs", _OUTPUTS_OF_OLD)
    unnamed = [spec for output, spec in OUTPUTS.items() if output in outputs and not spec.named]
    names |= {one.name for one in path.parent.iterdir() if any(spec.writes(one.name) for spec in unnamed)}
    return names | {REPORT_JSON}


def _locked(directory: Path) -> int:
    """A descriptor that locks the folder until it is closed, by the end of the process at the latest."""
    descriptor = lock_folder(directory)
    if descriptor is None:
        raise OutputError(f"another run is writing to {directory}; choose another output folder")
    return descriptor
