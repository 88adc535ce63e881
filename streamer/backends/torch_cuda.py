"""torch on a CUDA device: half precision, channels last, pinned transfers, each network captured as one CUDA graph.

Of these small networks most of the time would go into launching their several hundred kernels; a graph is launched once
(pytorch.org/docs/stable/notes/cuda.html#cuda-graphs).
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.backends._chunks import ChunkedRunner, Run
from streamer.backends.base import OpenVinoFiles, Runner

_CHUNK = 8
_WARM_UPS = 3
"""Runs before the capture, in which libraries choose kernels and allocate: as many as PyTorch's own examples."""
_NO_GRAPH = "a network could not be captured as a CUDA graph: it runs kernel by kernel, and slower"
_preparing = threading.Lock()
"""Held by whoever captures: "only one capture may be underway at a time in the process" (torch.cuda.graph)."""


class CudaBackend:
    """Runs networks with torch on the first CUDA device."""

    def __init__(self, precision: Literal["auto", "fp32"] = "auto", *, chunk: int = _CHUNK) -> None:
        """Run `chunk` frames or nodules at a time, in half precision or, for "fp32", in full."""
        self.device = f"CUDA ({torch.cuda.get_device_name()}, torch {torch.__version__})"
        self.precision = "fp32" if precision == "fp32" else "fp16"
        self.warnings: tuple[str, ...] = ()
        self.workers = 3  # one's frames are on the device while another's are prepared and a third's answers are read
        self.batch_frames = chunk
        self._broken: list[torch.cuda.CUDAGraph] = []  # the allocator may still refer to a capture that failed
        if precision == "fp32":  # else convolutions round their factors to ten bits
            torch.backends.cudnn.allow_tf32 = False

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
        """Move a network to the device, capture it and run it once.

        Raises:
            DeviceError: the device has no memory for it, or fails.
        """
        built = build() if self.precision == "fp32" else build().half()
        return ChunkedRunner(
            lambda images: self._prepared(built, size_wh, images, views),
            size_wh,
            most=self.batch_frames * views,
            views=views,
        )

    def _prepared(self, network: nn.Module, size_wh: tuple[int, int], images: int, views: int) -> Run:
        with _preparing:
            torch.cuda.empty_cache()
            stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            shape = images, size_wh[1], size_wh[0]
            pinned = torch.zeros(shape, dtype=torch.uint8, pin_memory=True)
            with torch.cuda.stream(stream):
                network.to("cuda", memory_format=torch.channels_last)  # type: ignore[call-overload]
                inputs = torch.zeros(shape, dtype=torch.uint8, device="cuda")
            compute, example = self._captured(network, inputs, stream)
            answers = torch.empty(example.shape, dtype=torch.float32, pin_memory=True)
        rows, read = pinned.numpy(), answers.numpy()

        def run(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            # What an earlier call left in the other rows is computed again and not read.
            given, wanted = len(grey), len(grey) // views
            rows[:given] = grey
            with torch.cuda.stream(stream):
                inputs[:given].copy_(pinned[:given], non_blocking=True)
                answers[:wanted].copy_(compute()[:wanted], non_blocking=True)
            stream.synchronize()  # from here on the buffers are free
            return read[:wanted].copy()

        return run

    def _captured(
        self, network: nn.Module, inputs: torch.Tensor, stream: torch.cuda.Stream
    ) -> tuple[Callable[[], torch.Tensor], torch.Tensor]:
        """Computes the network's output for what is in `inputs`; and an output, which the next call may overwrite."""

        def compute() -> torch.Tensor:
            with torch.no_grad():
                output: torch.Tensor = network(inputs).float()
                return output

        with torch.cuda.stream(stream):
            for _ in range(_WARM_UPS - 1):
                compute()
            output = compute()
        current, graph = torch.cuda.current_stream(), torch.cuda.CUDAGraph()
        try:
            # "thread_local": other threads may use the device meanwhile, on streams of their own.
            with torch.cuda.graph(graph, stream=stream, capture_error_mode="thread_local"):
                captured = compute()
        except RuntimeError as error:
            torch.cuda.set_stream(current)  # a capture that fails leaves its own in place
            self._broken.append(graph)
            with suppress(RuntimeError):
                torch.cuda.synchronize()
            if isinstance(error, torch.OutOfMemoryError) or isinstance(error.__context__, torch.OutOfMemoryError):
                raise torch.OutOfMemoryError(str(error)) from error
            self.warnings += () if _NO_GRAPH in self.warnings else (_NO_GRAPH,)
            return compute, output

        def replay() -> torch.Tensor:
            graph.replay()
            return captured

        return replay, captured
