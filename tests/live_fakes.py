"""Live sources and engines that tests hold in their hands: nothing happens before it is told to."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from typing import Self, cast

from streamer.pipeline.analyser import FrameFindings
from streamer.sources import Source
from streamer.types import ClipInfo, Finding, Frame
from tests.fakes import FakeEngine, finding, grey_image

PATIENCE_S = 60.0
"""How long a test waits for what must come; only a failure takes that long."""


def until(condition: Callable[[], bool]) -> bool:
    """Wait for something that another thread does; False if it never does."""
    end_s = time.monotonic() + PATIENCE_S
    while not condition():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.002)
    return True


class PushedSource:
    """A live source that gives what is pushed into it, with 25 frames to the second."""

    width, height, fps, live, pixel_aspect = 64, 48, 25.0, True, Fraction(1)
    expected_frames: int | None = None
    warnings: tuple[str, ...] = ()
    duration_s = 0.0

    def __init__(self, name: str = "live") -> None:
        self.name = name
        self.complete = False
        self.closed = False
        self._moved = threading.Condition()
        self._pushed: deque[Frame | Exception] = deque()
        self._reading = False
        self._index = 0
        self._paused_s = 0.0

    @property
    def info(self) -> ClipInfo:
        """What is known of it before its frames."""
        return ClipInfo(name=self.name, width=self.width, height=self.height, fps=self.fps)

    def push(self, count: int = 1, *, pause_s: float = 0.0) -> None:
        """Let frames arrive, and wait until they have been read."""
        for _ in range(count):
            self._paused_s += pause_s
            time_s = self._index / self.fps + self._paused_s
            frame = Frame(
                image=grey_image(), index=self._index, time_s=time_s, video=self.name, arrived_s=time.perf_counter()
            )
            self._index += 1
            self._give(frame)

    def fail(self, error: Exception) -> None:
        """Break off."""
        self._give(error)

    def frames(self) -> Iterator[Frame]:
        """What was pushed, until closed."""
        while True:
            with self._moved:
                self._reading = True
                self._moved.notify_all()
                self._moved.wait_for(lambda: self._pushed or self.closed)
                if self.closed:
                    self.complete = True
                    return
                item = self._pushed.popleft()
                self._reading = False
            if isinstance(item, Exception):
                raise item
            self.duration_s = item.time_s + 1 / self.fps
            yield item

    def close(self) -> None:
        """End the frames."""
        with self._moved:
            self.closed = True
            self._moved.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def as_source(self) -> Source:
        """Itself, as the protocol."""
        return cast(Source, self)

    def _give(self, item: Frame | Exception) -> None:
        with self._moved:
            self._pushed.append(item)
            self._moved.notify_all()
            done = self._moved.wait_for(
                lambda: self.closed or (not self._pushed and (self._reading or isinstance(item, Exception))), PATIENCE_S
            )
        assert done


class GatedEngine(FakeEngine):
    """Lets calls through only while it is open; notes the streams of each call's frames."""

    def __init__(
        self,
        findings: Callable[[int], Sequence[Finding]] = lambda _: (finding(),),
        *,
        workers: int = 2,
        batch_frames: int = 1,
    ) -> None:
        super().__init__(findings, workers=workers, batch_frames=batch_frames, delay_s=0.0)
        self.calls: list[list[tuple[str, int]]] = []
        self._gate = threading.Event()
        self.open()

    def open(self) -> None:
        """Let all calls through."""
        self._gate.set()

    def shut(self) -> None:
        """Hold calls from now on."""
        self._gate.clear()

    def has_been_called(self, times: int) -> bool:
        """Whether it has been called so often."""
        return len(self.calls) >= times

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Like the engine's."""
        self.calls.append([(item.video, item.index) for item in frames])
        assert self._gate.wait(PATIENCE_S)
        return super().analyse(frames)
