"""Runs a network on a fixed number of images at a time, and on fewer where the device has too little memory."""

from __future__ import annotations

import threading
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

from streamer.errors import DeviceError

Run = Callable[[npt.NDArray[np.uint8]], npt.NDArray[np.float32]]
"""Runs a network on at most as many images, shape (n, height, width), as it was prepared for."""


class ChunkedRunner:
    """A `Runner` that calls the network, prepared for a number of images, with at most as many at a time.

    When memory runs out the number is halved, once and for all. Calls from several threads wait for one another.

    Args:
        prepare: makes the network ready for a number of images. However few of them a call has, it computes that many:
            kernels are chosen by shape, and an image's result must not depend on how many came with it.
        size_wh: width and height of an image in pixels.
        most: number of images to begin with: `views` times a power of two.
        views: images of which the network makes one output.

    Raises:
        DeviceError: here or when called: there is not even memory for one output, or the device fails.
    """

    def __init__(self, prepare: Callable[[int], Run], size_wh: tuple[int, int], *, most: int, views: int = 1) -> None:
        self._prepare, self._size_wh = prepare, size_wh
        self._images, self._views = most, views
        self._run: Run | None = None
        self._lock = threading.Lock()
        self(np.zeros((views, size_wh[1], size_wh[0]), np.uint8))

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run all images, shape (n * views, height, width); output (n, ...)."""
        if len(grey) == 0:
            return np.zeros(0, np.float32)
        with self._lock:
            while (output := self._attempt(grey)) is None:
                # Out of the except clause, whose exception keeps the failed call's memory.
                self._run = None
                if self._images == self._views:
                    raise DeviceError(
                        "the device's memory is full, even for a single image: end other programs that use it, "
                        "or use --device cpu"
                    )
                self._images //= 2
            return output

    def _attempt(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32] | None:
        """The output, or None where memory ran out."""
        try:
            if self._run is None:
                self._run = self._prepare(self._images)
            starts = range(0, len(grey), self._images)
            return np.concatenate([self._run(grey[start : start + self._images]) for start in starts])
        except torch.OutOfMemoryError:
            return None
        except RuntimeError as error:
            reason = str(error).strip().partition("\n")[0]
            raise DeviceError(
                f"the device failed ({reason}): use --device cpu, or see whether its driver is well"
            ) from error
