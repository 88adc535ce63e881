"""A clip of a given length: cine loops last one to four seconds, too short to measure on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from itertools import islice
from pathlib import Path

from streamer.outputs.video import OverlayVideo
from streamer.phantom import simulate, write_clip
from streamer.settings import OverlaySettings
from streamer.sources import open_source
from streamer.types import Image

_PHANTOM_FRAMES = 150  # the length of the demo clip
_SWEEP_FRAMES = 90  # neighbouring frames then differ as in a real sweep
_WITH_NODULES = (30, 60)
_TIME_ERROR_S = 1e-6  # a frame that begins at the very end is not part of the clip


def write_nodules(path: Path) -> None:
    """The middle of a shorter sweep over the same lobe: one nodule is in view in every frame, and two in some.

    Raises:
        OutputError: the file cannot be written.
    """
    write_clip(path, islice(simulate(frames=_SWEEP_FRAMES), *_WITH_NODULES))


def write_phantom(path: Path) -> None:
    """The simulated cine loop of the demo.

    Raises:
        OutputError: the file cannot be written.
    """
    write_clip(path, simulate(frames=_PHANTOM_FRAMES))


def write_looped(
    recording: Path, path: Path, *, seconds: float, at_most: int | None = None, repeat: bool = True
) -> int:
    """Write the first `seconds` of a recording that is played again and again, as H.264 in MP4.

    Args:
        recording: clip, still or folder of stills; size, frame rate and frame times stay as they are.
        path: clip to write.
        seconds: length of the result, above 0.
        at_most: number of frames of the recording that are played; all if None.
        repeat: False to play it once, even if that is shorter than `seconds`.

    Returns:
        Its number of frames.

    Raises:
        InputError: the recording cannot be read.
        OutputError: the clip cannot be written.
    """
    with open_source(recording) as source:
        size_wh, fps = (source.info.width, source.info.height), source.info.fps
    video = OverlayVideo(path, size_wh=size_wh, fps=fps, settings=OverlaySettings())
    frames = 0
    try:
        with closing(_played(recording, seconds, at_most, repeat=repeat)) as pictures:
            for image, time_s in pictures:
                video.add(image, time_s)
                frames += 1
        video.close(seconds if repeat else None)
    except BaseException:
        video.abort()
        raise
    return frames


def _played(recording: Path, seconds: float, at_most: int | None, *, repeat: bool) -> Generator[tuple[Image, float]]:
    """Pictures and their times, RGB of shape (height, width, 3), over and over until the time is up."""
    begins_s = 0.0
    while begins_s < seconds:
        with open_source(recording) as source:
            for frame in islice(source.frames(), at_most):
                if begins_s + frame.time_s > seconds - _TIME_ERROR_S:
                    return
                yield frame.image, begins_s + frame.time_s
            begins_s += source.duration_s
        if not repeat:
            return
