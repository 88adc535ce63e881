"""Writes simulated frames as a video."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import av

from streamer._files import atomic_path
from streamer.errors import OutputError
from streamer.phantom.cine import PhantomFrame


def write_clip(path: Path, frames: Iterable[PhantomFrame], fps: int = 30) -> None:
    """Write frames of even width and height as H.264 (yuv420p) in MP4; `path` appears only when it is complete.

    Raises:
        OutputError: there is no frame, or the file cannot be written.
    """
    try:
        with atomic_path(path) as partial:
            if not _encode(partial, frames, fps):
                raise OutputError(f"no frame to write to {path.name}: ask for at least one")
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}; choose a writable folder with space") from error


def _encode(path: Path, frames: Iterable[PhantomFrame], fps: int) -> int:
    count = 0
    with av.open(f"file:{path.absolute()}", "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "18", "preset": "veryfast"})
        stream.pix_fmt = "yuv420p"
        for count, frame in enumerate(frames, start=1):
            if count == 1:
                stream.height, stream.width = frame.image.shape[:2]
            for packet in stream.encode(av.VideoFrame.from_ndarray(frame.image, format="rgb24")):
                container.mux(packet)
        if count:
            for packet in stream.encode():
                container.mux(packet)
    return count
