"""The main job: all clips of one patient in, a folder of results out."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from streamer.engine import Engine
from streamer.errors import OutputError
from streamer.outputs import StudyWriter, is_result
from streamer.pipeline import analyse
from streamer.records import FrameResult, StudyReport, VideoSummary
from streamer.sources import Source, open_source
from streamer.sources.base import display_name
from streamer.study import Study, decide
from streamer.telemetry import StageClock

STOPPED = "stopped before the end of the clip"


@dataclass(frozen=True, slots=True)
class Clip:
    """A clip of the study: where it is and what it is called there."""

    path: Path
    name: str


class Progress:
    """Told how a run goes; does nothing by itself."""

    def start_video(self, source: Source) -> None:
        """A clip begins."""

    def frame(self, result: FrameResult) -> None:
        """A frame is done."""

    def end_video(self, summary: VideoSummary) -> None:
        """A clip ends."""


def run_study(
    videos: Sequence[str | Path],
    output: Path,
    *,
    engine: Engine,
    patient: str = "",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
) -> StudyReport:
    """Analyse all clips of one patient and write overlay videos, frames, report and nodule pictures.

    Args:
        videos: paths of clips, stills or folders of stills, at least one.
        output: folder of the results; made where missing. Results of an earlier run in it are replaced at the end.
        engine: loaded networks.
        patient: identifier shown in the report.
        progress: told about each clip and frame.
        should_stop: asked after each frame; once True, what was done so far is written as a partial result.

    Raises:
        InputError: a clip cannot be read (all are opened before the first is analysed).
        OutputError: the results cannot be written.
    """
    progress = progress or Progress()
    clips = name_clips(videos)
    for clip in clips:
        if is_result(clip.path, output):
            raise OutputError(f"{clip.path} would be replaced by this run's results; choose another output folder")
        open_source(clip.path, name=clip.name).close()
    study, clock = Study(engine.settings), _LockedClock()
    summaries: list[VideoSummary] = []
    started = time.perf_counter()
    writer = StudyWriter(
        output, engine.settings, videos=len(clips), on_stage=clock.add_stage, heat_maps=engine.heat_maps
    )
    with writer:
        for clip in clips:
            if should_stop():
                break
            with open_source(clip.path, name=clip.name) as source:
                progress.start_video(source)
                writer.start_video(source)
                frames, end_s, stopped = 0, 0.0, False
                with closing(analyse(source, engine=engine, study=study)) as results:
                    for result in results:
                        clock.add(result.timing_ms)
                        writer.write(result)
                        progress.frame(result)
                        frames, end_s, stopped = frames + 1, result.frame.time_s + 1 / source.fps, should_stop()
                        if stopped:
                            break
                # A stopped source has been read further than it was analysed.
                summary = _summary(source, frames, end_s if stopped else source.duration_s, stopped=stopped)
                writer.end_video(summary.duration_s)
                progress.end_video(summary)
                summaries.append(summary)
        elapsed = time.perf_counter() - started
        report = _report(engine, study, summaries, patient, clock, elapsed, complete=len(summaries) == len(clips))
        writer.write_report(report)
    return report


def name_clips(videos: Sequence[str | Path]) -> list[Clip]:
    """Give each clip the printable name of its file, numbered where several share one."""
    taken: dict[str, Clip] = {}
    for video in map(Path, videos):
        own = display_name(video)
        numbered = (f"{own} ({number})" for number in count(2))
        name = own if own not in taken else next(name for name in numbered if name not in taken)
        taken[name] = Clip(video, name)
    return list(taken.values())


def _summary(source: Source, frames: int, duration_s: float, *, stopped: bool) -> VideoSummary:
    rate = frames / duration_s if duration_s > 0 and frames > 1 else source.fps
    return VideoSummary(
        name=source.name,
        width=source.width,
        height=source.height,
        frames=frames,
        fps=rate,
        duration_s=duration_s,
        complete=source.complete and not stopped,
        warnings=(*source.warnings, *((STOPPED,) if stopped else ())),
    )


def _report(
    engine: Engine,
    study: Study,
    summaries: Sequence[VideoSummary],
    patient: str,
    clock: _LockedClock,
    elapsed_s: float,
    *,
    complete: bool,
) -> StudyReport:
    malignancy = study.patient_malignancy()
    return StudyReport(
        patient=patient,
        videos=tuple(summaries),
        tracks=study.tracks(),
        patient_malignancy=malignancy,
        threshold=engine.threshold,
        decision=decide(malignancy, engine.threshold),
        models=engine.versions,
        settings=engine.settings.model_dump(mode="json"),
        device=engine.backend.device,
        precision=engine.backend.precision,
        timing=clock.summary(),
        frames_per_second=sum(video.frames for video in summaries) / elapsed_s,
        complete=complete and all(video.complete for video in summaries),
    )


class _LockedClock(StageClock):
    """A clock that the writer's thread and the main thread may both tell."""

    def __init__(self) -> None:
        super().__init__()
        self._lock = threading.Lock()

    def add(self, timing_ms: Mapping[str, float]) -> None:
        with self._lock:
            super().add(timing_ms)

    def add_stage(self, stage: str, value_ms: float) -> None:
        self.add({stage: value_ms})
