"""What runs in a worker process: networks loaded once, one clip at a time, every failure one line."""

from __future__ import annotations

import logging
import tempfile
import time
import traceback
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from streamer.archive.clips import ClipResult, ClipTask, Failure
from streamer.archive.grouping import pseudonym
from streamer.archive.keys import analysis_id, content_digest
from streamer.archive.pictures import SuspiciousFrame
from streamer.archive.tables import clip_columns, frame_row, nodule_row
from streamer.archive.target import Target, filesystem
from streamer.errors import DeviceError, InputError, OutputError, StreamerError, WeightsError
from streamer.outputs.base import BaseSink, Sink
from streamer.pipeline.analyser import FrameAnalyser
from streamer.run import Progress, run_study
from streamer.settings import OutputName, Settings
from streamer.sources import Source
from streamer.summaries import StudyReport
from streamer.types import FrameResult
from streamer.version import __version__

_LOG = logging.getLogger(__name__)
FOLDERS = "folders"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerSettings:
    """All that a worker needs to know; it travels to other machines.

    Attributes:
        settings: of the analysis, threads and device included.
        analysis: its name; a worker that would analyse otherwise (other weights) refuses.
        output: where the folders go.
        outputs: what is written into a folder for each clip; empty for no folders.
        frames: whether rows per frame are wanted.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the clips say.
        secret: makes pseudonyms of identifiers in headers; None to take them as they are.
    """

    settings: Settings
    analysis: str
    output: str
    outputs: tuple[OutputName, ...] = ()
    frames: bool = False
    pixel_spacing_mm: tuple[float, float] | None = None
    secret: bytes | None = None


class Worker(Protocol):
    """Analyses one clip at a time: `fetch`, then `analyse` or `release`. Raises `StreamerError` only where no clip can
    be analysed at all, such as a full disk; `frames_done` may be called from another thread.
    """

    def fetch(self, task: ClipTask) -> str | Failure:
        """Have the clip's files at hand; gives the digest of their content."""
        ...

    def analyse(self, task: ClipTask, key: str, picture_below: str) -> ClipResult | Failure:
        """Analyse what was fetched; a picture is made for a key below `picture_below`."""
        ...

    def release(self) -> None:
        """Let go of what was fetched."""
        ...

    def frames_done(self) -> int:
        """Frames analysed so far, of all clips."""
        ...


class ClipWorker:
    """The `Worker` on the real networks.

    Args:
        given: see there.
        analyser: loaded networks; loaded here if None.

    Raises:
        WeightsError: the weights are missing, damaged, or not those that the run was begun with.
        DeviceError: the device cannot be used.
    """

    def __init__(self, given: WorkerSettings, analyser: FrameAnalyser | None = None) -> None:
        self._given = given
        if analyser is None:
            own = analysis_id(given.settings, pixel_spacing_mm=given.pixel_spacing_mm)
            if own != given.analysis:
                raise WeightsError(
                    "a worker has other weights or another version of streamer than the run was begun with: "
                    "install the same on every machine"
                )
            from streamer.pipeline.thyroid import Engine

            analyser = Engine(given.settings.model_copy(update={"outputs": given.outputs}))
        self._analyser = analyser
        self._target = Target(given.output) if given.outputs else None
        self._fetched: tempfile.TemporaryDirectory[str] | None = None
        self._path: Path | None = None
        self._progress = _Counting()

    def fetch(self, task: ClipTask) -> str | Failure:
        """See `Worker`."""
        self.release()
        try:
            files = self._at_hand(task)
        except StreamerError as error:
            return Failure(kind="fetch", reason=_line(error))
        except Exception as error:  # a file system of any make
            why = getattr(error, "strerror", None) or type(error).__name__
            return Failure(kind="fetch", reason=f"the file cannot be had: {why}")
        try:
            return content_digest(files)
        except OSError as error:
            return Failure(kind="fetch", reason=f"the file cannot be read: {error.strerror or type(error).__name__}")

    def analyse(self, task: ClipTask, key: str, picture_below: str) -> ClipResult | Failure:  # noqa: ARG002
        """See `Worker`.

        Raises:
            RuntimeError: nothing was fetched.
            OutputError, DeviceError: the run cannot go on; it is not this clip's fault.
        """
        if self._path is None:
            raise RuntimeError("a clip is fetched before it is analysed")
        began_s = time.perf_counter()
        frames = _FrameRows(key) if self._given.frames else None
        picture = SuspiciousFrame(self._analyser.settings.overlay) if key < picture_below else None
        try:
            report = self._run(key, [sink for sink in (frames, picture) if sink is not None])
        except InputError as error:
            return self._refused(error)
        except (OutputError, DeviceError):
            raise  # not this clip's fault
        except StreamerError as error:
            return Failure(kind="internal", reason=_line(error))
        except Exception as error:
            # Where and what kind, not its words: they may hold the name of a file, and that a patient's.
            places = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("an analysis failed: %s\n%s", type(error).__name__, places)
            return Failure(kind="internal", reason=f"a fault of streamer's own ({type(error).__name__})")
        finally:
            self.release()
        patient, study = self._progress.group
        return ClipResult(
            clip={
                **clip_columns(report),
                "streamer_version": __version__,
                "has_frames": frames is not None,
                "folder": f"{FOLDERS}/{key}" if self._given.outputs else None,
                "analysis_s": round(time.perf_counter() - began_s, 3),
                "finished": datetime.now(UTC),
            },
            nodules=[nodule_row(key, track) for track in report.tracks],
            frames=None if frames is None else frames.rows,
            picture=None if picture is None else picture.jpeg(),
            patient=self._named(patient),
            study=self._named(study),
        )

    def release(self) -> None:
        """See `Worker`."""
        self._path = None
        if self._fetched is not None:
            self._fetched.cleanup()
            self._fetched = None

    def frames_done(self) -> int:
        """See `Worker`."""
        return self._progress.frames

    def _at_hand(self, task: ClipTask) -> list[Path]:
        places = [filesystem(uri) for uri in task.files]
        here = all("file" in _protocols(fs) for fs, _ in places)
        if here and len(places) == 1:
            self._path = Path(places[0][1])
            return [self._path]
        self._fetched = tempfile.TemporaryDirectory(prefix="streamer-archive-")
        folder = Path(self._fetched.name) / (Path(task.uri).name or "clip")
        folder.mkdir()
        files = []
        for fs, path in places:
            local = folder / (Path(path).name or "clip")
            if here:
                local.symlink_to(
                    Path(path).absolute()
                )  # the stills alone: what lies beside them is no part of the clip
            else:
                fs.get_file(path, str(local))
            files.append(local)
        self._path = files[0] if len(files) == 1 else folder
        return files

    def _run(self, key: str, sinks: Sequence[Sink]) -> StudyReport:
        assert self._path is not None  # as checked
        self._progress.group = ("", "")
        with tempfile.TemporaryDirectory(prefix="streamer-archive-") as temporary:
            results = Path(temporary) / key
            report = run_study(
                [self._path],
                results,
                analyser=self._analyser,
                progress=self._progress,
                pixel_spacing_mm=self._given.pixel_spacing_mm,
                sinks=sinks,
            )
            if self._target is not None:
                self._target.put_folder(results, f"{FOLDERS}/{key}")
        return report

    def _refused(self, error: InputError) -> Failure:
        header = None
        if self._path is not None and self._path.is_file():
            with suppress(Exception):  # what is wrong with it is known already
                header = _header(self._path)
        return Failure(kind="skipped" if header is not None and _is_no_clip(header) else "input", reason=_line(error))

    def _named(self, identifier: str) -> str:
        return identifier if self._given.secret is None else pseudonym(identifier, self._given.secret)


class _Counting(Progress):
    """Counts frames, and notes whose clip it is by its header."""

    def __init__(self) -> None:
        self.frames = 0
        self.group = ("", "")

    def start_clip(self, source: Source) -> None:
        header = source.info.header
        if header is None:
            return
        from streamer.dicom.attributes import text
        from streamer.sources._dicom_folder import patient_of

        if made_by_us(header):
            raise InputError(f"{source.info.name} was made by streamer")
        self.group = "\\".join(filter(None, patient_of(header))), text(header, "StudyInstanceUID")

    def frame(self, result: FrameResult) -> None:  # noqa: ARG002
        self.frames += 1


class _FrameRows(BaseSink):
    """Keeps a row for each frame."""

    def __init__(self, key: str) -> None:
        self._key = key
        self.rows: list[dict[str, Any]] = []

    def write(self, result: FrameResult) -> None:
        self.rows.append(frame_row(self._key, result))


def made_by_us(header: Any) -> bool:
    """Whether a DICOM header is that of a result of ours."""
    from streamer.dicom.classes import made_by_streamer

    return made_by_streamer(header)


def _is_no_clip(header: Any) -> bool:
    from streamer.dicom.classes import refusal

    return made_by_us(header) or refusal(header) is not None


def _header(path: Path) -> Any:
    from streamer.dicom.header import read_header
    from streamer.dicom.magic import is_dicom_file

    if not is_dicom_file(path):
        return None
    opened = read_header(path, path.name)
    opened.file.close()
    return opened.data


def _protocols(fs: Any) -> tuple[str, ...]:
    return tuple(fs.protocol) if isinstance(fs.protocol, (tuple, list)) else (str(fs.protocol),)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())


def with_threads(given: WorkerSettings, threads: int) -> WorkerSettings:
    """The same with another number of CPU threads."""
    return replace(given, settings=given.settings.with_runtime(threads=threads))
