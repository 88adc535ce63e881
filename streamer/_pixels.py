"""RGB to grey as the networks see it, and RGB as PNG, JPEG or a data URL."""

from __future__ import annotations

import base64
from collections.abc import Sequence

import cv2
import numpy as np

from streamer.types import Grey, Image


def to_grey(image: Image) -> Grey:
    """ITU-R BT.601 luma of an RGB image, shape (height, width): what the networks were trained on.

    Example:
        >>> to_grey(np.full((2, 2, 3), 255, np.uint8)).tolist()
        [[255, 255], [255, 255]]
    """
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def png_bytes(image: Image, options: Sequence[int] = ()) -> bytes:
    """An RGB image as PNG; `options` are pairs of OpenCV's `IMWRITE_PNG_` flags and values."""
    return cv2.imencode(".png", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)[1].tobytes()


def jpeg_bytes(image: Image, quality: int) -> bytes:
    """An RGB image as JPEG of a quality from 0 to 100."""
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    return cv2.imencode(".jpg", bgr, (cv2.IMWRITE_JPEG_QUALITY, quality))[1].tobytes()


def data_url(media_type: str, content: bytes) -> str:
    """A file inside a page, for example "data:image/png;base64,...".

    Example:
        >>> data_url("text/plain", b"hi")
        'data:text/plain;base64,aGk='
    """
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
