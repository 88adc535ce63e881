"""The overlay has the size, frame count, timing and grey levels of its source."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest

from streamer.errors import OutputError
from streamer.outputs.video import OverlayVideo
from streamer.settings import OverlaySettings
from streamer.types import Image


def encode(
    path: Path, images: list[Image], times_s: list[float], duration_s: float | None = None, **options: object
) -> OverlayVideo:
    height, width = images[0].shape[:2]
    settings = OverlaySettings.model_validate(options)
    video = OverlayVideo(path, size_wh=(width, height), fps=25, settings=settings)
    for image, time_s in zip(images, times_s, strict=True):
        video.add(image, time_s)
    video.close(duration_s)
    return video


def decode(path: Path) -> tuple[list[Image], list[float], float]:
    """Frames, times and duration in seconds."""
    with av.open(path) as container:
        stream = container.streams.video[0]
        frames = list(container.decode(stream))
        assert stream.duration is not None
        assert stream.time_base is not None
        return (
            [np.asarray(frame.to_ndarray(format="rgb24"), np.uint8) for frame in frames],
            [float(frame.time or 0) for frame in frames],
            float(stream.duration * stream.time_base),
        )


def grey(level: int, width: int = 64, height: int = 48) -> Image:
    return np.full((height, width, 3), level, np.uint8)


@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_variable_frame_rate_is_kept(tmp_path: Path, preset: str) -> None:
    times_s = [0.0, 0.04, 0.05, 0.5, 0.533333, 2.0]
    encode(tmp_path / "a.mp4", [grey(40 * i) for i in range(6)], times_s, 2.75, preset=preset)
    images, got, duration_s = decode(tmp_path / "a.mp4")
    assert got == pytest.approx(times_s, abs=1e-5)
    assert duration_s == pytest.approx(2.75, abs=1e-4)
    assert [image.shape for image in images] == [(48, 64, 3)] * 6


def test_last_frame_lasts_as_long_as_the_one_before(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", [grey(9)] * 3, [0, 0.1, 0.2])
    assert decode(tmp_path / "a.mp4")[2] == pytest.approx(0.3, abs=1e-4)


def test_a_pause_of_a_night_is_shortened(tmp_path: Path) -> None:
    """A camera may be off for longer than MP4 lets a frame last."""
    video = encode(tmp_path / "a.mp4", [grey(9)] * 4, [0, 30_000, 30_001, 60_000], 60_001)
    _, times_s, duration_s = decode(tmp_path / "a.mp4")
    assert times_s == pytest.approx([0, 21_600, 21_601, 43_201])
    assert duration_s == pytest.approx(43_202)
    assert video.warnings == ("the overlay video shortens pauses to six hours",)


def test_single_frame_lasts_one_period(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", [grey(9)], [0])
    assert decode(tmp_path / "a.mp4")[2] == pytest.approx(0.04, abs=1e-4)


def test_equal_times_become_rising(tmp_path: Path) -> None:
    encode(tmp_path / "a.mp4", [grey(9)] * 4, [0, 0.04, 0.04, 0.03])
    _, times_s, _ = decode(tmp_path / "a.mp4")
    assert len(times_s) == 4
    assert all(one < other for one, other in pairwise(times_s))


@pytest.mark.parametrize("height", [64, 720])
def test_grey_levels_survive(tmp_path: Path, height: int) -> None:
    """Limited range and its tag agree, for BT.601 as for BT.709."""
    ramp = np.repeat(np.arange(256, dtype=np.uint8), 4)
    image = np.ascontiguousarray(np.broadcast_to(ramp[None, :, None], (height, 1024, 3)))
    encode(tmp_path / "a.mp4", [image], [0], crf=10)
    (got,), _, _ = decode(tmp_path / "a.mp4")
    assert np.abs(got.astype(int) - image).max() <= 3


@pytest.mark.parametrize("height", [64, 720])
def test_colours_survive(tmp_path: Path, height: int) -> None:
    colour = np.array([86, 180, 233], np.uint8)
    image = np.ascontiguousarray(np.broadcast_to(colour, (height, 64, 3)))
    encode(tmp_path / "a.mp4", [image], [0], crf=10)
    (got,), _, _ = decode(tmp_path / "a.mp4")
    assert np.abs(got.astype(int) - colour).max() <= 4


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 2), (65, 49), (2, 301)])
def test_odd_size_is_padded_and_said(tmp_path: Path, width: int, height: int) -> None:
    video = encode(tmp_path / "a.mp4", [grey(200, width, height)] * 2, [0, 0.04])
    images, _, _ = decode(tmp_path / "a.mp4")
    assert images[0].shape == (height + height % 2, width + width % 2, 3)
    assert np.abs(images[0].astype(int) - 200).max() <= 3, "padding repeats the edge"
    assert len(video.warnings) == 1


def test_even_size_needs_no_warning(tmp_path: Path) -> None:
    assert encode(tmp_path / "a.mp4", [grey(1)], [0]).warnings == ()


def test_frame_of_another_size_is_letterboxed(tmp_path: Path) -> None:
    video = encode(tmp_path / "a.mp4", [grey(200), grey(200, 20, 48), grey(200, 20, 48)], [0, 0.04, 0.08])
    images, _, _ = decode(tmp_path / "a.mp4")
    assert images[1].shape == (48, 64, 3)
    assert images[1][24, 32, 0] > 190
    assert images[1][24, 5, 0] < 10
    assert len(video.warnings) == 1


def test_index_is_at_the_front(tmp_path: Path) -> None:
    """A browser starts to play before it has the whole file."""
    encode(tmp_path / "a.mp4", [grey(9)] * 3, [0, 0.1, 0.2])
    data = (tmp_path / "a.mp4").read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")


def test_unwritable_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"a\.mp4") as caught:
        encode(tmp_path / "no-such-folder" / "a.mp4.partial", [grey(1)], [0])
    assert "\n" not in str(caught.value)
    assert ".partial" not in str(caught.value)


def test_pixels_keep_their_shape(tmp_path: Path) -> None:
    video = OverlayVideo(
        tmp_path / "a.mp4", size_wh=(64, 48), fps=25, settings=OverlaySettings(), pixel_aspect=Fraction(16, 11)
    )
    video.add(grey(9), 0.0)
    video.close()
    with av.open(tmp_path / "a.mp4") as container:
        assert container.streams.video[0].sample_aspect_ratio == Fraction(16, 11)
