"""Samples without files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamer.data.samples import Sample


def sample(**changes: object) -> Sample:
    """A still of which nothing is known."""
    plain = Sample(image=Path("a.png"), source="s", patient="p", split="train")
    return replace(plain, **changes)  # type: ignore[arg-type]
