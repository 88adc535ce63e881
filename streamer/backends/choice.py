"""Which backend runs: the one asked for, or the fastest for the device."""

from __future__ import annotations

import os

import cv2
import torch

from streamer.backends.base import Backend
from streamer.errors import DeviceError
from streamer.settings import RuntimeSettings


def choose_backend(settings: RuntimeSettings) -> Backend:
    """The backend for `settings`; the one place that sets thread counts.

    On a CPU OpenVINO runs the three networks 1.5 to 3 times as fast as torch; torch is the reference, and runs CUDA.

    Raises:
        DeviceError: CUDA is asked for and there is none, OpenVINO is asked to use it, or int8 is asked for and the
            backend or the processor has none.
    """
    cuda = torch.cuda.is_available()
    if settings.device == "cuda" and not cuda:
        raise DeviceError("CUDA was asked for, but torch finds no CUDA device: use --device cpu or auto")
    if settings.device == "cuda" and settings.backend == "openvino":
        raise DeviceError("backend 'openvino' runs on the CPU only: use --device cpu, or backend torch")
    on_cuda = cuda and settings.device != "cpu" and settings.backend != "openvino"
    if settings.precision == "int8" and (on_cuda or settings.backend == "torch"):
        raise DeviceError("int8 runs on OpenVINO only: use --device cpu with backend openvino, or precision auto")
    cv2.setNumThreads(1)  # its pool would fight with the networks' threads for the cores
    if on_cuda:
        from streamer.backends.torch_cuda import CudaBackend

        return CudaBackend()
    threads = settings.threads or available_cores()
    if settings.backend == "torch":
        from streamer.backends.torch_cpu import TorchCpuBackend

        # Its threads wait for each other after every layer, and so for whatever else has a core: on two cores, one for
        # it and one for decoding and encoding give 9.5 frames/s, both for it 4.9.
        torch.set_num_threads(settings.threads or max(1, threads - 1))
        return TorchCpuBackend()
    torch.set_num_threads(threads)
    from streamer.backends.openvino_cpu import OpenVinoBackend

    return OpenVinoBackend(threads, precision=settings.precision)


def available_cores() -> int:
    """CPU cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
