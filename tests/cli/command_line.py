"""What tests of the command line share: clips to analyse, and what a run has left."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import av

from tests.sources.media import write_clip

Cli = Callable[..., int]
"""Runs `streamer ARGUMENTS` and gives the exit code."""


def clip_in(folder: Path, name: str = "clip.mp4", frames: int = 8) -> Path:
    return write_clip(folder / name, codec="libx264", frames=frames)


def overlay_frames(path: Path) -> int:
    with av.open(f"file:{path}") as container:
        return sum(1 for _ in container.decode(video=0))


def listing(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
