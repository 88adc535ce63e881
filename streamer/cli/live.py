"""What a live run looks like in a terminal: a status line while it goes, losses of the connection, a summary."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median

from rich import progress as bars
from rich.console import Console
from rich.text import Text

from streamer._timing import LiveClock
from streamer.cli.run import print_result, print_warnings
from streamer.cli.signals import stop_on_signal
from streamer.monitoring.metrics import Metrics
from streamer.monitoring.progress import MeteredProgress
from streamer.monitoring.server import monitored
from streamer.outputs.folder import UnchangedReport, new_folder
from streamer.pipeline.thyroid import Engine
from streamer.run import Progress, refuse_result, run_live
from streamer.settings import Settings
from streamer.sources import Source, open_live
from streamer.sources._url import Capture
from streamer.sources.base import result_name
from streamer.summaries import ClipSummary
from streamer.types import FrameResult

_RECENT = 60
"""Frames over which rate and latency are shown: two seconds of a common camera."""


def analyse_live(
    uri: str,
    output: Path | None,
    *,
    settings: Settings,
    patient: str,
    loop: bool = False,
    seconds: float | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
    metrics_address: str | None = None,
    capture: Capture | None = None,
    as_json: bool = False,
) -> int:
    """Run a live source in the terminal until Ctrl-C, which is its normal end, or for some seconds.

    Args:
        uri: as for `open_live`.
        output: folder of the results; if None below `results` by the source's name, a new one each time: what a camera
            shows does not come again.
        settings: how.
        patient: identifier shown in the report.
        loop: repeat a recording.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the source says.
        metrics_address: where metrics and health are told; nowhere if None.
        capture: picture size, rate and format of a device; its own choice if None.
        as_json: print one JSON line on standard output, and the summary on standard error.
        seconds: how long, from when the networks are loaded; without end if None.

    Returns:
        Exit code: 0.

    Raises:
        StreamerError: input, output, weights or device are not usable.
    """
    opened = partial(
        open_live,
        uri,
        loop=loop,
        decoder=settings.runtime.decoder,
        deinterlace=settings.input.deinterlace,
        capture=capture,
        pixel_spacing_mm=pixel_spacing_mm,
    )
    with opened() as probe:  # a wrong address should not wait for the networks
        name = probe.info.name if "://" in probe.info.name else result_name(Path(uri))
    if output is None:
        with new_folder(Path("results") / _folder_name(name)) as folder:
            return _analyse(opened, folder, settings, patient, seconds, as_json, metrics_address)
    refuse_result(Path(uri), output)
    return _analyse(opened, output, settings, patient, seconds, as_json, metrics_address)


def _analyse(
    opened: Callable[..., Source],
    folder: Path,
    settings: Settings,
    patient: str,
    seconds: float | None,
    as_json: bool,
    metrics_address: str | None,
) -> int:
    console, messages = Console(), Console(stderr=True)
    unchanged = UnchangedReport(folder)
    with messages.status("loading the networks (the first time on a machine takes longer)"):
        engine = Engine(settings)
    print_warnings(messages, engine)
    unchanged.check()
    line, metrics = _StatusLine(messages), Metrics("live")
    metrics.set_device(engine.backend.device, engine.backend.precision)
    with (
        monitored(metrics, metrics_address),
        opened(on_event=line.event) as source,
        line,
        stop_on_signal(source.close),
        _closed_after(source, seconds),
    ):
        report = run_live(source, folder, analyser=engine, patient=patient, progress=MeteredProgress(metrics, line))
    print_result(console, messages, report, folder, as_json=as_json)
    return 0


@contextmanager
def _closed_after(source: Source, seconds: float | None) -> Iterator[None]:
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, source.close)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


class _StatusLine(Progress):
    """Time, frames, rate, latency and drops, and what happens to the connection."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bar = bars.Progress(
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}", markup=False),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[line]}", markup=False),
            console=console,
        )
        self._task = bars.TaskID(0)
        self._name = ""
        self._frames = 0
        self._clock = LiveClock()
        self._recent: deque[tuple[float, float]] = deque(maxlen=_RECENT)

    def __enter__(self) -> _StatusLine:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar.tasks:
            self._bar.stop()

    def start_clip(self, source: Source) -> None:
        self._name = source.info.name
        self._task = self._bar.add_task(source.info.name, total=None, line="waiting for the first frame; Ctrl-C ends")
        self._bar.start()

    def frame(self, result: FrameResult) -> None:
        self._frames += 1
        self._clock.add(result)
        self._recent.append((time.monotonic(), result.latency_ms or 0.0))
        seconds = self._recent[-1][0] - self._recent[0][0]
        rate = (len(self._recent) - 1) / seconds if seconds > 0 else 0.0
        latency_ms = median(latency for _, latency in self._recent)
        self._bar.update(
            self._task,
            line=f"{self._frames} frames  {rate:.1f} fps  latency {latency_ms:.0f} ms  "
            f"{self._clock.dropped_frames} dropped",
        )

    def end_clip(self, summary: ClipSummary) -> None:
        for warning in summary.warnings:
            self._warn(f"{summary.name}: {warning}")

    def event(self, message: str) -> None:
        """Say what happened to the connection; called on the thread that reads."""
        self._warn(f"{self._name}: {message}")

    def _warn(self, message: str) -> None:
        self._console.print(Text(f"warning: {message}", style="yellow"), soft_wrap=True)


def _folder_name(name: str) -> str:
    """A folder's name out of a source's."""
    return "".join(letter if letter.isalnum() or letter in "-_. " else "-" for letter in name).strip("-. ") or "live"
