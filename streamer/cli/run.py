"""What a run looks like in a terminal: progress while it goes, a summary when it is done."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rich import progress as bars
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.cli.signals import stop_on_signal
from streamer.errors import ClipGoneError, InputError, NoFrameError, StreamerError
from streamer.outputs.folder import REPORT_HTML, REPORT_JSON, UnchangedReport
from streamer.outputs.sinks import check_clip
from streamer.outputs.size_text import axes_text
from streamer.pipeline.aggregation import decimals_apart, decisive
from streamer.pipeline.thyroid import Engine
from streamer.run import Progress, run_study
from streamer.settings import Settings
from streamer.sources import Source, open_source
from streamer.summaries import ClipSummary, StudyReport, Track
from streamer.types import FrameResult, Plane

INTERRUPTED = 130
_FAILED = 2


class RequestedStudy(NamedTuple):
    """What is analysed as one: the clips, the folder of their results, and whose they are."""

    clips: Sequence[str | Path]
    output: Path
    patient: str
    planes: Sequence[Plane | None] = ()


def analyse_studies(
    studies: Sequence[RequestedStudy],
    *,
    settings: Settings,
    pixel_spacing_mm: tuple[float, float] | None = None,
    as_json: bool = False,
) -> int:
    """Run one or several studies in the terminal; the networks are loaded once.

    Where there are several, one that cannot be read is named and the others go on.

    Returns:
        Exit code: 0; 130 if it was stopped by Ctrl-C (the partial result is then in the folder); 2 if one of several
        could not be analysed.

    Raises:
        StreamerError: input, output, weights or device are not usable.
    """
    console, messages = Console(), Console(stderr=True)
    unchanged = [UnchangedReport(study.output) for study in studies]
    expected_frames = _checked(studies[0].clips, settings) if len(studies) == 1 else None
    with messages.status("loading the networks (the first time on a machine takes longer)"):
        engine = Engine(settings, expected_frames=expected_frames)
    print_warnings(messages, engine)
    code = 0
    for study, folder in zip(studies, unchanged, strict=True):
        try:
            folder.check()
            ended = _analyse(study, engine, console, messages, pixel_spacing_mm, as_json)
        except StreamerError as error:
            if len(studies) == 1:
                raise
            messages.print(Text(f"error: {error}", style="bold red"), soft_wrap=True)
            ended = _FAILED
        if ended == INTERRUPTED:
            return INTERRUPTED
        code = code or ended
    return code


def _checked(clips: Sequence[str | Path], settings: Settings) -> int | None:
    """How many frames there are in all, where the clips say; a wrong path should not wait for the networks."""
    frames: list[int | None] = []
    for clip in clips:
        with open_source(clip, decoder=settings.runtime.decoder, deinterlace=settings.input.deinterlace) as source:
            check_clip(settings, source.info)
            frames.append(source.expected_frames)
    known = [count for count in frames if count is not None]
    return sum(known) if len(known) == len(frames) else None


def _analyse(
    study: RequestedStudy,
    engine: Engine,
    console: Console,
    messages: Console,
    pixel_spacing_mm: tuple[float, float] | None,
    as_json: bool,
) -> int:
    with stop_on_signal() as stop, _Bars(messages) as progress:
        try:
            report = run_study(
                study.clips,
                study.output,
                analyser=engine,
                patient=study.patient,
                progress=progress,
                should_stop=lambda: bool(stop),
                pixel_spacing_mm=pixel_spacing_mm,
                planes=study.planes,
            )
        except ClipGoneError as error:
            raise InputError(f"{error}; {study.output} holds what was analysed before") from error
        except NoFrameError as error:
            messages.print(Text(f"stopped: {error}"), soft_wrap=True)
            return INTERRUPTED
    print_result(console, messages, report, study.output, as_json=as_json)
    return INTERRUPTED if stop else 0


def print_warnings(messages: Console, engine: Engine) -> None:
    """What a user should know about how the networks run."""
    for warning in engine.backend.warnings:
        messages.print(Text(f"warning: {warning}", style="yellow"), soft_wrap=True)


class _Bars(Progress):
    """Frames, rate against the clip's own, and remaining time."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            _RateColumn(),
            bars.TimeRemainingColumn(),
            console=console,
        )
        self._task = bars.TaskID(0)

    def __enter__(self) -> _Bars:
        return self

    def __exit__(self, *_: object) -> None:
        if self._progress.tasks:  # or it would print an empty line below an error that came before the first frame
            self._progress.stop()

    def start_clip(self, source: Source) -> None:
        self._progress.start()
        self._task = self._progress.add_task(
            source.info.name, total=source.expected_frames, clip_rate=source.info.fps, began=time.monotonic()
        )

    def frame(self, result: FrameResult) -> None:  # noqa: ARG002
        self._progress.advance(self._task)

    def end_clip(self, summary: ClipSummary) -> None:
        self._progress.update(self._task, total=summary.frames, completed=summary.frames)
        for warning in summary.warnings:
            self._console.print(Text(f"warning: {summary.name}: {warning}", style="yellow"), soft_wrap=True)


class _RateColumn(bars.ProgressColumn):
    """Analysed frames a second, and how that compares with the clip."""

    def render(self, task: bars.Task) -> Text:
        elapsed = (task.finished_time or task.elapsed or 0) or 1e-9
        rate = task.completed / elapsed
        return Text(f"{rate:.1f} fps ({rate / task.fields['clip_rate']:.2f}x real time)")


def print_result(
    console: Console, messages: Console, report: StudyReport, output: Path, *, as_json: bool = False
) -> None:
    """The summary; or a line of JSON, and the summary where messages go."""
    print_summary(messages if as_json else console, report, output)
    if not as_json:
        return
    written = REPORT_JSON in (path.name for path in output.iterdir())
    nodule = decisive(report.tracks)
    line = {
        "report": str((output / REPORT_JSON).absolute()) if written else None,
        "folder": str(output.absolute()),
        "patient": report.patient,
        "decision": report.decision,
        "patient_malignancy": None if report.patient_malignancy is None else round(report.patient_malignancy, 4),
        "threshold": round(report.threshold, 4),
        "decisive_nodule": None if nodule is None else _decisive_line(nodule),
        "complete": report.complete,
    }
    console.out(json.dumps(line), highlight=False)


def _decisive_line(nodule: Track) -> dict[str, object]:
    """What was held against what; `threshold` beside it is that of a still."""
    threshold = None if nodule.threshold is None else round(nodule.threshold, 4)
    return {
        "track": nodule.track_id,
        "malignancy_max": round(nodule.malignancy_max, 4),
        "threshold": threshold,
        "decides": nodule.decides,
    }


def _probability(report: StudyReport) -> str:
    """The maximum, and the threshold it is held against; where another nodule decides, that one's of both."""
    nodule = decisive(report.tracks)
    if nodule is None or report.patient_malignancy is None:
        return ""
    threshold = nodule.threshold or report.threshold
    decimals = decimals_apart(nodule.malignancy_max, threshold, least=2)
    held = f"{nodule.malignancy_max:.{decimals}f}, threshold {threshold:.{decimals}f}"
    role = "was seen too briefly to decide" if report.decision == "undecided" else "decides"
    if nodule.malignancy_max != report.patient_malignancy:
        return f" (maximum {report.patient_malignancy:.2f}; nodule {nodule.track_id} {role}: {held})"
    return (
        f" (maximum {held}; nodule {nodule.track_id} {role})"
        if report.decision == "undecided"
        else f" (maximum {held})"
    )


def print_summary(console: Console, report: StudyReport, output: Path) -> None:
    """Nodules, decision, speed and where the results are."""
    qualifying = [track for track in report.tracks if track.qualifies]
    if qualifying:
        # Without lines a clip's name of twelve letters fits into 80 columns; a longer one breaks, and is read whole.
        table = Table(title="nodules that count for the patient", title_justify="left", box=None, padding=(0, 2, 0, 0))
        for heading in ("nodule", "clip", "frames", "max", "threshold", "median", "key frame", "axes"):
            name = heading == "clip"
            table.add_column(heading, justify="left" if name else "right", no_wrap=not name, overflow="fold")
        for track in qualifying:
            key = track.key_nodule
            table.add_row(
                str(track.track_id),
                Text(track.video),
                str(track.supporting_frames),
                f"{track.malignancy_max:.2f}",
                "" if track.threshold is None else f"{track.threshold:.2f}",
                f"{track.malignancy_median:.2f}",
                str(track.key_frame),
                axes_text(key, times="x"),
            )
        console.print(table)
    if brief := len(report.tracks) - len(qualifying):
        console.print(
            f"{brief} brief finding{'' if brief == 1 else 's'} did not last long enough to count", soft_wrap=True
        )
    probability = _probability(report)
    frames = sum(video.frames for video in report.videos)
    partial = "" if report.complete else ", [yellow]incomplete[/]"
    console.print(
        f"patient: [bold]{report.decision}[/]{probability}{partial}; research use only", highlight=False, soft_wrap=True
    )
    console.print(
        f"{frames} frames at {report.frames_per_second:.1f} fps on {report.device}, {report.precision}",
        highlight=False,
        soft_wrap=True,
    )
    for live in (video.live for video in report.videos if video.live):
        console.print(
            f"live: latency {live.latency_ms.p50:.0f} ms (median), {live.latency_ms.p95:.0f} ms (95th percentile), "
            f"{live.dropped_frames} frames dropped",
            highlight=False,
            soft_wrap=True,
        )
    page = output / REPORT_HTML
    console.print(Text(f"results: {page if page.exists() else output}"), soft_wrap=True)
