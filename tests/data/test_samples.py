"""Samples: thinning, and how a message names one."""

from __future__ import annotations

from pathlib import Path

from streamer.data.samples import thin
from tests.data.made_up import sample


def test_thinning_counts_frames_by_clip_and_stills_by_source() -> None:
    frames = [sample(image=Path(f"{clip}.mp4"), frame=number) for clip in "ab" for number in range(5)]
    stills = [sample(image=Path(f"{number}.png"), source="t") for number in range(4)]
    kept = thin([*frames, *stills], 2)
    assert [(item.image.name, item.frame) for item in kept] == [
        *[("a.mp4", number) for number in (0, 2, 4)],
        *[("b.mp4", number) for number in (0, 2, 4)],
        ("0.png", None),
        ("2.png", None),
    ]
    assert thin(frames, 1) == frames


def test_a_frame_is_named_with_its_clip() -> None:
    assert [sample().place, sample(frame=0).place] == ["a.png", "a.png frame 0"]
