"""The reference: torch on the CPU, float32, channels last (1.7 times as fast as the default layout on DenseNet121)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.backends.base import OpenVinoFiles, Runner, grouped


class TorchCpuBackend:
    """Runs networks with torch on the CPU."""

    def __init__(self) -> None:
        self.device = f"CPU (torch {torch.__version__})"
        self.precision = "fp32"
        self.warnings: tuple[str, ...] = ()
        self.workers = 1
        self.batch_frames = 1

    def load(
        self,
        build: Callable[[], nn.Module],
        size_wh: tuple[int, int],
        key: str,  # noqa: ARG002
        int8: OpenVinoFiles | None = None,  # noqa: ARG002
        fp32: OpenVinoFiles | None = None,  # noqa: ARG002
        *,
        views: int = 1,
    ) -> Runner:
        """Make a network ready and run it once, so that lazily built parts exist before threads share it."""
        graph = build().to(memory_format=torch.channels_last)
        runner = _TorchCpuRunner(graph, views)
        runner(np.zeros((views, size_wh[1], size_wh[0]), np.uint8))
        return runner


class _TorchCpuRunner:
    def __init__(self, graph: nn.Module, views: int) -> None:
        self._graph, self._views = graph, views

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        # One object at a time: kernels are chosen by batch size, and results must not depend on it. Batches gain
        # nothing on a CPU.
        if len(grey) == 0:
            return np.zeros(0, np.float32)
        with torch.no_grad():
            return np.concatenate([self._graph(torch.from_numpy(part)).numpy() for part in grouped(grey, self._views)])
