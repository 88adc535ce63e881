"""`streamer benchmark app`: the live app as its user sees it.

Measured: the app, its networks and a headless Chromium on this machine; `figures` says what counts. A clip is uploaded
and analysed as a user would do it. The server's processor time is that of this whole process: decoding, networks,
overlay video and answering the page; the browser's is not in it, but on the same cores it takes its share of them.

Not measured: decoding and analysis time before the networks' answer (`report.json` of a run has them), a network
between server and browser, a real display's delay, several users at once. The clip is encoded anew as H.264, so an
unusual codec's cost is not in the figures.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from rich.console import Console
from rich.table import Table

from streamer.app.demo_clip import THREAD_NAME
from streamer.app.server import running, warm_engine
from streamer.benchmark.browser import open_browser, view
from streamer.benchmark.clip import write_looped, write_phantom
from streamer.benchmark.figures import Answered, figures
from streamer.benchmark.machine import describe_machine, describe_versions
from streamer.outputs.folder import output_errors
from streamer.pipeline.analyser import FrameFindings
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from streamer.sources import open_source
from streamer.types import Frame

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NOTHING_SHOWN = 1
_PACKAGES = ("gradio", "playwright", "openvino", "torch", "av", "opencv-python")


class WatchedEngine:
    """An engine that notes when it has answered for each frame of one clip."""

    def __init__(self, engine: Engine) -> None:
        """Watch `engine`, which does the work."""
        self.answered: dict[int, Answered] = {}
        self._engine = engine

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def find(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Like the engine's."""
        found = self._engine.analyse(frames)
        now_s = time.perf_counter()
        self.answered.update({frame.index: Answered(now_s, frame.time_s) for frame in frames})
        return found


def run_benchmark(settings: Settings, *, video: Path | None, seconds: float, json_file: Path | None) -> int:
    """Measure, print a table, and write the same as JSON.

    Args:
        settings: of the analysis.
        video: recording to show, looped or cut to `seconds`; the simulated one if None.
        seconds: length of what is shown.
        json_file: file for the figures; none if None.

    Returns:
        Exit code: 0, or 1 if nothing was shown.

    Raises:
        SettingsError: playwright or a browser is missing.
        InputError: the recording cannot be read.
        WeightsError, DeviceError: the networks cannot be loaded.
        OutputError: the JSON file cannot be written.
    """
    messages = Console(stderr=True)
    if video is not None:
        open_source(video).close()  # a wrong path should not wait for the networks
    with (
        open_browser() as browser,
        messages.status("loading the networks (the first time on a machine takes longer)") as status,
    ):
        engine = warm_engine(settings)
        status.update("showing the clip")
        result = measure(engine, browser, video, seconds=seconds)
    if json_file is not None:
        with output_errors(json_file):
            json_file.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    _print_table(result)
    return 0 if result["distinct_frames_shown"] else NOTHING_SHOWN


def measure(engine: Engine, browser: Browser, video: Path | None, *, seconds: float) -> dict[str, Any]:
    """Show a recording in the app once: the figures, and what they were measured on, as plain data.

    Raises:
        InputError: the recording cannot be read.
        OutputError: the temporary folder cannot be written.
    """
    watched = WatchedEngine(engine)
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(prefix="streamer-benchmark-") as folder:
        if video is None:
            video = Path(folder) / "phantom.mp4"
            write_phantom(video)
        clip = Path(folder) / "clip.mp4"
        frames = write_looped(video, clip, seconds=seconds)
        with running(cast(Engine, watched), host="127.0.0.1", port=0) as url:
            _wait_for_demo_clip()
            viewing = view(browser, url, clip, frames=frames)
    return {
        **asdict(figures(viewing, watched.answered, frames=frames, seconds=seconds)),
        "clip": video.name,
        "seconds": seconds,
        "device": engine.backend.device,
        "precision": engine.backend.precision,
        "machine": describe_machine(),
        "load_average_before": load,
        "versions": describe_versions(_PACKAGES) | {"browser": viewing.browser},
    }


def _wait_for_demo_clip() -> None:
    """The app simulates its demo clip when it starts; that would take the processor from what is measured."""
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join()


def _print_table(result: Mapping[str, Any]) -> None:
    def both(name: str) -> str:
        pair = result[name]
        return "-" if pair["p50"] is None else f"{pair['p50']:.0f} / {pair['p95']:.0f} ms"

    first_ms = result["first_overlay_ms"]
    machine = result["machine"]
    rows = {
        "frames shown per second": f"{result['frames_shown_per_second']:.1f} (clip {result['clip_fps']:g}, "
        f"networks {result['analysed_per_second']:.1f})",
        "distinct frames shown": f"{result['distinct_frames_shown']} of {result['frames']}",
        "first overlay after": "-" if first_ms is None else f"{first_ms:.0f} ms",
        "latency p50 / p95": both("latency_ms"),
        "answer to screen p50 / p95": both("answer_to_screen_ms"),
        "server CPU": f"{result['server_cpu_percent']:.0f} % of one core",
        "networks on": f"{result['device']}, {result['precision']}",
        "machine": f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}",
        "load of it before": str(result["load_average_before"]),
    }
    table = Table(title=f"{result['clip']}, {result['seconds']:g} s", show_header=False, title_justify="left")
    for name, value in rows.items():
        table.add_row(name, value)
    Console().print(table)
