"""The app in this process, and headless Chromium in front of it."""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from streamer.app.jobs import Jobs
from tests.app.held_engine import FPS, HeldEngine, numbered
from tests.scintigraphy.random_run import write_random_run

_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
    "--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream",
)  # fmt: skip
CAMERA_FRAMES = 40

NewPage = Callable[[], Any]


def pytest_configure(config: pytest.Config) -> None:
    """Gradio leaves event loops behind where it makes locks outside of one."""
    config.addinivalue_line("filterwarnings", "ignore:unclosed (event loop|<socket):ResourceWarning")


def write_numbered(path: Path, frames: int, rate: int = FPS) -> Path:
    """A clip whose frames carry their numbers."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12", "preset": "ultrafast"})
        stream.height, stream.width = numbered(0).shape[:2]
        stream.pix_fmt = "yuv420p"
        for number in range(frames):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(numbered(number), format="rgb24")))
        container.mux(stream.encode())
    return path


@dataclass(frozen=True)
class App:
    """The running app."""

    url: str
    engine: HeldEngine
    root: Path

    def job_folders(self) -> list[Path]:
        """Folders of the jobs that are there."""
        return list((self.root / "jobs").iterdir())


@pytest.fixture
def engine() -> HeldEngine:
    """An engine that can be held."""
    return HeldEngine()


@pytest.fixture
def jobs(engine: HeldEngine, tmp_path: Path) -> Iterator[Jobs]:
    """Jobs on it, ended after the test."""
    jobs = Jobs(engine.as_engine(), tmp_path)
    yield jobs
    engine.release()
    jobs.close()


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """60 numbered frames."""
    return write_numbered(tmp_path_factory.mktemp("clips") / "neck.mp4", 60)


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[App]:
    """One app for all tests, on an engine that can be held."""
    if importlib.util.find_spec("gradio") is None:
        pytest.skip("gradio is not installed")
    from streamer.app.server import running

    engine = HeldEngine()
    run = write_random_run(tmp_path_factory.mktemp("scintigraphy") / "run")
    with running(engine.as_engine(), host="127.0.0.1", port=0, scintigraphy=run) as url:
        yield App(url, engine, Path(os.environ["GRADIO_TEMP_DIR"]))
        engine.release()


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory, launch_chromium: Callable[[Sequence[str]], Any]) -> Any:
    """Headless Chromium whose camera shows numbered frames."""
    film = tmp_path_factory.mktemp("camera") / "film.mjpeg"
    film.write_bytes(b"".join(cv2.imencode(".jpg", numbered(n))[1].tobytes() for n in range(CAMERA_FRAMES)))
    return launch_chromium([*_FLAGS, f"--use-file-for-fake-video-capture={film}"])


@pytest.fixture
def new_page(app: App, browser: Any) -> Iterator[NewPage]:
    """Opens the app in a session of its own; no page may complain, or ask anyone else for anything."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def listen(page: Any) -> None:
        page.on("console", lambda message: complaints.extend([message.text] if message.type == "error" else []))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: complaints.extend(_outside(request.url, app.url)))

    def open_page() -> Any:
        context = browser.new_context(viewport={"width": 1280, "height": 720}, permissions=["camera"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        listen(page)
        page.goto(app.url)
        page.wait_for_selector("[data-id=device]:not(:empty)")
        return page

    yield open_page
    app.engine.release()
    app.engine.fails_at = 1 << 30
    for context in contexts:
        context.close()
    assert complaints == []


def _outside(url: str, app_url: str) -> list[str]:
    return [] if url.startswith((app_url, "data:", "blob:")) else [url]
