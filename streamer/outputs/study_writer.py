"""Writes a study's results as they come: overlay and frames.jsonl by frame, pictures by nodule, then the report."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import BinaryIO, Self

from streamer.errors import OutputError
from streamer.models.grad_cam import HeatMaps
from streamer.outputs.folder import (
    FRAMES,
    REPORT_HTML,
    REPORT_JSON,
    OutputFolder,
    output_errors,
    overlay_name,
    picture_name,
)
from streamer.outputs.heatmap import NoduleHeatmaps
from streamer.outputs.html import render_html
from streamer.outputs.key_frames import KeyPictures
from streamer.outputs.overlay import OverlayRenderer
from streamer.outputs.report_json import frame_line, report
from streamer.outputs.schema import read_frames
from streamer.outputs.timeline import read_curves, timeline_svg
from streamer.outputs.video import OverlayVideo
from streamer.outputs.worker import Worker
from streamer.settings import Settings
from streamer.types import Clip, FrameResult, StudyReport

_QUEUED_FRAMES = 3
_QUEUED_BYTES = 256 * 2**20  # two frames of 8K, so that large frames do not fill the memory

StageTimer = Callable[[str, float], None]


class DiscardedError(Exception):
    """Raised by a caller inside a `StudyWriter`'s context: nobody wants the results, nothing more is to be written."""


class StudyWriter:
    """Owns an output folder while a study is written into it; a context manager.

    Drawing and encoding run on a thread of their own behind a bounded queue. Every file is written under a temporary
    name (`.partial`); `write_report` finishes them all, replaces an earlier run's results, and puts `report.json` there
    last. Left without a report, an interrupted study keeps its readable `.partial` files (a playable overlay, whole
    lines) and an earlier run's results stay as they were; after an OutputError or a DiscardedError, or with no frame
    written, nothing of it stays.

    Args:
        directory: the output folder; created where absent.
        settings: of the run.
        videos: number of clips in the study, which decides how overlays are named.
        on_stage: told the name of a stage ("draw", "encode") and its time in milliseconds, on the writer's thread.
        heat_maps: makes the heat maps of the page once all frames are written; none without it.

    Raises:
        OutputError: on entering, if the folder cannot be written to; later, if the disk is full.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        *,
        videos: int = 1,
        on_stage: StageTimer | None = None,
        heat_maps: HeatMaps | None = None,
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._videos = videos
        self._on_stage = on_stage
        self._heat = None if heat_maps is None else NoduleHeatmaps(heat_maps)
        self._overlays: dict[str, str] = {}
        self._warnings: dict[str, tuple[str, ...]] = {}
        self._started = 0
        self._current: _ClipWriter | None = None

    def __enter__(self) -> Self:
        self._folder = OutputFolder(self._directory)
        path = self._folder.partial(FRAMES)
        try:
            with output_errors(path):
                self._lines = path.open("wb")
        except OutputError:
            self._folder.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, DiscardedError) and self._current is not None:
            self._current.abandon()
        try:
            self.end_video()
        except OutputError as failure:
            error = error or failure
            if kind is None:
                raise
        finally:
            with suppress(OSError):  # each line was flushed: what fails here has been raised already
                self._lines.close()
            if isinstance(error, (OutputError, DiscardedError)) or not self._overlays:
                with suppress(OSError):
                    self._folder.discard()
            self._folder.release()

    def start_video(self, clip: Clip) -> None:
        """Begin the next clip; the one before is ended if it was not."""
        self.end_video()
        self._started += 1
        name = overlay_name(self._started, self._videos)
        self._current = _ClipWriter(self._folder, name, clip, self._settings, self._lines, self._on_stage, self._heat)

    def write(self, result: FrameResult) -> None:
        """Take the next frame of the clip; blocks while the queue is full.

        Raises:
            OutputError: this or an earlier frame could not be written.
        """
        if self._current is None:
            raise RuntimeError("start_video() comes before write()")
        self._current.worker.submit(partial(self._current.consume, result))
        self._overlays[self._current.clip.name] = self._current.overlay_name

    def end_video(self, duration_s: float | None = None) -> None:
        """Finish the clip's overlay and pictures. Does nothing where no clip is open.

        Args:
            duration_s: the clip's duration to the end of its last frame; without it, the last frame lasts as long as
                the one before.

        Raises:
            OutputError: a frame or the end of the overlay could not be written.
        """
        if self._current is None:
            return
        current = self._current
        try:
            current.worker.finish(partial(current.close, duration_s))
        except Exception:
            self._current = None
            raise
        self._warnings[current.clip.name] = current.warnings
        self._current = None

    def write_report(self, study: StudyReport) -> None:
        """Write the report and give all files their final names. The last call.

        Raises:
            OutputError: a file could not be written or renamed.
        """
        self.end_video()
        with output_errors(self._folder.partial(FRAMES)):
            self._lines.close()
        pictures = {
            track.track: path
            for track in study.tracks
            if track.qualifies and (path := self._folder.partial(picture_name(track.track))).exists()
        }
        content = report(
            study,
            created=datetime.now(UTC).replace(microsecond=0),
            overlays=self._overlays,
            images={track: picture_name(track) for track in pictures},
            warnings=self._warnings,
        )
        frames = {video.name: video.frames for video in content.videos}
        curves = read_curves(read_frames(self._folder.partial(FRAMES)), frames)
        timeline = timeline_svg(content, curves) if curves and content.videos else None
        self._write_text(REPORT_HTML, render_html(content, pictures, timeline, self._heat))
        self._write_text(REPORT_JSON, content.model_dump_json(indent=2) + "\n")
        self._folder.publish(
            [*self._overlays.values(), FRAMES, *(picture_name(track) for track in pictures), REPORT_HTML, REPORT_JSON]
        )
        with output_errors(self._directory):
            self._folder.discard()  # pictures of nodules that do not count

    def _write_text(self, name: str, text: str) -> None:
        path = self._folder.partial(name)
        with output_errors(path):
            path.write_text(text, encoding="utf-8")


class _ClipWriter:
    """One clip on its way to the disk; all but the constructor runs on the worker's thread."""

    def __init__(
        self,
        folder: OutputFolder,
        overlay_name: str,
        clip: Clip,
        settings: Settings,
        lines: BinaryIO,
        on_stage: StageTimer | None,
        heat: NoduleHeatmaps | None,
    ) -> None:
        self.clip = clip
        self.overlay_name = overlay_name
        self.warnings: tuple[str, ...] = ()
        frame_bytes = max(1, 3 * clip.width * clip.height)
        self.worker = Worker(max(1, min(_QUEUED_FRAMES, _QUEUED_BYTES // frame_bytes)))
        self._folder = folder
        self._settings = settings
        self._lines = lines
        self._on_stage = on_stage
        self._renderer = OverlayRenderer(settings.overlay)
        self._video: OverlayVideo | None = None
        self._pictures = KeyPictures(
            folder,
            min_track_frames=settings.study.min_track_frames,
            max_missed_frames=settings.tracking.max_missed_frames,
            heat=heat,
        )
        self._failed = False

    def consume(self, result: FrameResult) -> None:
        """Draw and encode a frame, append its line, look for key frames."""
        if self._failed:
            return
        try:
            start = perf_counter()
            image = self._renderer.draw(result)
            drawn = perf_counter()
            if self._video is None:
                # The first frame sets the size: a container may announce another.
                path = self._folder.partial(self.overlay_name)
                size_wh = image.shape[1], image.shape[0]
                self._video = OverlayVideo(
                    path,
                    size_wh=size_wh,
                    fps=self.clip.fps,
                    settings=self._settings.overlay,
                    pixel_aspect=self.clip.pixel_aspect,
                )
            self._video.add(image, result.frame.time_s)
            encoded = perf_counter()
            with output_errors(self._folder.partial(FRAMES)):
                self._lines.write(frame_line(result).model_dump_json().encode() + b"\n")
                self._lines.flush()  # a killed run leaves whole lines
            self._pictures.update(result)
        except Exception:
            self._failed = True
            raise
        if self._on_stage is not None:
            self._on_stage("draw", 1000 * (drawn - start))
            self._on_stage("encode", 1000 * (encoded - drawn))

    def abandon(self) -> None:
        """Write nothing more, the frames in the queue included; any thread may say so."""
        self._failed = True

    def close(self, duration_s: float | None) -> None:
        """Finish the clip; after a failure, only let go of the file."""
        if self._video is None:
            return
        if self._failed:
            self._video.abort()
            return
        try:
            self._video.close(duration_s)
        except OutputError:
            self._video.abort()
            raise
        self.warnings = self._video.warnings
        self._pictures.finish()
