"""The app under browser sessions that come and go: its memory, threads, files and jobs meanwhile and afterwards.

The app runs in a process of its own, so that what the browser's driver keeps is not counted.
"""

from __future__ import annotations

import multiprocessing
import os
import random
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import linregress, t

from tests.app.held_engine import HeldEngine
from tests.app.pages import ENDED, analyse
from tests.sources.media import write_clip
from tests.torture.outcome import Outcome

_SLOPE_MB_PER_MINUTE = 1.0
_PATIENCE_MS = 600_000
_CAMERA_SHARE = 0.3
_PARTS = 15
"""Parts of the last three quarters whose means the line goes through."""
_QUIET_S = 60.0
"""What a session had must be gone so long after its end."""
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip


def soak_the_app(minutes: float, *, sessions: int = 8, pause_s: float = 2.0, seed: int = 0) -> Outcome:
    """Let browser sessions come, analyse a clip or use the camera, and go, some of them in the midst of it."""
    from playwright.sync_api import sync_playwright

    outcome, chance = Outcome(name="Soak of the app", asked="two hours, eight browser sessions"), random.Random(seed)
    executable = shutil.which("chromium") or shutil.which("google-chrome")
    with tempfile.TemporaryDirectory(prefix="torture-") as place, sync_playwright() as playwright:
        clip = write_clip(Path(place) / "clip.mp4", codec="libx264", frames=60, size_wh=(320, 240))
        with _app() as (url, app):
            browser = playwright.chromium.launch(executable_path=executable, args=_FLAGS, timeout=_PATIENCE_MS)
            visitors = _Visitors(browser, url, clip, chance, outcome)
            before = app.look()
            samples = visitors.come_and_go(minutes, sessions, pause_s, app)
            browser.close()
            after = app.look_when_quiet()
        _compare(before, after, outcome)
        outcome.notes["memory"] = slope_of(samples, outcome.tried, outcome)
    outcome.done = f"{minutes:g} minutes, {sessions} browser sessions at a time, {outcome.tried} ended"
    outcome.end()
    return outcome


class _Visitors:
    """Pages that are opened, used and left."""

    def __init__(self, browser: Any, url: str, clip: Path, chance: random.Random, outcome: Outcome) -> None:
        self._browser, self._url, self._clip, self._chance = browser, url, clip, chance
        self._outcome = outcome
        self._camera: Any = None  # one at a time: it keeps one of the app's two workers

    def come_and_go(self, minutes: float, sessions: int, pause_s: float, app: _App) -> list[tuple[float, float]]:
        """So many pages at a time; each turn one of them is replaced. Gives times in minutes and memory in MB."""
        began_s, samples = time.monotonic(), []
        pages: list[Any] = []
        while time.monotonic() - began_s < 60 * minutes:
            if len(pages) >= sessions:
                self._leave(pages.pop(self._chance.randrange(len(pages))))
                time.sleep(pause_s)
            try:
                pages.append(self._come())
            except Exception as error:
                self._failed(error)
            if len(pages) >= sessions:  # before, it grows with their number
                samples.append(((time.monotonic() - began_s) / 60, app.memory_mb()))
        for page in pages:
            page.context.close()
            self._outcome.add("left at the end")
        return samples

    def _come(self) -> Any:
        context = self._browser.new_context(permissions=["camera"])
        page = context.new_page()
        page.set_default_timeout(_PATIENCE_MS)
        page.goto(self._url)
        page.wait_for_selector("[data-id=device]:not(:empty)")
        if self._camera is None and self._chance.random() < _CAMERA_SHARE:
            self._camera = page
            page.click("#tab-camera")
            page.click("[data-id=camera-start]")
        else:
            analyse(page, self._clip)
        return page

    def _leave(self, page: Any) -> None:
        try:
            if page is self._camera:
                self._camera = None
                page.wait_for_selector("[data-id=camera-stop]:enabled")
                self._outcome.add("left with the camera on")
            elif self._chance.random() < 0.5:
                page.wait_for_selector(ENDED)
                self._outcome.add("left with results")
            else:
                self._outcome.add("left in the midst of it")
        except Exception as error:
            self._failed(error)
        page.context.close()

    def _failed(self, error: Exception) -> None:
        self._outcome.add("failed", f"{type(error).__name__}: {str(error).splitlines()[0]}")


Look = dict[str, int]


class _App:
    """The app in its process, seen from outside."""

    def __init__(self, pipe: Connection, process_id: int, root: Path) -> None:
        self._pipe, self._process, self._root = pipe, Path(f"/proc/{process_id}"), root

    def memory_mb(self) -> float:
        """Memory that it has, in MB."""
        lines = (self._process / "status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1000

    def look(self) -> Look:
        """What it holds."""
        self._pipe.send("look")
        uploads = [one for one in self._root.rglob("*") if one.is_file() and one.name != "phantom.mp4"]
        return {
            "job folders": len(list((self._root / "jobs").iterdir())),
            "files of sessions": len(uploads),
            "open files": len(list((self._process / "fd").iterdir())),
            **self._pipe.recv(),
        }

    def look_when_quiet(self) -> Look:
        """What it holds once all sessions have gone."""
        until_s = time.monotonic() + _QUIET_S
        while time.monotonic() < until_s and (self.look()["job folders"] or self.look()["threads of analyses"]):
            time.sleep(1)
        time.sleep(5)  # sockets of the last pages
        return self.look()


@contextmanager
def _app() -> Iterator[tuple[str, _App]]:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there,))
    process.start()
    try:
        if not here.poll(600):
            raise RuntimeError("the app did not start")
        url, root = here.recv()
        yield url, _App(here, process.pid or 0, Path(root))
    finally:
        here.send("end")
        process.join(60)


def _serve(pipe: Connection) -> None:
    from streamer.app.server import running

    with running(HeldEngine().as_engine(), host="127.0.0.1", port=0, demo_first=True) as url:
        pipe.send((url, os.environ["GRADIO_TEMP_DIR"]))
        while pipe.recv() == "look":
            names = [thread.name for thread in threading.enumerate()]
            busy = [name for name in names if name.startswith(("decode", "analyse", "write"))]
            pipe.send({"threads of analyses": len(busy), "threads": len(names)})


def _compare(before: Look, after: Look, outcome: Outcome) -> None:
    """What is left after the last session has gone."""
    for name in ("job folders", "files of sessions", "threads of analyses"):
        if after[name]:
            outcome.failures.append(f"{after[name]} {name} left")
    for name in after:
        outcome.notes[name] = f"{before[name]} before the first session, {after[name]} after the last"


def slope_of(samples: list[tuple[float, float]], sessions: int, outcome: Outcome) -> str:
    """A line through means over twentieths, without the first quarter, in which libraries and pools are filled.

    Args:
        samples: times in minutes, and memory in MB, from when all sessions are there.
        sessions: how many there were in all.
        outcome: gets a failure where memory grows faster than is promised.
    """
    if len(samples) < _PARTS:
        return "too short for a slope"
    times, sizes = np.array(samples).T
    edges = np.linspace(times[0] + (times[-1] - times[0]) / 4, times[-1], _PARTS + 1)
    parts = np.digitize(times, edges)
    kept = [parts == part for part in range(1, _PARTS + 1) if np.any(parts == part)]
    line = linregress([times[part].mean() for part in kept], [sizes[part].mean() for part in kept])
    margin = float(t.ppf(0.975, len(kept) - 2)) * line.stderr
    low, high = line.slope - margin, line.slope + margin
    if low > _SLOPE_MB_PER_MINUTE:
        outcome.failures.append(f"memory grows by {line.slope:.2f} MB a minute")
    return (
        f"{sizes[0]:.0f} MB with all sessions there, {sizes[kept[0]].mean():.0f} MB after {edges[0]:.1f} minutes, "
        f"{sizes[-1]:.0f} MB at the end: {line.slope:+.2f} MB a minute (95 % interval {low:+.2f} to {high:+.2f}), "
        f"{line.slope * times[-1] / max(sessions, 1):+.2f} MB a session"
    )
