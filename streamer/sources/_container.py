"""Opens a media container safely: known formats only, no other file and no host behind it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.stream import Disposition
from av.video.stream import VideoStream

from streamer.errors import InputError
from streamer.sources._hwaccel import Decoder, acceleration, refuse_without_device
from streamer.sources.base import MAX_FRAME_PIXELS, display_name

# FFmpeg's names. Playlists and scripts (concat, hls, dash, sdp, image2 patterns) are left out on purpose: they name
# other files and hosts, so that a harmless-looking clip could read what it should not.
FORMATS = (
    *("mov", "avi", "matroska", "asf", "flv", "mxf", "mpeg", "mpegts"),
    *("mpegvideo", "h264", "hevc", "m4v", "gif"),
)
READABLE = (
    "mp4, mov, avi, mkv, webm, mpeg, wmv, flv, mxf, gif, jpg, png, tif, bmp, webp, heic, avif, or a folder of stills"
)

_NO_VIDEO = Disposition.attached_pic | Disposition.timed_thumbnails | Disposition.dependent

FALLBACK_FPS = 25.0
_PLAUSIBLE_FPS = (0.01, 1000.0)

LIBRARY_ERRORS = (av.FFmpegError, OSError, ValueError, MemoryError)


def open_container(path: Path, decoder: Decoder = "cpu") -> InputContainer:
    """Open a video file for reading.

    Raises:
        InputError: FFmpeg does not know it, or its format is not one of `FORMATS`.
        DeviceError: `decoder` cannot be had.
    """
    hwaccel = acceleration(decoder)
    try:
        try:
            return _open(path, hwaccel)
        except av.error.InvalidDataError:
            # A fragmented mp4 that breaks off inside a fragment's header can be read fragment by fragment.
            return _open(path, hwaccel, fflags="+ignidx")
    except LIBRARY_ERRORS as error:
        if hwaccel is not None:
            refuse_without_device()
        raise InputError(f"{display_name(path)} {_complaint(path)}") from error


def is_video(path: Path) -> bool:
    """Whether a file is a video of a known format, by content."""
    try:
        with open_container(path) as container:
            main_video(container, path.name)
    except (InputError, *LIBRARY_ERRORS):
        return False
    return True


def _open(path: Path, hwaccel: HWAccel | None, **options: str) -> InputContainer:
    """Open with FFmpeg held back.

    "file:" keeps it from reading a protocol or a pattern into an odd file name; `max_pixels` refuses frames larger than
    the container says, while it probes; metadata need not be UTF-8.
    """
    return av.open(
        f"file:{path.absolute()}",
        "r",
        options={"max_pixels": str(MAX_FRAME_PIXELS)},
        container_options={"format_whitelist": ",".join(FORMATS), "protocol_whitelist": "file", **options},
        metadata_errors="replace",
        hwaccel=hwaccel,
    )


def main_video(container: InputContainer, name: str) -> VideoStream:
    """The video stream to read: the largest picture, the first of several as large.

    Cover pictures, thumbnails and streams that only complete another do not count.

    Raises:
        InputError: there is no video, no decoder for it, or its frames exceed `MAX_FRAME_PIXELS`.
    """
    streams = [stream for stream in container.streams.video if not stream.disposition & _NO_VIDEO]
    if not streams:
        raise InputError(f"{name} holds no video (sound, subtitles or a cover picture only)")
    # Without a decoder PyAV leaves the context empty, whatever its type annotation says.
    decodable = [stream for stream in streams if getattr(stream, "codec_context", None)]
    if not decodable:
        raise InputError(f"{name} is coded with an unknown codec; convert it to H.264 in mp4")
    stream = max(decodable, key=lambda candidate: candidate.width * candidate.height)
    check_frame_size(stream.width, stream.height, name)
    return stream


def nominal_fps(stream: VideoStream) -> float | None:
    """Frame rate that the container states, in frames per second; None where it states nothing plausible."""
    rates = (stream.average_rate, stream.guessed_rate, stream.base_rate)
    return next((float(rate) for rate in rates if rate is not None and is_plausible_fps(rate)), None)


def is_plausible_fps(rate: Fraction | float) -> bool:
    """Whether a rate in frames per second is one at which pictures are taken."""
    return _PLAUSIBLE_FPS[0] <= rate <= _PLAUSIBLE_FPS[1]


def pixel_aspect(stream: VideoStream) -> Fraction:
    """Width of a stored pixel over its height; 1 where the container states nothing."""
    aspect = stream.sample_aspect_ratio
    return aspect if aspect is not None and aspect > 0 else Fraction(1)


def check_frame_size(width: int, height: int, name: str) -> None:
    """Refuse frames that are too large to handle.

    Raises:
        InputError: more than `MAX_FRAME_PIXELS`.
    """
    if width * height > MAX_FRAME_PIXELS:
        limit = MAX_FRAME_PIXELS / 1e6
        raise InputError(f"{name} is {width}x{height} pixels; at most {limit:.0f} megapixels a frame are read")


def _complaint(path: Path) -> str:
    try:
        with path.open("rb") as file:
            is_mp4 = file.read(12)[4:8] == b"ftyp"
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if is_mp4:
        return "is a damaged mp4 or mov file: its index (moov) is missing or cut, the recording may not have ended well"
    return f"is not a video or still that can be read (known: {READABLE})"
