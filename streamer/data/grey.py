"""Grey pixels of an image file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from streamer.errors import DataError


def read_grey(path: Path, *, how: int = cv2.IMREAD_GRAYSCALE) -> npt.NDArray[np.uint8]:
    """A grey image, shape (height, width); `how` is OpenCV's reading mode.

    Raises:
        DataError: it cannot be read.
    """
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)  # `imread` would complain on standard error
        pixels = cv2.imdecode(content, how) if content.size else None
    except OSError as error:
        raise DataError(f"cannot read the image {path}: {error.strerror}") from error
    except cv2.error:
        pixels = None
    if pixels is None:
        raise DataError(f"cannot read the image {path}: it is damaged, or none (of a clip, name the frame)")
    return np.asarray(pixels, np.uint8)
