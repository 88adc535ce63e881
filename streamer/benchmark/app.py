"""`streamer benchmark app`: the live app as its user sees it.

Measured: the app, its networks and a headless Chromium on this machine; `figures` says what counts. A clip is uploaded
and analysed as a user would do it. The server's processor time is that of this whole process: decoding, networks,
overlay video and answering the page; the browser's is not in it, but on the same cores it takes its share of them.

Not measured: decoding and analysis time before the networks' answer (`report.json` of a run has them), a network
between server and browser, a real display's delay, several users at once. The clip is encoded anew as H.264, so an
unusual codec's cost is not in the figures.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from streamer.app.server import running
from streamer.benchmark.browser import view
from streamer.benchmark.clip import write_looped, write_phantom
from streamer.benchmark.figures import Answered, figures
from streamer.benchmark.machine import describe_machine, describe_versions
from streamer.benchmark.watched import watched
from streamer.pipeline.analyser import FrameCandidates
from streamer.pipeline.thyroid import Engine

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_PACKAGES = ("gradio", "playwright", "openvino", "torch", "av", "opencv-python")


def measure(engine: Engine, browser: Browser, video: Path | None, *, seconds: float) -> dict[str, Any]:
    """Show a recording in the app once: the figures, and what they were measured on, as plain data.

    Raises:
        InputError: the recording cannot be read.
        OutputError: the temporary folder cannot be written.
    """
    answered: dict[int, Answered] = {}

    def note(detected: Sequence[FrameCandidates]) -> None:
        now_s = time.perf_counter()
        answered.update({one.frame.index: Answered(now_s, one.frame.time_s) for one in detected})

    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory(prefix="streamer-benchmark-") as folder:
        if video is None:
            video = Path(folder) / "phantom.mp4"
            write_phantom(video)
        clip = Path(folder) / "clip.mp4"
        frames = write_looped(video, clip, seconds=seconds)
        with running(watched(engine, note), host="127.0.0.1", port=0, demo_first=True) as url:
            viewing = view(browser, url, clip, frames=frames)
    return {
        **asdict(figures(viewing, answered, frames=frames, seconds=seconds)),
        "clip": video.name,
        "seconds": seconds,
        "device": engine.backend.device,
        "precision": engine.backend.precision,
        "machine": describe_machine(),
        "load_average_before": load,
        "versions": describe_versions(_PACKAGES) | {"browser": viewing.browser},
    }
