"""Which backend runs: the one asked for, or the fastest for the device."""

from __future__ import annotations

import cv2
import torch
from joblib import cpu_count

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
    if settings.device == "cuda" and settings.backend == "openvino":
        raise DeviceError("backend 'openvino' runs on the CPU only: use --device cpu, or backend torch")
    wanted = settings.device != "cpu" and settings.backend != "openvino"
    there = wanted and torch.cuda.is_available()
    if settings.device == "cuda" and not there:
        raise DeviceError("CUDA was asked for, but torch finds no CUDA device: use --device cpu or auto")
    fault = cuda_fault() if there else None
    if settings.device == "cuda" and fault is not None:
        raise DeviceError(f"torch cannot use the CUDA device ({fault}): use --device cpu")
    on_cuda = there and fault is None
    if settings.precision == "int8" and (on_cuda or settings.backend == "torch"):
        raise DeviceError("int8 runs on OpenVINO only: use --device cpu with backend openvino, or precision auto")
    cv2.setNumThreads(1)  # its pool would fight with the networks' threads for the cores
    threads = settings.threads or available_cores()
    if on_cuda:
        from streamer.backends.torch_cuda import CudaBackend

        torch.set_num_threads(threads)
        return CudaBackend("fp32" if settings.precision == "fp32" else "auto")
    backend = _on_cpu(settings, threads)
    if fault is not None:
        backend.warnings += (f"torch cannot use the CUDA device ({fault}); the CPU runs instead",)
    return backend


def _on_cpu(settings: RuntimeSettings, threads: int) -> Backend:
    if settings.backend == "torch":
        from streamer.backends.torch_cpu import TorchCpuBackend

        # Its threads wait for each other after every layer, and so for whatever else has a core: on two cores, one for
        # it and one for decoding and encoding give 9.5 frames/s, both for it 4.9.
        torch.set_num_threads(settings.threads or max(1, threads - 1))
        return TorchCpuBackend()
    torch.set_num_threads(threads)
    from streamer.backends.openvino import OpenVinoBackend

    return OpenVinoBackend(threads, precision=settings.precision)


def cuda_fault() -> str | None:
    """Why the CUDA device that torch names cannot compute, in a line; None if it can.

    It may be full or in use by another program, or older than this build of torch has kernels for.
    """
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError as error:
        return str(error).strip().partition("\n")[0]
    return None


def available_cores() -> int:
    """CPU cores this process may use: those it is bound to, and no more than its container is given time on."""
    cores: int = cpu_count()
    return cores
