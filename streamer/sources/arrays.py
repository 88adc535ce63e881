"""Frames that a program has in memory, or makes one by one."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sized
from typing import Any

import numpy as np

from streamer.errors import InputError
from streamer.sources._recording import Recording
from streamer.sources.base import MAX_FRAME_PIXELS, given_name, is_rate
from streamer.types import Frame, Image

ARRAY_FPS = 30.0
"""Frame rate of frames that carry no times: that of most cine clips."""


class ArrayFrames(Recording):
    """A source over any iterable of arrays, read one at a time.

    Args:
        images: RGB of shape (height, width, 3) or grey of shape (height, width), uint8, values 0 to 255. Each is copied
            as it is read, so that a generator may use one buffer for all.
        name: display name.
        fps: frames per second.
        pixel_spacing_mm: size of a pixel in millimetres, x and y; None where the scale is unknown.

    Raises:
        InputError: there is no frame, one is not such an array, or `fps` is no finite number above 0.

    Example:
        >>> import numpy as np
        >>> ArrayFrames([np.zeros((48, 64), np.uint8)]).info.width
        64
    """

    def __init__(
        self,
        images: Iterable[Any],
        *,
        name: str = "array",
        fps: float = ARRAY_FPS,
        pixel_spacing_mm: tuple[float, float] | None = None,
    ) -> None:
        name = given_name(name)
        super().__init__(name)
        if not is_rate(fps):
            raise InputError(f"{name}: fps must be a finite number above 0, not {fps}")
        self.fps, self.pixel_spacing_mm = fps, pixel_spacing_mm
        self.expected_frames = len(images) if isinstance(images, Sized) else None
        if not self._begin(self._frames(images)):
            raise InputError(f"{name} holds no frame")

    def _frames(self, images: Iterable[Any]) -> Generator[Frame]:
        for index, image in enumerate(images):
            picture = _rgb(image, f"{self.name}, frame {index}")
            self._note_size(picture, index)
            self.duration_s = (index + 1) / self.fps
            yield Frame(image=picture, index=index, time_s=index / self.fps, video=self.name)
        self.complete = True


def _rgb(image: Any, what: str) -> Image:
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"{what}: must be a uint8 array of shape (height, width) or (height, width, 3), not {kind}")
    if image.ndim not in (2, 3) or (image.ndim == 3 and image.shape[2] != 3) or 0 in image.shape:
        raise InputError(f"{what}: must have shape (height, width) or (height, width, 3), not {image.shape}")
    if image.shape[0] * image.shape[1] > MAX_FRAME_PIXELS:
        raise InputError(f"{what}: {image.shape[1]}x{image.shape[0]} is larger than {MAX_FRAME_PIXELS} pixels")
    return np.array(image, order="C") if image.ndim == 3 else np.repeat(image[..., None], 3, axis=2)
