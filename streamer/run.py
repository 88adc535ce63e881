"""The main job: all clips of one patient, or a live picture, in; a folder of results out."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from typing import get_args

from streamer._timing import LiveClock, StageClock
from streamer.errors import ClipGoneError, InputError, NoFrameError, OutputError
from streamer.outputs import StudyWriter, is_result
from streamer.outputs.base import Sink
from streamer.outputs.sinks import check_clip
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import analyse
from streamer.pipeline.analyser import FrameAnalyser, checked_analyser
from streamer.pipeline.follower import LONGEST_INTERVAL_S
from streamer.pipeline.volume import with_volumes
from streamer.sources import Source, open_source
from streamer.sources.base import checked_source, display_name
from streamer.sources.clips import expand_clips
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import FrameResult, Plane, checked_spacing

STOPPED = "stopped before the end of the clip"
UNRELATED = (
    "most pictures do not follow one another, so that no nodule is seen long enough to count; "
    "give single stills one by one, not as a folder"
)

TOO_SLOW = (
    f"most pictures came more than {LONGEST_INTERVAL_S:g} s apart, so that no nodule can be followed from one to the "
    "next and none can count"
)


@dataclass(frozen=True, slots=True)
class NamedPath:
    """A clip of the study: where it is and what it is called there."""

    path: Path
    name: str


class Progress:
    """Told how a run goes; does nothing by itself."""

    def start_clip(self, source: Source) -> None:
        """A clip begins."""

    def frame(self, result: FrameResult) -> None:
        """A frame is done."""

    def end_clip(self, summary: ClipSummary) -> None:
        """A clip ends."""


def run_study(
    videos: Sequence[str | Path],
    output: Path,
    *,
    analyser: FrameAnalyser,
    aggregator: PatientAggregator | None = None,
    patient: str = "",
    progress: Progress | None = None,
    should_stop: Callable[[], bool] = lambda: False,
    pixel_spacing_mm: tuple[float, float] | None = None,
    sinks: Sequence[Sink] = (),
    planes: Sequence[Plane | None] = (),
) -> StudyReport:
    """Analyse all clips of one patient and write overlay videos, frames, report and nodule pictures.

    Args:
        videos: paths of clips, stills, folders of stills, DICOM files or folders of them, at least one.
        output: folder of the results; made where missing. Results of an earlier run in it are replaced at the end.
        analyser: loaded networks.
        aggregator: counts what is seen, for a caller who looks at it meanwhile; a new one if None.
        patient: identifier shown in the report.
        progress: told about each clip and frame.
        should_stop: asked after each frame; once True, what was done so far is written as a partial result.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the clips say.
        sinks: outputs of your own, besides those that the settings choose.
        planes: plane of each clip, in order, in place of what the clips say; none for what they say.

    Raises:
        InputError: a clip cannot be read (all are opened before the first is analysed), `planes` are not as many or
            something else, or `sinks` or `progress` are none.
        ValueError: the spacing is not two numbers from 0.001 to 5.
        ClipGoneError: one is gone when its turn comes; the results of those before it are written.
        NoFrameError: it was to stop before the first frame; the folder is as it was.
        DeviceError: the device that runs the networks fails, or its memory is full; or no device decodes as set.
        OutputError: the results cannot be written.
    """
    _check_videos(videos)
    _check_extras(progress, sinks, planes)
    if pixel_spacing_mm is not None:
        pixel_spacing_mm = checked_spacing(pixel_spacing_mm)
    output, analyser = _folder(output, patient), checked_analyser(analyser)
    clips = name_clips(expand_clips(videos))
    opened_as_set = partial(
        open_source, decoder=analyser.settings.runtime.decoder, deinterlace=analyser.settings.input.deinterlace
    )
    if planes and len(planes) != len(clips):
        raise InputError(f"{len(planes)} planes are given for {len(clips)} clips: one for each, in order")
    for clip in clips:
        refuse_result(clip.path, output)
        with opened_as_set(clip.path, name=clip.name) as source:
            check_clip(analyser.settings, source.info)
    run = _Run(
        output,
        analyser,
        aggregator or PatientAggregator(analyser.settings),
        patient,
        progress or Progress(),
        videos=len(clips),
        sinks=sinks,
    )
    gone: InputError | None = None
    with run.writer:
        for clip, plane in zip(clips, planes or [None] * len(clips), strict=True):
            if should_stop():
                break
            try:
                opened = opened_as_set(clip.path, name=clip.name, pixel_spacing_mm=pixel_spacing_mm)
            except InputError as error:
                gone = error
                break
            with opened as source:
                run.add(source, should_stop, plane)
        if gone is not None and not run.frames:
            raise gone
        report = run.finish(not_analysed=[clip.name for clip in clips[len(run.summaries) :]])
    if gone is not None:
        raise ClipGoneError(str(gone)) from gone
    return report


def run_live(
    source: Source, output: Path, *, analyser: FrameAnalyser, patient: str = "", progress: Progress | None = None
) -> StudyReport:
    """Analyse a live source until it ends or is closed, from any thread; results as of `run_study`.

    The report is complete whenever it was ended, unless the connection was lost meanwhile; dropped frames and latency
    are in its `live` figures.

    Args:
        source: as from `open_live`; closed at the end.
        output: folder of the results; made where missing. Results of an earlier run in it are replaced at the end.
        analyser: loaded networks.
        patient: identifier shown in the report.
        progress: told about each frame.

    Raises:
        InputError: the source cannot be read any more.
        NoFrameError: not one frame came; the folder is as it was.
        DeviceError: the device that runs the networks fails, or its memory is full.
        OutputError: the results cannot be written.
    """
    if not hasattr(source, "frames"):
        raise InputError(f"source must be open, as from open_live, not a {type(source).__name__}")
    checked_source(source)
    _check_extras(progress)
    output, analyser = _folder(output, patient), checked_analyser(analyser)
    run = _Run(output, analyser, PatientAggregator(analyser.settings), patient, progress or Progress(), videos=1)
    with source, run.writer:
        run.add(source, lambda: False)
        return run.finish()


def _check_videos(videos: object) -> None:
    """A text is a sequence of texts, too: its letters would be taken for paths."""
    if isinstance(videos, (str, bytes, os.PathLike)) or not isinstance(videos, Sequence) or not videos:
        kind = "an empty one" if videos == [] or videos == () else f"a {type(videos).__name__}"
        raise InputError(f"videos must be a list of at least one path, not {kind}")
    for video in videos:
        if not isinstance(video, (str, os.PathLike)):
            raise InputError(f"videos must be paths, not a {type(video).__name__}")


def _check_extras(progress: object, sinks: object = (), planes: object = ()) -> None:
    members = ("start_clip", "frame", "end_clip")
    if progress is not None and not all(callable(getattr(progress, name, None)) for name in members):
        raise InputError(f"progress must be a streamer.Progress, not a {type(progress).__name__}")
    if not isinstance(sinks, Sequence):
        raise InputError(f"sinks must be a list of sinks, not a {type(sinks).__name__}")
    if isinstance(planes, str) or not isinstance(planes, Sequence):
        raise InputError(f"planes must be a list, not a {type(planes).__name__}")
    wrong = [plane for plane in planes if plane not in (None, *get_args(Plane))]
    if wrong:
        raise InputError(f"a plane is {', '.join(get_args(Plane))} or None, not {wrong[0]!r}")


def _folder(output: object, patient: object) -> Path:
    """The output folder, if it is a path and the patient's identifier a text."""
    if not isinstance(patient, str):
        raise InputError(f"patient must be a text, not a {type(patient).__name__}")
    if not isinstance(output, (str, os.PathLike)):
        raise OutputError(f"output must be the path of a folder, not a {type(output).__name__}")
    return Path(output)


def refuse_result(path: Path, output: Path) -> None:
    """See that a run into `output` does not replace its own input, nor puts its pictures among the stills it reads.

    Raises:
        OutputError: it would.
    """
    if is_result(path, output):
        harm = "have the results among its stills" if path.is_dir() else "be replaced by this run's results"
        raise OutputError(f"{path} would {harm}; choose another output folder")


class _Run:
    """A study on its way from sources to a folder of results."""

    def __init__(
        self,
        output: Path,
        analyser: FrameAnalyser,
        aggregator: PatientAggregator,
        patient: str,
        progress: Progress,
        *,
        videos: int,
        sinks: Sequence[Sink] = (),
    ) -> None:
        self.summaries: list[ClipSummary] = []
        self._planes: dict[str, Plane | None] = {}
        self._analyser, self._aggregator, self._patient, self._progress = analyser, aggregator, patient, progress
        self._clock = StageClock()
        self._started = time.perf_counter()
        self.writer = StudyWriter(
            output,
            analyser.settings,
            videos=videos,
            on_stage=lambda stage, value_ms: self._clock.add({stage: value_ms}),
            heat_maps=analyser.heat_maps,
            sinks=sinks,
        )

    def add(self, source: Source, should_stop: Callable[[], bool], plane: Plane | None = None) -> None:
        """Analyse one source to its end, or until it is to stop."""
        self._planes[source.info.name] = plane or source.info.plane
        self._progress.start_clip(source)
        self.writer.start_clip(source.info)
        frames, end_s, stopped, live = 0, 0.0, False, LiveClock()
        with closing(analyse(source, analyser=self._analyser, aggregator=self._aggregator)) as results:
            for result in results:
                self._clock.add(result.timing_ms)
                live.add(result)
                self.writer.write(result)
                self._progress.frame(result)
                frames, end_s, stopped = frames + 1, result.frame.time_s + 1 / source.info.fps, should_stop()
                if stopped:
                    break
        # A source that was stopped, or whose last frames were dropped, has been read further than it was analysed.
        duration_s = end_s if stopped or source.live else source.duration_s
        name = source.info.name
        unrelated, too_slow = self._aggregator.is_unrelated(name), self._aggregator.is_too_slow(name)
        warnings = (UNRELATED,) * unrelated + (TOO_SLOW,) * too_slow
        rejections, whole = self._aggregator.rejections(name), self._aggregator.is_rejected(name)
        warnings += tuple(_rejection(why, count, frames, whole=whole) for why, count in rejections.items())
        summary = _summary(source, frames, duration_s, warnings, stopped=stopped, live=live)
        summary = replace(summary, rejections=rejections)
        self.writer.end_clip(summary)
        self._progress.end_clip(summary)
        self.summaries.append(summary)

    @property
    def frames(self) -> int:
        """How many were analysed, of all clips."""
        return sum(video.frames for video in self.summaries)

    def finish(self, not_analysed: Sequence[str] = ()) -> StudyReport:
        """Write the report, which names the clips whose turn never came; the last call.

        Raises:
            NoFrameError: there is nothing to report.
        """
        if not self.frames:
            raise NoFrameError("not one frame was analysed: nothing is written, and earlier results are kept")
        elapsed_s = time.perf_counter() - self._started
        malignancy = self._aggregator.patient_malignancy()
        report = StudyReport(
            patient=self._patient,
            videos=tuple(self.summaries),
            tracks=with_volumes(self._aggregator.tracks(self._analyser.info.operating_point), self._planes),
            patient_malignancy=malignancy,
            threshold=self._analyser.info.threshold,
            decision=self._aggregator.decision(self._analyser.info.operating_point),
            models=self._analyser.info.models,
            settings=self._analyser.settings.model_dump(mode="json"),
            device=self._analyser.info.device,
            precision=self._analyser.info.precision,
            warnings=(*self._analyser.info.warnings, *(f"{name} was not analysed" for name in not_analysed)),
            timing=self._clock.summary(),
            frames_per_second=self.frames / elapsed_s,
            complete=not not_analysed and all(video.complete for video in self.summaries),
        )
        self.writer.write_report(report)
        return report


def _rejection(why: str, count: int, frames: int, *, whole: bool) -> str:
    """What a report says of a clip's rejected frames."""
    what = "picture" if frames == 1 else f"{count} of {frames} frames"
    then = "nothing in the clip counts" if whole else "nothing was looked for in them"
    return f"{what}: {why}, so {then}"


def name_clips(videos: Sequence[str | Path]) -> list[NamedPath]:
    """Give each clip the printable name of its file, numbered where several share one."""
    taken: dict[str, NamedPath] = {}
    for video in map(Path, videos):
        own = display_name(video)
        numbered = (f"{own} ({number})" for number in count(2))
        name = own if own not in taken else next(name for name in numbered if name not in taken)
        taken[name] = NamedPath(video, name)
    return list(taken.values())


def _summary(
    source: Source, frames: int, duration_s: float, warnings: tuple[str, ...], *, stopped: bool, live: LiveClock
) -> ClipSummary:
    arrived = frames + live.dropped_frames
    rate = arrived / duration_s if duration_s > 0 and arrived > 1 else source.info.fps
    return ClipSummary(
        name=source.info.name,
        width=source.info.width,
        height=source.info.height,
        pixel_spacing_mm=source.info.pixel_spacing_mm,
        frames=frames,
        fps=rate,
        duration_s=duration_s,
        complete=source.complete and not stopped,
        warnings=(*source.warnings, *warnings, *((STOPPED,) if stopped else ())),
        live=live.summary(),
    )
