"""Decoding on the GPU's video engine, through FFmpeg."""

from __future__ import annotations

from functools import cache
from typing import Literal

import av
from av.codec.hwaccel import HWAccel

from streamer.errors import DeviceError

Decoder = Literal["cpu", "cuda"]
"""What decodes. "cuda" takes what the GPU's engine knows, and leaves a stream that it does not know to the CPU."""


def acceleration(decoder: Decoder) -> HWAccel | None:
    """What `av.open` needs to be told for it.

    Raises:
        DeviceError: CUDA is asked for, and this FFmpeg or this machine cannot decode with it.
    """
    if decoder == "cpu":
        return None
    reason = _what_is_missing()
    if reason is not None:
        raise DeviceError(f"CUDA cannot decode video here ({reason}): leave the setting runtime.decoder at cpu")
    return _cuda()


def _cuda() -> HWAccel:
    # Every stream opens the device anew: in the context that torch uses, instead of one more of some 300 MB each.
    return HWAccel("cuda", options={"primary_ctx": "1"})


@cache
def _what_is_missing() -> str | None:
    try:
        av.CodecContext.create("h264", "r", hwaccel=_cuda())
    except (av.FFmpegError, OSError, NotImplementedError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None
