"""One pass of an implementation over a clip: what it did, when, and for how long it may go on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from streamer.geometry import Box

PAPER_INPUT_PX = 512
"""Side of all three networks' input in the code published with Radiology 2023."""


class NetworkKind(StrEnum):
    """What runs the baselines' networks: torch, our compiled ones, or torch with the published code's input size."""

    torch = "torch"
    compiled = "compiled"
    paper = "paper"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """A clip, or as much of it as the time allowed, from the opened file to the finished overlay video.

    Attributes:
        frames: number of frames done.
        elapsed_s: from before the clip was opened until the video was closed, waiting included.
        stages_ms: stage -> time of each frame in it; stages that run side by side add up to more than `elapsed_s`.
        latency_ms: of each frame, from the start of its decoding until it was encoded; empty where the implementation
            does not let that be seen.
        boxes: detected boxes of each frame, in source pixels.
        dropped_frames: frames that were read and not done.
        characterised: boxes that were outlined and classified, over all frames; None where all of them were.
    """

    frames: int
    elapsed_s: float
    stages_ms: Mapping[str, Sequence[float]]
    latency_ms: Sequence[float]
    boxes: Sequence[tuple[Box, ...]]
    dropped_frames: int = 0
    characterised: int | None = None

    @property
    def characterised_boxes(self) -> int:
        """How many boxes were outlined and classified, over all frames."""
        return sum(map(len, self.boxes)) if self.characterised is None else self.characterised

    @property
    def frames_per_second(self) -> float:
        """Frames over wall-clock time, everything included."""
        return self.frames / self.elapsed_s if self.elapsed_s > 0 else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """What an implementation runs on; memory is its peak so far in MiB, that of the device None where it has none."""

    device: str
    precision: str
    threads: int
    host_memory_mb: float
    device_memory_mb: float | None


class Implementation(Protocol):
    """A way to analyse clips: ours, or a baseline. Loaded when it is made."""

    def analyse(self, clip: Path, folder: Path, should_stop: Callable[[], bool]) -> Pass:
        """Analyse a clip and write the overlay video into `folder`; give up after the frame where it should stop."""
        ...

    def networks_ms(self) -> dict[str, float]:
        """Each network's own time for one of its inputs where nothing else runs; empty if nobody asks for it."""
        ...

    def environment(self) -> Environment:
        """What it runs on."""
        ...


class PassRecorder:
    """Collects the times of a pass whose frames are done one after the other."""

    def __init__(self) -> None:
        """Start the clock."""
        self._began_s = time.perf_counter()
        self._lap_s = self._frame_s = self._began_s
        self._stages: dict[str, list[float]] = {}
        self._latency: list[float] = []
        self._boxes: list[tuple[Box, ...]] = []

    def begin_frame(self) -> None:
        """The next frame begins: what came before is in no stage."""
        self._lap_s = self._frame_s = time.perf_counter()

    def lap(self, stage: str) -> None:
        """What was done since the last lap was `stage`."""
        now_s = time.perf_counter()
        self.add(stage, 1000 * (now_s - self._lap_s))
        self._lap_s = now_s

    def add(self, stage: str, value_ms: float) -> None:
        """Count a time that was measured elsewhere."""
        self._stages.setdefault(stage, []).append(value_ms)

    def end_frame(self, boxes: Sequence[Box], *, seen_whole: bool = True) -> None:
        """The frame is done.

        Args:
            boxes: what was detected in it.
            seen_whole: whether it was watched from decoding to encoding, so that its latency is known.
        """
        self._boxes.append(tuple(boxes))
        if seen_whole:
            self._latency.append(1000 * (time.perf_counter() - self._frame_s))

    def done(self) -> Pass:
        """The pass is over."""
        return Pass(
            frames=len(self._boxes),
            elapsed_s=time.perf_counter() - self._began_s,
            stages_ms=self._stages,
            latency_ms=self._latency,
            boxes=self._boxes,
        )


def stop_after(seconds: float, asked: Callable[[], bool] = lambda: False) -> Callable[[], bool]:
    """True once `seconds` have passed from now on, or `asked` says so."""
    until_s = time.monotonic() + seconds
    return lambda: time.monotonic() >= until_s or asked()
