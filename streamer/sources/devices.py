"""Capture devices of this machine (Video4Linux), and the pictures that each can deliver."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streamer.errors import DeviceError

FFMPEG_NAMES = {
    "MJPEG": "mjpeg", "JPEG": "mjpeg", "H264": "h264", "HEVC": "hevc", "MPEG4": "mpeg4",
    "YUYV": "yuyv422", "UYVY": "uyvy422", "YUV420": "yuv420p", "YVU420": "yuv420p", "YUV422P": "yuv422p",
    "YUV411P": "yuv411p", "YUV410": "yuv410p", "NV12": "nv12", "NV16": "nv16", "NV24": "nv24",
    "RGB24": "rgb24", "BGR24": "bgr24", "BGR32": "bgr0", "XBGR32": "bgr0", "ABGR32": "bgra", "RGB32": "0rgb",
    "RGB555": "rgb555le", "RGB565": "rgb565le", "GREY": "gray", "Y16": "gray16le", "PAL8": "pal8",
}  # fmt: skip
"""FFmpeg's name of each of Video4Linux's pixel formats (libavdevice/v4l2-common.c); it opens no others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureMode:
    """Pictures that a device delivers.

    Attributes:
        pixel_format: FFmpeg's name, as `Capture.pixel_format` takes it.
        size_wh: width and height in pixels; None where the device lists no sizes.
        rates_hz: pictures per second, highest first; empty where the device lists none.
    """

    pixel_format: str
    size_wh: tuple[int, int] | None
    rates_hz: tuple[float, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class CaptureDevice:
    """A capture device.

    Attributes:
        path: as `open_live` takes it, such as /dev/video0.
        name: what the driver calls it.
        modes: what it delivers; empty where it cannot be asked.
        problem: why it cannot be asked, in a line; "" if it could.
    """

    path: str
    name: str
    modes: tuple[CaptureMode, ...]
    problem: str = ""


def capture_devices(folder: Path = Path("/dev")) -> tuple[CaptureDevice, ...]:
    """The capture devices of this machine, in the order of their names.

    Args:
        folder: where their files are.

    Raises:
        DeviceError: this system has no Video4Linux.

    Example:
        >>> for device in capture_devices():  # doctest: +SKIP
        ...     print(device.path, device.name, [mode.size_wh for mode in device.modes])
    """
    if sys.platform != "linux":
        raise DeviceError("capture devices are listed on Linux only")
    files = sorted(folder.glob("video*"), key=lambda path: (len(path.name), path.name))
    found = (_asked(path) for path in files)
    return tuple(device for device in found if device is not None)


def _asked(path: Path) -> CaptureDevice | None:
    """What a device says of itself; None where it captures nothing, as the second file of many cameras."""
    from linuxpy.video.device import BufferType, Device

    try:
        with Device(str(path)) as device:
            info = device.info
            if BufferType.VIDEO_CAPTURE not in info.buffers:
                return None
            formats = info.buffer_formats(BufferType.VIDEO_CAPTURE)
            modes = tuple(mode for one in formats for mode in _modes(info, one.pixel_format))
            return CaptureDevice(path=str(path), name=_printable(info.card), modes=modes)
    except OSError as error:
        return CaptureDevice(path=str(path), name=path.name, modes=(), problem=error.strerror or type(error).__name__)


def _modes(info: Any, pixel_format: Any) -> Sequence[CaptureMode]:
    name = FFMPEG_NAMES.get(pixel_format.name)
    if name is None:
        return ()
    sizes = [size.info for size in info.format_frame_sizes(pixel_format) if size.type.name == "DISCRETE"]
    if not sizes:
        return (CaptureMode(pixel_format=name, size_wh=None, rates_hz=()),)
    return [
        CaptureMode(
            pixel_format=name,
            size_wh=(size.width, size.height),
            rates_hz=_rates_hz(info.fps_intervals(pixel_format, size.width, size.height)),
        )
        for size in sizes
    ]


def _rates_hz(intervals: Sequence[Any]) -> tuple[float, ...]:
    rates = {round(float(rate), 3) for one in intervals for rate in (one.min_fps, one.max_fps)}
    return tuple(sorted((rate for rate in rates if rate > 0), reverse=True))


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else "?" for letter in text)
