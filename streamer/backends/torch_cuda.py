"""torch on a CUDA device: half precision, channels last, pinned transfers, warmed up at the one batch size it uses."""

from __future__ import annotations

import threading

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.backends.base import Runner

_CHUNK = 8
"""Images a call on the device. Always this many, padded with black: kernels are chosen by shape, so an image's result
does not depend on how many came with it."""


class CudaBackend:
    """Runs networks with torch on the first CUDA device."""

    def __init__(self) -> None:
        self.device = f"CUDA ({torch.cuda.get_device_name()}, torch {torch.__version__})"
        self.precision = "fp16"
        self.workers = 1
        self.batch_frames = _CHUNK

    def load(self, graph: nn.Module, size_wh: tuple[int, int], key: str) -> Runner:  # noqa: ARG002
        """Move a network to the device and run it once."""
        graph = graph.half().to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
        runner = _CudaRunner(graph, size_wh)
        runner(np.zeros((1, size_wh[1], size_wh[0]), np.uint8))
        return runner


class _CudaRunner:
    """The pinned buffer is reused, so calls from several threads wait for one another."""

    def __init__(self, graph: nn.Module, size_wh: tuple[int, int]) -> None:
        self._graph = graph
        self._pinned = torch.zeros((_CHUNK, size_wh[1], size_wh[0]), dtype=torch.uint8).pin_memory()
        self._lock = threading.Lock()

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        outputs = [self._chunk(grey[start : start + _CHUNK]) for start in range(0, len(grey), _CHUNK)]
        return np.concatenate(outputs) if outputs else np.zeros(0, np.float32)

    def _chunk(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        with self._lock, torch.no_grad():
            self._pinned.zero_()
            self._pinned[: len(grey)].copy_(torch.from_numpy(grey))
            output = self._graph(self._pinned.to("cuda", non_blocking=True))
            return output[: len(grey)].float().cpu().numpy()  # type: ignore[no-any-return]
