"""Clips of a given length."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.benchmark.clip import write_looped
from streamer.sources import open_source
from streamer.types import Image
from tests.app.conftest import write_numbered


def shown_number(image: Image) -> int:
    """What a numbered picture shows."""
    return int("".join(str(int(image[112, 40 * bit + 20, 0] > 80)) for bit in range(8)), 2)


@pytest.mark.parametrize(("frames", "expected"), [(10, 30), (60, 30)])
def test_short_clip_is_repeated_and_long_one_cut(frames: int, expected: int, tmp_path: Path) -> None:
    recording = write_numbered(tmp_path / "recording.mp4", frames)  # at 25 frames a second
    assert write_looped(recording, tmp_path / "clip.mp4", seconds=1.2) == expected
    with open_source(tmp_path / "clip.mp4") as source:
        found = list(source.frames())
        assert source.duration_s == pytest.approx(1.2)
    assert [frame.time_s for frame in found] == pytest.approx([number / 25 for number in range(expected)])
    assert [shown_number(frame.image) for frame in found] == [number % frames for number in range(expected)]
