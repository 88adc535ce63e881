"""The interface between networks and the libraries that run them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import nn


class Runner(Protocol):
    """A loaded network. May be called from several threads at once."""

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Run all images, shape (n, height, width), in one call; output (n, ...).

        Of a network loaded for several views of each object: images (n * views, height, width), those of an object one
        after the other. The result for an object does not depend on its neighbours or on n. No image gives shape (0,).
        """
        ...


class OpenVinoFiles(Protocol):
    """A network as OpenVINO reads it, in int8 or float32; it is used only if both checks pass."""

    @property
    def path(self) -> Path:
        """Its `.xml` file; the `.bin` file lies beside it."""
        ...

    @property
    def digest(self) -> str:
        """Changes whenever what the files should hold changes."""
        ...

    def check_files(self) -> None:
        """Raise WeightsError unless the files are whole and belong to the weights in use."""
        ...

    def check_output(self, runner: Runner) -> None:
        """Raise WeightsError unless `runner` computes on this machine what the network gave when it was made."""
        ...

    def prepare(self, model: Any) -> None:
        """Change the OpenVINO model that was read from the files, in place, before it is compiled."""
        ...

    def part_of(self, runner: Runner) -> Runner:
        """What the network gives, out of what the file as a whole gives."""
        ...


class Backend(Protocol):
    """A way to run networks on this machine."""

    device: str
    """What the report calls it, for example "CPU (OpenVINO 2026.4)"."""
    warnings: tuple[str, ...]
    """What a user should know about how the networks run, a line each; memory that runs out later may add one."""
    workers: int
    """Threads that may profitably call runners at the same time."""
    batch_frames: int
    """Frames a micro-batch that suit it."""

    @property
    def precision(self) -> str:
        """Arithmetic of the networks loaded so far: "fp32", "fp16", "int8", or "mixed" where they differ."""
        ...

    def load(
        self,
        build: Callable[[], nn.Module],
        size_wh: tuple[int, int],
        key: str,
        int8: OpenVinoFiles | None = None,
        fp32: OpenVinoFiles | None = None,
        *,
        views: int = 1,
    ) -> Runner:
        """Make a network ready to run at one input size.

        Args:
            build: gives the network, float32, in evaluation mode, taking grey bytes; called only where it is needed.
            size_wh: width and height of its input in pixels.
            key: changes whenever the weights or their preprocessing change; names what may be kept on disk.
            int8: its int8 version, which a backend that has no use for it ignores.
            fp32: its float32 version, for the same.
            views: images of which the network makes one output.

        Raises:
            WeightsError: int8 was asked for, and the network has no int8 version or one that fails a check; or it has
                no OpenVINO files that pass theirs, and torch is not installed.
        """
        ...


def grouped(grey: npt.NDArray[np.uint8], views: int) -> Iterator[npt.NDArray[np.uint8]]:
    """The images of one object after the other, shape (views, height, width), out of (n * views, height, width)."""
    return (grey[start : start + views] for start in range(0, len(grey), views))
