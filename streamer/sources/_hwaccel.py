"""Decoding on the GPU's video engine, through FFmpeg."""

from __future__ import annotations

from functools import cache
from typing import Literal

import av
from av.codec.hwaccel import HWAccel
from av.video.stream import VideoStream

from streamer.errors import DeviceError

Decoder = Literal["cpu", "cuda"]
"""What decodes. "cuda" takes what the GPU's engine knows, and leaves other streams to the processor."""

LEFT_TO_CPU = "decoded by the processor: the GPU's video engine does not know this stream, or its driver is missing"


def acceleration(decoder: Decoder) -> HWAccel | None:
    """What `av.open` needs to be told for it.

    Raises:
        DeviceError: CUDA is asked for, and this FFmpeg or this machine cannot decode with it.
    """
    if decoder == "cpu":
        return None
    _device_once()
    return _cuda()


def refuse_without_device() -> None:
    """Tell whether it was the device that kept a stream from being opened.

    Raises:
        DeviceError: it cannot be had now.
    """
    try:
        found = av.CodecContext.create("h264", "r", hwaccel=_cuda()).is_hwaccel
        reason = "this FFmpeg was built without it"
    except (av.FFmpegError, OSError, ValueError) as error:
        found, reason = False, f"{type(error).__name__}: {error}"
    if not found:
        raise DeviceError(f"CUDA cannot decode video here ({reason}): leave the setting runtime.decoder at cpu")


def left_to_cpu(decoder: Decoder, stream: VideoStream) -> bool:
    """Whether a stream of which a picture has been decoded did not go through the GPU, as it was to."""
    return decoder == "cuda" and stream.codec_context.pix_fmt != "cuda"


def _cuda() -> HWAccel:
    # A context a stream: FFmpeg 8 refuses the process's primary one where torch has made it first, with other flags.
    return HWAccel("cuda")


@cache
def _device_once() -> None:
    """Look for the device until it is found."""
    refuse_without_device()
