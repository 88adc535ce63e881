"""The overlay video: H.264 in MP4, with the size, shape of pixels, frame count and timing of its source."""

from __future__ import annotations

import math
from collections.abc import Iterable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from time import perf_counter

import av
import numpy as np
from av.codec.context import Flags
from av.video.reformatter import ColorRange, Colorspace, VideoReformatter
from av.video.stream import VideoStream

from streamer.errors import OutputError
from streamer.geometry import Letterbox
from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.folder import output_errors, overlay_name
from streamer.outputs.overlay import OverlayRenderer
from streamer.settings import OverlaySettings
from streamer.summaries import ClipSummary
from streamer.types import ClipInfo, FrameResult, Image

_TICKS_PER_S = 90_000  # the clock of MPEG systems: finer than any frame rate
_HD_HEIGHT_PX = 720  # from here on players assume BT.709, below it BT.601 (ITU-R BT.709-6, BT.601-7)
_SMPTE170M = 6  # BT.601's primaries and transfer (ITU-T H.273)
_BT709 = 1
_LONGEST_FRAME_S = 6 * 3600.0
"""FFmpeg writes no frame into an MP4 that lasts 2^31 ticks or more, which is 6.6 hours."""
_KEY_FRAME_INTERVAL = 60  # a reader steps back and forth: seeking decodes two seconds at most


class OverlayVideo:
    """Encodes pictures as they come; one frame is held back, as its duration is known only with the next.

    The picture has the given size: others are letterboxed onto it, and an odd size is padded, as 4:2:0 video has an
    even one. B-frames are off: with reordering, MP4 does not keep the last frame's duration.

    Args:
        path: file to write.
        size_wh: width and height of the picture in pixels.
        fps: nominal frame rate, for rate control and for the duration of a single frame.
        settings: preset and quality.
        pixel_aspect: width of a pixel over its height.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(
        self,
        path: Path,
        *,
        size_wh: tuple[int, int],
        fps: float,
        settings: OverlaySettings,
        pixel_aspect: Fraction = Fraction(1),
    ) -> None:
        self._path = path
        self._size_wh = size_wh
        self._even_wh = size_wh[0] + size_wh[0] % 2, size_wh[1] + size_wh[1] % 2
        self._matrix = Colorspace.ITU709 if size_wh[1] >= _HD_HEIGHT_PX else Colorspace.ITU601
        self._reformatter = VideoReformatter()
        self._warnings: list[str] = []
        if self._even_wh != size_wh:
            self._warn(
                f"the overlay video is {self._even_wh[0]}x{self._even_wh[1]}, as H.264 in 4:2:0 has an even size: "
                "the last column or row is repeated"
            )
        rate = min(max(fps, 1.0), 1000.0) if math.isfinite(fps) else 25.0
        self._held: tuple[int, av.VideoFrame] | None = None
        self._duration = round(_TICKS_PER_S / rate)
        self._last_s = self._left_out_s = 0.0
        self._bytes = 0
        self._open = True
        with output_errors(path):
            self._container = av.open(f"file:{path.absolute()}", "w", format="mp4", options={"movflags": "+faststart"})
            self._stream = self._container.add_stream("libx264", rate=Fraction(rate).limit_denominator(1001))
            self._set_up(self._stream, settings)
            self._stream.codec_context.sample_aspect_ratio = pixel_aspect

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the report should know about the overlay, one line each."""
        return tuple(self._warnings)

    def add(self, image: Image, time_s: float) -> None:
        """Append a picture, RGB of shape (height, width, 3), shown from `time_s` on.

        Raises:
            OutputError: the disk is full, or the encoder refuses the size.
        """
        with output_errors(self._path):
            frame = self._convert(image)
            self._shorten(time_s - self._last_s)
            self._last_s = time_s
            pts = round((time_s - self._left_out_s) * _TICKS_PER_S)
            if self._held is not None:
                start, held = self._held
                pts = max(pts, start + 1)  # a player needs rising times
                self._duration = pts - start
                self._encode(start, held)
            self._held = pts, frame

    def close(self, duration_s: float | None = None) -> None:
        """Write what is held back and finish the file.

        Args:
            duration_s: the clip's duration, to the end of its last frame; without it, the last frame lasts as long as
                the one before.

        Raises:
            OutputError: the disk is full.
        """
        with output_errors(self._path):
            if self._held is not None:
                start, held = self._held
                if duration_s is not None:
                    self._shorten(duration_s - self._last_s)
                rest = 0 if duration_s is None else round((duration_s - self._left_out_s) * _TICKS_PER_S) - start
                self._duration = rest if rest > 0 else self._duration
                self._encode(start, held)
            self._mux(self._stream.encode(None))
            self._container.close()
            self._open = False
            # FFmpeg does not report what fails when the file itself is closed.
            if self._path.stat().st_size < self._bytes:
                raise OutputError(f"cannot write {self._path.name}: it was cut short; is the disk full?")

    def abort(self) -> None:
        """Let go of the file after a failure."""
        if self._open:
            self._open = False
            with suppress(OSError, av.FFmpegError):
                self._container.close()

    def _set_up(self, stream: VideoStream, settings: OverlaySettings) -> None:
        stream.width, stream.height = self._even_wh
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, _TICKS_PER_S)
        context.thread_count = 1
        context.max_b_frames = 0
        context.gop_size = _KEY_FRAME_INTERVAL
        context.flags |= Flags.frame_duration
        context.options = {"preset": settings.preset, "crf": str(settings.crf)}
        context.color_range = ColorRange.MPEG
        context.colorspace = self._matrix
        context.color_primaries = context.color_trc = _BT709 if self._matrix is Colorspace.ITU709 else _SMPTE170M

    def _convert(self, image: Image) -> av.VideoFrame:
        """`image` on the canvas, as limited-range 4:2:0."""
        source_wh = image.shape[1], image.shape[0]
        if source_wh != self._size_wh:
            image = Letterbox(source_wh, self._size_wh).apply(image)
            self._warn("frames of another size than the first are scaled to fit the overlay video")
        right, bottom = self._even_wh[0] - self._size_wh[0], self._even_wh[1] - self._size_wh[1]
        if right or bottom:
            image = np.pad(image, ((0, bottom), (0, right), (0, 0)), mode="edge")
        # No copy, and one scaler for all frames: 0.6 ms of a core for 686x528, where a new one each takes 1.8.
        frame = self._reformatter.reformat(
            av.VideoFrame.from_numpy_buffer(np.ascontiguousarray(image), format="rgb24"),
            format="yuv420p",
            dst_colorspace=self._matrix,
            dst_color_range=ColorRange.MPEG,
            threads=1,
        )
        frame.time_base = Fraction(1, _TICKS_PER_S)
        return frame

    def _shorten(self, gap_s: float) -> None:
        if gap_s > _LONGEST_FRAME_S:
            self._left_out_s += gap_s - _LONGEST_FRAME_S
            self._warn("the overlay video shortens pauses to six hours")

    def _warn(self, note: str) -> None:
        if note not in self._warnings:
            self._warnings.append(note)

    def _encode(self, pts: int, frame: av.VideoFrame) -> None:
        frame.pts, frame.duration = pts, self._duration
        self._mux(self._stream.encode(frame))

    def _mux(self, packets: Iterable[av.Packet[VideoStream]]) -> None:
        for packet in packets:
            self._bytes += packet.size
            self._container.mux(packet)


class OverlaySink(BaseSink):
    """Draws each frame and encodes it: an overlay video per clip."""

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        self._started = 0
        self._info: ClipInfo | None = None
        self._video: OverlayVideo | None = None
        self._renderer = OverlayRenderer(context.settings.overlay)

    def start_clip(self, info: ClipInfo) -> None:
        """Begin the clip's video with its first frame, which sets the size: a container may announce another."""
        self._started += 1
        self._info, self._video = info, None
        self._renderer = OverlayRenderer(self._context.settings.overlay)

    def write(self, result: FrameResult) -> None:
        """Draw and encode a frame."""
        began = perf_counter()
        image = self._renderer.draw(result)
        drawn = perf_counter()
        video = self._video = self._video or self._begin(image)
        video.add(image, result.frame.time_s)
        if self._context.on_stage is not None:
            self._context.on_stage("draw", 1000 * (drawn - began))
            self._context.on_stage("encode", 1000 * (perf_counter() - drawn))

    def end_clip(self, summary: ClipSummary | None) -> None:
        """Finish the video; without a summary its last frame lasts as long as the one before."""
        if self._video is None or self._info is None:
            return
        self._video.close(None if summary is None else summary.duration_s)
        self._context.warnings[self._info.name] = self._video.warnings
        self._context.commit(self._context.overlays[self._info.name])
        self._video = None

    def abort(self) -> None:
        """Let go of the file."""
        if self._video is not None:
            self._video.abort()

    def _begin(self, image: Image) -> OverlayVideo:
        if self._info is None:
            raise RuntimeError("start_clip() comes before write()")
        name = overlay_name(self._started, self._context.clips)
        self._context.overlays[self._info.name] = name
        return OverlayVideo(
            self._context.folder.partial(name),
            size_wh=(image.shape[1], image.shape[0]),
            fps=self._info.fps,
            settings=self._context.settings.overlay,
            pixel_aspect=self._info.pixel_aspect,
        )
