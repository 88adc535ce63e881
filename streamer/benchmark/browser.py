"""The app in a headless Chromium: notes which frame is on the screen, and since when."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from streamer.errors import InputError, OutputError, SettingsError

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

_FLAGS = (
    "--no-sandbox",  # Chromium's own does not work in a container; the only page it opens is ours
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)
_LOOK_EVERY_MS = 500
_GIVE_UP_S = 60.0  # without anything new: long enough for a slow machine's first frame
_LAST_FRAMES_S = 3.0  # after the end of the analysis, without anything new
_CLOCK_READINGS = 25

_RECORDER = """() => {
  const canvas = document.querySelector("[data-id=frame]");
  const small = new OffscreenCanvas(32, 24).getContext("2d", { willReadFrequently: true });
  const seen = window.streamerBenchmark = { clicked: null, shown: [] };
  document.querySelector("[data-id=analyse]").addEventListener(
    "click", () => { seen.clicked = performance.now(); }, { capture: true });
  new MutationObserver(() => {
    const position = Number(canvas.dataset.position);
    small.drawImage(canvas, 0, 0, 32, 24);
    const pixels = small.getImageData(0, 0, 32, 24).data.reduce((sum, value) => (Math.imul(sum, 31) + value) | 0, 0);
    requestAnimationFrame(() => seen.shown.push([position, pixels, performance.now()]));
  }).observe(canvas, { attributes: true, attributeFilter: ["data-position"] });
}"""
"""Notes the start and each frame that the page draws. The page sets `data-position` in the call that draws, so the
observer sees the canvas as it was drawn; at the next animation frame the browser has put that on the screen."""

_STATE = """() => ({
  frames: window.streamerBenchmark.shown.length,
  position: window.streamerBenchmark.shown.at(-1)?.[0] ?? -1,
  ended: !document.querySelector("[data-id=results]").hidden,
  complaint: document.querySelector("[data-id=banner][data-kind=error]:not([hidden])")?.textContent || "",
})"""


@dataclass(frozen=True, slots=True)
class Shown:
    """A frame that came onto the screen: its position in the clip, a digest of its pixels, and when."""

    position: int
    pixels: int
    at_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Viewing:
    """What was seen of one clip. Times are on the clock of `time.perf_counter`.

    Attributes:
        clicked_s: when "Analyse" was clicked, in the browser.
        shown: every frame drawn, in order.
        cpu_share: processor time that this process, the server, took in the meantime; 1 is one core.
        clock_error_s: by how much the browser's times may be off.
        browser: its version.
    """

    clicked_s: float
    shown: tuple[Shown, ...]
    cpu_share: float
    clock_error_s: float
    browser: str


@contextmanager
def open_browser() -> Iterator[Browser]:
    """A headless Chromium.

    Raises:
        SettingsError: playwright or the browser is missing, or it does not start.
        OutputError: the browser or the page in it failed later on.
    """
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise SettingsError("the benchmark drives a browser through playwright: pip install playwright") from error
    with sync_playwright() as playwright:
        executable = find_chromium(Path(playwright.chromium.executable_path))
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=list(_FLAGS))
        except Error as error:
            raise SettingsError(f"{executable} does not start: {_first_line(error)}") from error
        try:
            yield browser
        except Error as error:
            raise OutputError(f"the app failed in the browser: {_first_line(error)}") from error
        finally:
            browser.close()


def view(browser: Browser, url: str, clip: Path, *, frames: int) -> Viewing:
    """Have a clip analysed as a user does, and watch until its last frame is on the screen.

    Args:
        browser: where the page is opened.
        url: the app's.
        clip: clip to choose.
        frames: its length.

    Raises:
        InputError: the app refuses the clip.
    """
    page = browser.new_page(viewport={"width": 1280, "height": 720})
    page.goto(url)
    page.wait_for_selector("[data-id=device]:not(:empty)")
    page.evaluate(_RECORDER)
    page.set_input_files("[data-id=choose]", clip)
    page.wait_for_selector("[data-id=analyse]:enabled")
    offset_s, error_s = _clock_offset(page)
    started_s, cpu_s = time.perf_counter(), time.process_time()
    page.click("[data-id=analyse]")
    _wait_for_end(page, frames)
    cpu_share = (time.process_time() - cpu_s) / (time.perf_counter() - started_s)
    seen = page.evaluate("window.streamerBenchmark")
    page.close()
    return Viewing(
        clicked_s=seen["clicked"] / 1000 + offset_s,
        shown=tuple(Shown(position, pixels, at_ms / 1000 + offset_s) for position, pixels, at_ms in seen["shown"]),
        cpu_share=cpu_share,
        clock_error_s=error_s,
        browser=browser.version,
    )


def _wait_for_end(page: Page, frames: int) -> None:
    """Wait until the last frame is shown, or nothing new has come for a while."""
    before, moved_s = -1, time.perf_counter()
    while True:
        page.wait_for_timeout(_LOOK_EVERY_MS)
        state = page.evaluate(_STATE)
        if state["complaint"]:
            raise InputError(state["complaint"])
        if state["frames"] != before:
            before, moved_s = state["frames"], time.perf_counter()
        idle_s = time.perf_counter() - moved_s
        if state["ended"] and (state["position"] == frames - 1 or idle_s > _LAST_FRAMES_S):
            return
        if idle_s > _GIVE_UP_S:
            return


def _clock_offset(page: Page) -> tuple[float, float]:
    """What to add to the browser's time, and how far that may be off: half of the shortest round trip, in seconds."""
    readings = []
    for _ in range(_CLOCK_READINGS):
        asked_s = time.perf_counter()
        browser_s = page.evaluate("performance.now()") / 1000
        answered_s = time.perf_counter()
        readings.append((answered_s - asked_s, (asked_s + answered_s) / 2 - browser_s))
    round_trip_s, offset_s = min(readings)
    return offset_s, round_trip_s / 2


def find_chromium(own: Path) -> Path:
    """The system's browser, else the one that playwright has installed at `own`.

    Raises:
        SettingsError: there is none.
    """
    system = shutil.which("chromium") or shutil.which("google-chrome")
    if system is not None:
        return Path(system)
    if not own.is_file():
        raise SettingsError(
            "the benchmark needs Chromium: apt-get install chromium, or elsewhere: playwright install chromium"
        )
    return own


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
