"""The app under browser sessions that come and go: its memory, threads, files and jobs afterwards."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np

from streamer.app.server import running
from tests.app.held_engine import HeldEngine
from tests.app.pages import ENDED, analyse
from tests.sources.media import write_clip
from tests.torture.outcome import Outcome

_SESSIONS = 8
_STATUS = Path("/proc/self/status")
_SLOPE_MB_PER_MINUTE = 1.0


def soak_the_app(minutes: float, *, seed: int = 0) -> Outcome:
    """Let browser sessions come, analyse a clip and go, some of them in the midst of it."""
    from playwright.sync_api import sync_playwright

    outcome, chance = Outcome(name=f"app with {_SESSIONS} browser sessions that come and go"), random.Random(seed)
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="torture-") as place, sync_playwright() as playwright:
        clip = write_clip(Path(place) / "clip.mp4", codec="libx264", frames=60, size_wh=(320, 240))
        with running(HeldEngine().as_engine(), host="127.0.0.1", port=0, demo_first=True) as url:
            root = Path(os.environ["GRADIO_TEMP_DIR"])
            browser = playwright.chromium.launch(executable_path=executable)
            samples = _visits(browser, url, clip, minutes, chance, outcome)
            browser.close()
            _look_afterwards(root, outcome)
            outcome.notes["memory"] = _slope(samples, outcome)
    outcome.end()
    return outcome


def _visits(
    browser: Any, url: str, clip: Path, minutes: float, chance: random.Random, outcome: Outcome
) -> list[tuple[float, float]]:
    """Eight pages at a time; each turn one of them is replaced. Gives times in minutes and memory in MB."""
    began_s, samples = time.monotonic(), []
    pages: list[Any] = []
    while time.monotonic() - began_s < 60 * minutes:
        if len(pages) >= _SESSIONS:
            leaving = pages.pop(chance.randrange(len(pages)))
            try:
                if chance.random() < 0.5:
                    leaving.wait_for_selector(ENDED, timeout=60_000)
                    outcome.add("analysed")
                else:
                    outcome.add("left early")
            except Exception as error:
                outcome.add("failed", f"{type(error).__name__}: {str(error).splitlines()[0]}")
            leaving.context.close()
        page = browser.new_context().new_page()
        page.goto(url)
        analyse(page, clip)
        pages.append(page)
        samples.append(((time.monotonic() - began_s) / 60, _memory_mb()))
    for page in pages:
        page.context.close()
    return samples


def _look_afterwards(root: Path, outcome: Outcome) -> None:
    """What is left a minute after the last session has gone."""
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s and list((root / "jobs").iterdir()):
        time.sleep(0.5)
    jobs = list((root / "jobs").iterdir())
    uploads = [path for path in root.rglob("*") if path.is_file() and path.name != "phantom.mp4"]
    busy = [thread.name for thread in threading.enumerate() if thread.name in ("decode", "analyse", "write")]
    for left, kind in ((jobs, "folders of jobs"), (uploads, "files"), (busy, "threads of analyses")):
        if left:
            outcome.failures.append(f"{len(left)} {kind} left: {[str(one) for one in left][:5]}")
    outcome.notes["left afterwards"] = f"{len(jobs)} job folders, {len(uploads)} files, {len(busy)} threads of analyses"


def _memory_mb() -> float:
    line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) / 1000


def _slope(samples: list[tuple[float, float]], outcome: Outcome) -> str:
    """A line through the second half of the samples: by then all libraries are imported and all pools have grown."""
    times, sizes = np.array(samples[len(samples) // 2 :]).T
    slope = float(np.polyfit(times, sizes, 1)[0])
    if slope > _SLOPE_MB_PER_MINUTE:
        outcome.failures.append(f"memory grows by {slope:.2f} MB a minute")
    return f"{sizes[0]:.0f} MB half-way, {sizes[-1]:.0f} MB at the end, {slope:+.2f} MB a minute between"
