"""Frames of a DICOM object whose pixel data are a video: MPEG-2, H.264 or HEVC (PS3.5, 8.2.5 to 8.2.8)."""

from __future__ import annotations

from collections.abc import Generator, Sequence
from fractions import Fraction
from typing import BinaryIO

import av
from av.video.stream import VideoStream

from streamer.sources._container import FORMATS, LIBRARY_ERRORS, check_frame_size, main_video
from streamer.sources._convert import Converter
from streamer.sources._dicom_fragments import FragmentStream, Span
from streamer.sources.base import MAX_FRAME_PIXELS
from streamer.types import Image

_DECODER_THREADS = 1


class DicomVideo:
    """The video in a DICOM file.

    Attributes:
        damaged: packets that could not be decoded whole.
        has_times: whether the container states times; an elementary stream has none.

    Raises:
        InputError: it holds no video, or frames that are too large.
        av.FFmpegError, OSError, ValueError: it is no video that FFmpeg knows.
    """

    def __init__(self, file: BinaryIO, spans: Sequence[Span], name: str) -> None:
        self.damaged = 0
        self._container = av.open(
            FragmentStream(file, spans),
            "r",
            options={"max_pixels": str(MAX_FRAME_PIXELS)},
            container_options={"format_whitelist": ",".join(FORMATS), "protocol_whitelist": ""},
            metadata_errors="replace",
        )
        self._stream: VideoStream = main_video(self._container, name)
        check_frame_size(self._stream.width, self._stream.height, name)
        self._stream.thread_count = _DECODER_THREADS
        self.has_times = self._container.format.name.split(",")[0] not in ("mpegvideo", "h264", "hevc", "m4v")
        self._converter = Converter()

    def close(self) -> None:
        """Release the decoder; may be called twice."""
        self._container.close()

    def pictures(self) -> Generator[tuple[Image, Fraction | None, Fraction]]:
        """Each picture in RGB, its time and duration in seconds as the container states them (else None and 0)."""
        base = self._stream.time_base or Fraction(1, 90_000)
        for picture in self._decoded():
            try:
                image = self._converter.rgb(picture)
            except LIBRARY_ERRORS:
                self.damaged += 1
                continue
            time = None if picture.pts is None else picture.pts * base
            yield image, time, (picture.duration or 0) * base

    def _decoded(self) -> Generator[av.VideoFrame]:
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except LIBRARY_ERRORS:
                self.damaged += 1
                return
            if packet is None:
                return
            pictures: list[av.VideoFrame] = []
            try:
                pictures = packet.decode()
            except LIBRARY_ERRORS:
                self.damaged += 1
            self.damaged += any(picture.is_corrupt for picture in pictures)
            yield from pictures
