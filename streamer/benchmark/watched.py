"""An engine that is watched while it works."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, cast

from streamer.pipeline.analyser import FrameFindings
from streamer.pipeline.thyroid import Engine
from streamer.types import Frame


def watched(engine: Engine, note: Callable[[Sequence[FrameFindings]], None]) -> Engine:
    """The engine, and `note` is told of each micro-batch as soon as it is answered; from any thread."""
    return cast(Engine, _Watched(engine, note))


class _Watched:
    def __init__(self, engine: Engine, note: Callable[[Sequence[FrameFindings]], None]) -> None:
        self._engine, self._note = engine, note

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        found = self._engine.analyse(frames)
        self._note(found)
        return found
