"""Runs the sinks of one study on a thread of their own, and finishes their files together."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.errors import InputError, OutputError
from streamer.models.grad_cam import HeatMaps
from streamer.outputs.base import Sink, SinkContext, StageCallback
from streamer.outputs.folder import OutputFolder, output_errors
from streamer.outputs.heatmap import NoduleHeatmaps
from streamer.outputs.sinks import make_sinks
from streamer.outputs.worker import OrderedWorker
from streamer.settings import Settings
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import ClipInfo, FrameResult

_QUEUED_FRAMES = 3
_QUEUED_BYTES = 256 * 2**20  # two frames of 8K, so that large frames do not fill the memory


class DiscardedError(Exception):
    """Raised by a caller inside a `StudyWriter`'s context: nobody wants the results, nothing more is to be written."""


def _checked(sink: Sink) -> Sink:
    members = ("start_clip", "write", "end_clip", "abort", "close")
    missing = [name for name in members if not callable(getattr(sink, name, None))]
    if missing or isinstance(sink, type):
        kind = sink.__name__ if isinstance(sink, type) else f"a {type(sink).__name__}"
        raise InputError(f"sinks must be objects with start_clip, write, end_clip, abort and close, not {kind}")
    return sink


class StudyWriter:
    """Owns an output folder while a study is written into it; a context manager.

    The sinks run on a thread of their own behind a bounded queue. Every file is written under a temporary name
    (`.partial`); `write_report` finishes them all, replaces an earlier run's results, and puts `report.json` there
    last. Left without a report, an interrupted study keeps its readable `.partial` files (a playable overlay, whole
    lines) and an earlier run's results stay as they were. After an OutputError or a DiscardedError, or with no frame
    written, nothing of it stays.

    Args:
        directory: the output folder; created where absent.
        settings: of the run; `settings.outputs` chooses the sinks.
        videos: number of clips in the study, which decides how overlays are named.
        on_stage: called with the name of a stage ("draw", "encode") and its time in ms, on the writer's thread.
        heat_maps: makes the heat maps of the page once all frames are written; none without it.
        sinks: further sinks; they are called after those of the settings.

    Raises:
        InputError: one of `sinks` is no `Sink`.
        OutputError: on entering, if the folder cannot be written to; later, if the disk is full.
    """

    def __init__(
        self,
        directory: Path,
        settings: Settings,
        *,
        videos: int = 1,
        on_stage: StageCallback | None = None,
        heat_maps: HeatMaps | None = None,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self._directory, self._settings, self._videos = directory, settings, videos
        self._on_stage = on_stage
        self._heatmaps = None if heat_maps is None else NoduleHeatmaps(heat_maps)
        self._own_sinks = [_checked(sink) for sink in sinks]
        self._sinks: list[Sink] = []
        self._written = False
        self._current: _ClipWriter | None = None

    def __enter__(self) -> Self:
        self._folder = OutputFolder(self._directory)
        self._context = SinkContext(
            folder=self._folder,
            settings=self._settings,
            clips=self._videos,
            on_stage=self._on_stage,
            heatmaps=self._heatmaps,
        )
        try:
            self._sinks = [*make_sinks(self._context), *self._own_sinks]
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
            self.end_clip()
        except OutputError as failure:
            error = error or failure
            if kind is None:
                raise
        finally:
            with ExitStack() as last:  # each whatever the others do, the lock at the very end
                last.callback(self._folder.release)
                if isinstance(error, (OutputError, DiscardedError)) or not self._written:
                    last.callback(self._discard)
                for sink in reversed(self._sinks):
                    last.callback(sink.close, None)

    def _discard(self) -> None:
        with suppress(OSError):
            self._folder.discard()

    def start_clip(self, info: ClipInfo) -> None:
        """Begin the next clip; the one before is ended if it was not."""
        self.end_clip()
        self._current = _ClipWriter(self._sinks, info)

    def write(self, result: FrameResult) -> None:
        """Take the next frame of the clip; blocks while the queue is full.

        Raises:
            OutputError: this or an earlier frame could not be written.
            RuntimeError: no clip was started.
        """
        if self._current is None:
            raise RuntimeError("start_clip() comes before write()")
        self._current.worker.submit(partial(self._current.consume, result))
        self._written = True

    def end_clip(self, summary: ClipSummary | None = None) -> None:
        """Finish the clip's files. Does nothing where no clip is open.

        Args:
            summary: the clip as it was read to its end; None where the analysis broke off.

        Raises:
            OutputError: a frame or the end of a file could not be written.
        """
        if self._current is None:
            return
        current = self._current
        try:
            current.worker.finish(partial(current.close, summary))
        except Exception:
            self._current = None
            raise
        self._current = None

    def write_report(self, report: StudyReport) -> None:
        """Write the report and give all files their final names. The last call.

        Raises:
            OutputError: a file could not be written or renamed.
        """
        self.end_clip()
        sinks, self._sinks = self._sinks, []
        for position, sink in enumerate(sinks):
            try:
                sink.close(report)
            except Exception:
                self._sinks = sinks[position + 1 :]
                raise
        self._folder.commit(self._context.committed)
        with output_errors(self._directory):
            self._folder.discard()  # pictures of nodules that do not qualify


class _ClipWriter:
    """One clip on its way to the sinks; all but the constructor and `abandon` runs on the worker's thread."""

    def __init__(self, sinks: Sequence[Sink], info: ClipInfo) -> None:
        frame_bytes = max(1, 3 * info.width * info.height)
        self.worker = OrderedWorker(max(1, min(_QUEUED_FRAMES, _QUEUED_BYTES // frame_bytes)))
        self._sinks = sinks
        self._failed = False
        for sink in sinks:
            sink.start_clip(info)

    def consume(self, result: FrameResult) -> None:
        """Hand a frame to every sink."""
        if self._failed:
            return
        try:
            for sink in self._sinks:
                sink.write(result)
        except Exception:
            self._failed = True
            raise

    def abandon(self) -> None:
        """Write nothing more, the frames in the queue included; any thread may say so."""
        self._failed = True

    def close(self, summary: ClipSummary | None) -> None:
        """Finish the clip; after a failure, only let go of the files."""
        try:
            for sink in () if self._failed else self._sinks:
                sink.end_clip(summary)
        except Exception:
            self._failed = True
            raise
        finally:
            if self._failed:
                for sink in self._sinks:
                    sink.abort()
