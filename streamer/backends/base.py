"""The interface between networks and the libraries that run them."""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt
from torch import nn


class Runner(Protocol):
    """A loaded network. May be called from several threads at once."""

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run all images, shape (n, height, width), in one call; output (n, ...).

        The result for an image does not depend on its neighbours or on n. Zero images give shape (0,).
        """
        ...


class Backend(Protocol):
    """A way to run networks on this machine."""

    device: str
    """What the report calls it, for example "CPU (OpenVINO 2026.4)"."""
    precision: str
    workers: int
    """Threads that may profitably call runners at the same time."""
    batch_frames: int
    """Frames a micro-batch that suit it."""

    def load(self, graph: nn.Module, size_wh: tuple[int, int], key: str) -> Runner:
        """Make a network ready to run at one input size.

        Args:
            graph: the network, float32, in evaluation mode, taking grey bytes.
            size_wh: width and height of its input in pixels.
            key: changes whenever the weights or their preprocessing change; names what may be kept on disk.
        """
        ...
