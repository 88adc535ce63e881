"""What a browser is sent: pixels alone, with no file name, header or metadata of the original."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from itertools import count, islice
from pathlib import Path
from typing import Literal

from streamer._pixels import png_bytes
from streamer._progress import track
from streamer.errors import DataError, InputError, OutputError, StreamerError
from streamer.outputs.video import OverlayVideo
from streamer.settings import OverlaySettings
from streamer.sources import open_source
from streamer.studies.room.study_file import ReadingStudy

Kind = Literal["still", "clip"]

_CHECKERS = 4  # opening waits for the disk more than it computes

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Medium:
    """A file that a browser can show: PNG or H.264 in MP4, with the frame rate in Hz."""

    path: Path
    kind: Kind
    fps: float = 0.0

    @property
    def media_type(self) -> str:
        """MIME type."""
        return "image/png" if self.kind == "still" else "video/mp4"


def check_media(study: ReadingStudy) -> None:
    """Open every still, clip and overlay of a study and decode its first frame, before a reader comes to it.

    Raises:
        DataError: one cannot be shown; its row is named, and how many more there are.
    """
    overlays = any(scenario.overlay for scenario in study.file.scenarios)
    jobs = [
        (image.row, name, file)
        for case in study.cases for image in case.images
        for name, file in (("file", image.file), ("overlay", image.overlay if overlays else None)) if file is not None
    ]  # fmt: skip
    with ThreadPoolExecutor(_CHECKERS, thread_name_prefix="reading-room-check") as pool:
        shown = list(track(pool.map(_can_be_shown, (file for *_, file in jobs)), len(jobs), "checking images"))
    broken = sorted((row, name, file) for (row, name, file), good in zip(jobs, shown, strict=True) if not good)
    if broken:
        row, name, file = broken[0]
        more = f" ({len(broken) - 1} more cannot either)" if len(broken) > 1 else ""
        raise DataError(
            f"{study.table}, row {row}: the {name} {file.name!r} cannot be read as a still or clip{more}: "
            "replace it, or leave the row out before anybody reads"
        )


def _can_be_shown(file: Path) -> bool:
    try:
        with open_source(file) as source:
            return next(iter(source.frames()), None) is not None
    except StreamerError:
        return False


class Media:
    """Makes each file's copy for the browser once.

    Args:
        folder: where copies are kept; private, and deleted with the app.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[Path, Medium] = {}
        self._numbers = count(1)  # of copies: `next` is one step, so that no two have one name
        self._locks: dict[Path, threading.Lock] = {}
        self._lock = threading.Lock()
        self._ahead = ThreadPoolExecutor(1, thread_name_prefix="reading-room-media")

    def close(self) -> None:
        """Give up what is not made yet."""
        self._ahead.shutdown(cancel_futures=True)

    def make_ahead(self, files: Iterable[Path]) -> None:
        """Make copies in the background, before they are asked for."""
        for file in files:
            if file not in self._made:
                with suppress(RuntimeError):  # closed meanwhile
                    self._ahead.submit(self._try, file)

    def of(self, file: Path) -> Medium:
        """The copy of a still or clip.

        Raises:
            InputError: it cannot be read.
            OutputError: the copy cannot be written.
        """
        with self._lock:
            lock = self._locks.setdefault(file, threading.Lock())
        with lock:
            if file not in self._made:
                try:
                    self._made[file] = self._make(file, self._folder / f"{next(self._numbers):06d}")
                except InputError as error:  # whose message names the file, and readers are blind
                    raise InputError("this image cannot be shown; tell the study's administrator") from error
            return self._made[file]

    def _try(self, file: Path) -> None:
        try:
            self.of(file)
        except StreamerError:
            _log.warning("a case cannot be shown")  # the reader who comes to it is told

    def _make(self, file: Path, stem: Path) -> Medium:
        with open_source(file) as source:
            frames = source.frames()
            first = list(islice(frames, 2))
            if not first:
                raise InputError(f"{source.info.name} has no frame")
            if len(first) == 1:
                path = stem.with_suffix(".png")
                try:
                    path.write_bytes(png_bytes(first[0].image))
                except OSError as error:
                    raise OutputError(f"cannot write to the temporary folder: {error.strerror}") from error
                return Medium(path, "still")
            path = stem.with_suffix(".mp4")
            video = OverlayVideo(
                path,
                size_wh=(source.info.width, source.info.height),
                fps=source.info.fps,
                settings=OverlaySettings(),
                pixel_aspect=source.info.pixel_aspect,
            )
            try:
                for frame in first:
                    video.add(frame.image, frame.time_s)
                for frame in frames:
                    video.add(frame.image, frame.time_s)
                video.close(source.duration_s)
            except BaseException:
                video.abort()
                raise
            return Medium(path, "clip", source.info.fps)
