"""torch on a CUDA device: half precision, channels last, pinned transfers, each network captured as one CUDA graph.

Of these small networks most of the time would go into launching their several hundred kernels; a graph is launched once
(pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.backends.base import Quantised, Runner
from streamer.backends.chunks import ChunkedRunner, Run

_CHUNK = 8
_WARM_UPS = 3
"""Runs before the capture, in which libraries choose kernels and allocate: as many as PyTorch's own examples."""
_NO_GRAPH = "a network could not be captured as a CUDA graph: it runs kernel by kernel, and slower"


class CudaBackend:
    """Runs networks with torch on the first CUDA device."""

    def __init__(self) -> None:
        self.device = f"CUDA ({torch.cuda.get_device_name()}, torch {torch.__version__})"
        self.precision = "fp16"
        self.warnings: tuple[str, ...] = ()
        self.workers = 3  # one's frames are on the device while another's are prepared and a third's answers are read
        self.batch_frames = _CHUNK

    def load(
        self,
        build: Callable[[], nn.Module],
        size_wh: tuple[int, int],
        key: str,  # noqa: ARG002
        quantised: Quantised | None = None,  # noqa: ARG002
        *,
        views: int = 1,
    ) -> Runner:
        """Move a network to the device, capture it and run it once.

        Raises:
            DeviceError: the device has no memory for it.
        """
        network = build().half().to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
        return ChunkedRunner(
            lambda images: self._prepared(network, size_wh, images), size_wh, most=_CHUNK * views, views=views
        )

    def _prepared(self, network: nn.Module, size_wh: tuple[int, int], images: int) -> Run:
        torch.cuda.empty_cache()
        shape = images, size_wh[1], size_wh[0]
        pinned = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
        inputs = torch.zeros(shape, dtype=torch.uint8, device="cuda")
        replay = self._captured(network, inputs)

        def run(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            pinned.copy_(torch.from_numpy(grey))
            inputs.copy_(pinned, non_blocking=True)
            return replay().cpu().numpy()  # waits: from here on both buffers are free

        return run

    def _captured(self, network: nn.Module, inputs: torch.Tensor) -> Callable[[], torch.Tensor]:
        """Computes the network's output for what is in `inputs`; the next call overwrites it."""

        def compute() -> torch.Tensor:
            with torch.no_grad():
                output: torch.Tensor = network(inputs).float()
                return output

        current, stream = torch.cuda.current_stream(), torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(current)
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS):
                compute()
        current.wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads may use the device meanwhile.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                output = compute()
        except RuntimeError:
            torch.cuda.set_stream(current)  # a capture that fails leaves its own in place
            torch.cuda.synchronize()
            self.warnings = (_NO_GRAPH,)
            return compute

        def replay() -> torch.Tensor:
            graph.replay()
            return output

        return replay
