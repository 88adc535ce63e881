"""Samples without files."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from streamer.data.samples import Sample


def sample(**changes: object) -> Sample:
    """A still of which nothing is known but its patient, who is the group."""
    plain = Sample(image=Path("a.png"), source="s", group="p", patient="p", split="train")
    own = {"patient": changes["group"], **changes} if "group" in changes else changes
    return replace(plain, **own)  # type: ignore[arg-type]
