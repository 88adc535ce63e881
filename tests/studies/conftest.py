"""A small study to be read, the reading room in this process, and headless Chromium in front of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest
import yaml

from streamer.studies.room.server import running
from streamer.studies.room.study_file import ReadingStudy, load_study

CODES = {"ann": "code-of-ann", "ben": "code-of-ben", "admin": "code-of-admin"}
_FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


class Clock:
    """A clock that a test can turn on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 3, 1, 9, tzinfo=UTC)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time

    def days(self, days: float) -> None:
        """Turn it on."""
        self.time += timedelta(days=days)


def write_study(folder: Path, **changes: Any) -> Path:
    """Four images of three patients, one of them a clip; two readers, two scenarios."""
    rng = np.random.default_rng(0)
    for name in ("a1", "a2", "b1"):
        cv2.imwrite(str(folder / f"{name}-SECRET-malignant.png"), rng.integers(0, 255, (120, 160, 3), np.uint8))
        cv2.imwrite(str(folder / f"{name}-overlay.png"), rng.integers(0, 255, (120, 160, 3), np.uint8))
    for name in ("c1-SECRET-malignant", "c1-overlay"):
        with av.open(str(folder / f"{name}.mp4"), "w") as container:
            stream = container.add_stream("libx264", rate=10)
            stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
            for number in range(20):
                image = np.full((120, 160, 3), number * 10, np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            container.mux(stream.encode())
    (folder / "cases.csv").write_text(
        "case,patient,file,truth,overlay\n"
        "a1,pa,a1-SECRET-malignant.png,malignant,a1-overlay.png\n"
        "a2,pa,a2-SECRET-malignant.png,malignant,a2-overlay.png\n"
        "b1,pb,b1-SECRET-malignant.png,benign,b1-overlay.png\n"
        "c1,pc,c1-SECRET-malignant.mp4,benign,c1-overlay.mp4\n"
    )
    (folder / "predictions.csv").write_text(
        "case,score,call\na1,0.9,malignant\na2,0.2,benign\nb1,0.1,benign\nc1,0.8,malignant\n"
    )
    study = {
        "title": "Thyroid nodules with and without AI",
        "cases": "cases.csv",
        "predictions": "predictions.csv",
        "readers": [{"name": "ann", "group": "senior"}, {"name": "ben", "group": "junior"}],
        "scenarios": [{"name": "without"}, {"name": "freestyle", "ai": True, "overlay": True}],
        "washout_days": 14,
        "seed": 3,
    }
    path = folder / "study.yaml"
    path.write_text(yaml.safe_dump({**study, **changes}))
    return path


@pytest.fixture
def study_path(tmp_path: Path) -> Path:
    """The small study."""
    return write_study(tmp_path)


@pytest.fixture
def study(study_path: Path) -> ReadingStudy:
    """The same, read."""
    return load_study(study_path)


@dataclass
class Room:
    """A running reading room."""

    study: ReadingStudy
    clock: Clock
    stack: ExitStack
    url: str = ""
    complaints: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Start it, or start it again."""
        context = running(self.study, host="127.0.0.1", port=0, codes=CODES, now=self.clock)
        self.url = self.stack.enter_context(context)


@pytest.fixture
def room(study: ReadingStudy) -> Iterator[Room]:
    """The reading room of the small study."""
    with ExitStack() as stack:
        room = Room(study, Clock(), stack)
        room.start()
        yield room


@pytest.fixture(scope="session")
def chromium(launch_chromium: Callable[[Sequence[str]], Any]) -> Any:
    """Headless Chromium."""
    return launch_chromium(_FLAGS)


@pytest.fixture
def open_page(room: Room, chromium: Any) -> Iterator[Callable[..., Any]]:
    """Opens the room in a browser of its own, or in another window of one; no page may complain or ask outside."""
    contexts: list[Any] = []
    complaints: list[str] = []

    def listen(page: Any) -> None:
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda sent: complaints.extend([] if sent.url.startswith(room.url) else [sent.url]))

    def open_one(context: Any = None) -> Any:
        if context is None:
            context = chromium.new_context(viewport={"width": 1280, "height": 800})
            contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        listen(page)
        page.goto(room.url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert complaints == []
