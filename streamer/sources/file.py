"""Video files, through PyAV (FFmpeg)."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import av

from streamer.errors import InputError
from streamer.sources._container import (
    FALLBACK_FPS,
    LIBRARY_ERRORS,
    main_video,
    nominal_fps,
    open_container,
    pixel_aspect,
)
from streamer.sources._convert import Converter
from streamer.sources._deinterlace import Deinterlacer, Deinterlacing
from streamer.sources._hwaccel import LEFT_TO_CPU, Decoder, left_to_cpu
from streamer.sources._recording import Recording
from streamer.sources._timestamps import Clock
from streamer.sources._truncation import cut_short, indexed_frames
from streamer.sources.base import MAX_FRAME_PIXELS
from streamer.types import Frame

# One thread: a second one gained nothing on 900x600 H.264 (2.6 ms a frame either way), and error concealment in damaged
# streams is the same on every machine only without frame threads.
_DECODER_THREADS = 1


class VideoFile(Recording):
    """A `Source` that decodes a video file. The first frame is decoded at once: a useless file is refused early."""

    def __init__(self, path: Path, *, name: str, decoder: Decoder = "cpu", deinterlace: Deinterlacing = "auto") -> None:
        """Open `path`.

        Raises:
            InputError: no video, unknown format or codec, frames too large, or not one frame can be decoded.
            DeviceError: `decoder` cannot be had.
        """
        super().__init__(name)
        self._path = path
        self._packets = self._damaged = self._delivered = 0
        self._converter = Converter()
        self._deinterlacer = Deinterlacer(deinterlace)
        self._container = open_container(path, decoder)
        try:
            self._stream = main_video(self._container, name)
            self._stream.thread_count = _DECODER_THREADS
            self._stream.codec_context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            self.fps = self._nominal_fps()
            self.expected_frames = self._announced_frames()
            # AVI and H.264 in MXF have no times of display. Those that FFmpeg makes up for reordered pictures are out
            # of order, and a frame late after the first.
            codec = self._stream.codec_context.name
            self._decoding_times = codec == "h264" and self._container.format.name in ("avi", "mxf")
            self._clock = Clock(fps=self.fps)
            self._note_aspect()
            if not self._begin(self._generate()):
                raise InputError(f"{name} has no frame that can be decoded")
            if left_to_cpu(decoder, self._stream):
                self._warnings.append(LEFT_TO_CPU)
            self.pixel_aspect = self._converter.upright_aspect(pixel_aspect(self._stream))
        except LIBRARY_ERRORS as error:
            self.close()
            raise InputError(f"{name} cannot be decoded ({type(error).__name__})") from error
        except InputError:
            self.close()
            raise

    def close(self) -> None:
        """Release the file; an iterator over the frames ends. May be called twice."""
        super().close()
        self._container.close()

    def _generate(self) -> Generator[Frame]:
        time_base = self._stream.time_base or Fraction(1, 90_000)
        ticks_before: int | None = None
        start = perf_counter()
        for picture in self._whole_pictures():
            try:
                image = self._converter.rgb(picture)
            except LIBRARY_ERRORS:
                self._damaged += 1
                continue
            index = self._delivered
            self._note_size(image, index)
            ticks = picture.pts
            if self._decoding_times:  # the last pictures come when there are no more
                next_tick = 0 if ticks_before is None else ticks_before + 1
                ticks = ticks_before = next_tick if picture.dts is None else picture.dts
            time_s = self._clock.stamp(None if ticks is None else ticks * time_base, picture.duration * time_base)
            self.duration_s = self._clock.end_s
            self._delivered += 1
            decode_ms = (perf_counter() - start) * 1e3
            yield Frame(image=image, index=index, time_s=time_s, video=self.name, decode_ms=decode_ms)
            start = perf_counter()
        self._judge()

    def _whole_pictures(self) -> Iterator[av.VideoFrame]:
        """Decoded pictures, deinterlaced where they are to be."""
        for picture in self._pictures():
            try:
                yield from self._deinterlacer.push(picture)
            except LIBRARY_ERRORS:
                self._damaged += 1
        try:
            yield from self._deinterlacer.flush()
        except LIBRARY_ERRORS:
            self._damaged += 1

    def _pictures(self) -> Iterator[av.VideoFrame]:
        """Decode packet by packet; a damaged packet is counted and the next one tried."""
        packets = self._container.demux(self._stream)
        while True:
            try:
                packet = next(packets, None)
            except LIBRARY_ERRORS as error:
                self._warnings.append(f"reading broke off after {self._delivered} frames ({type(error).__name__})")
                self._damaged += 1
                return
            if packet is None:
                return
            damaged = packet.is_corrupt
            pictures: list[av.VideoFrame] = []
            try:
                pictures = packet.decode()
            except LIBRARY_ERRORS:
                damaged = True
            damaged = damaged or any(picture.is_corrupt for picture in pictures)
            self._packets += packet.size > 0
            self._damaged += damaged
            yield from pictures

    def _judge(self) -> None:
        """At the end: was that all of it, and were its times and its pictures sound?"""
        if self._converter.warning:
            self._warnings.append(f"the video {self._converter.warning}")
        if self._deinterlacer.warning:
            self._warnings.append(self._deinterlacer.warning)
        if self._clock.repaired:
            self._warnings.append(
                f"{self._clock.repaired} timestamps missing or out of order; {self.fps:.4g} frames a second assumed"
            )
        if self._damaged:
            self._warnings.append(
                f"{self._damaged} of {self._packets} packets damaged; frames may be missing or show errors"
            )
        try:
            shortfall = cut_short(self._path, self._container, self._stream, frames=self._delivered)
        except OSError as error:
            shortfall = f"the file is gone ({error.strerror})"
        if shortfall is not None:
            self._warnings.append(f"the clip breaks off: {shortfall}")
        self.complete = not self._damaged and shortfall is None

    def _nominal_fps(self) -> float:
        rate = nominal_fps(self._stream)
        if rate is None:
            self._warnings.append(f"no plausible frame rate; {FALLBACK_FPS:g} frames a second assumed where needed")
        return rate or FALLBACK_FPS

    def _note_aspect(self) -> None:
        aspect = pixel_aspect(self._stream)
        if aspect != 1:
            self._warnings.append(f"pixels are not square (aspect {aspect}); shapes are measured in stored pixels")

    def _announced_frames(self) -> int | None:
        announced = indexed_frames(self._container, self._stream) or self._stream.frames
        if announced:
            return announced
        if self._container.duration:
            return max(1, round(self._container.duration / 1_000_000 * self.fps))
        return None
