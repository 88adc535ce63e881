"""An engine that is watched while it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from streamer.pipeline.analyser import FrameCandidates, FrameFindings
from streamer.pipeline.thyroid import Engine
from streamer.types import Frame


def watched(engine: Engine, note: Callable[[Sequence[FrameCandidates]], None]) -> Engine:
    """The engine, and `note` is told of each micro-batch as soon as the detector has answered; from any thread."""
    return cast(Engine, _Watched(engine, note))


class _Watched:
    def __init__(self, engine: Engine, note: Callable[[Sequence[FrameCandidates]], None]) -> None:
        self._engine, self._note = engine, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Of an engine that takes one step, what it finds is what it detects."""
        found = self._engine.analyse(frames)
        self._note([FrameCandidates(one.frame, one.findings, one.timing_ms, one.rejected) for one in found])
        return found

    def detect(self, frames: Sequence[Frame]) -> list[FrameCandidates]:
        detected = self._engine.detect(frames)
        self._note(detected)
        return detected
