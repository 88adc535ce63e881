"""Which backend runs: the one asked for, or the fastest for the device."""

from __future__ import annotations

import math
import os
import sys
from ctypes.util import find_library
from importlib.util import find_spec
from pathlib import Path

import cv2

from streamer.backends.base import Backend
from streamer.errors import DeviceError
from streamer.settings import RuntimeSettings

_NO_DEVICE = "torch finds no CUDA device"
_NO_TORCH = "needs torch, which is not installed: python -m pip install 'streamer[cuda]'"


_FEW_FRAMES = 60
"""Up to so many, two streams of one core each gain less than making the second one ready costs (`OpenVinoBackend`)."""


def choose_backend(settings: RuntimeSettings, expected_frames: int | None = None) -> Backend:
    """The backend for `settings`; the one place that sets thread counts.

    On a CPU OpenVINO runs the three networks 1.5 to 3 times as fast as torch; torch is the reference, and runs CUDA.

    Args:
        settings: where and how.
        expected_frames: how many there are to analyse; None where that is not known.

    Raises:
        DeviceError: CUDA is asked for and there is none, OpenVINO is asked to use it, or int8 is asked for and the
            backend or the processor has none.
    """
    if settings.device == "cuda" and settings.backend == "openvino":
        raise DeviceError("backend 'openvino' runs on the CPU only: use --device cpu, or backend torch")
    # Importing torch takes 1.7 s and 500 MB: not where there is no card that it could use.
    wanted = settings.backend != "openvino" and (
        settings.device == "cuda" or (settings.device == "auto" and has_nvidia_driver())
    )
    fault = cuda_fault() if wanted else _NO_DEVICE
    if settings.device == "cuda" and fault is not None:
        raise DeviceError(f"CUDA was asked for, but {fault}: use --device cpu or auto")
    on_cuda = fault is None
    if settings.precision == "int8" and (on_cuda or settings.backend == "torch"):
        raise DeviceError("int8 runs on OpenVINO only: use --device cpu with backend openvino, or precision auto")
    cv2.setNumThreads(1)  # its pool would fight with the networks' threads for the cores
    threads = settings.threads or available_cores()
    if on_cuda:
        import torch

        from streamer.backends.torch_cuda import CudaBackend

        torch.set_num_threads(threads)
        return CudaBackend("fp32" if settings.precision == "fp32" else "auto")
    backend = _on_cpu(settings, threads, expected_frames)
    if wanted and fault != _NO_DEVICE:
        backend.warnings += (f"{fault}; the CPU runs instead",)
    return backend


def _on_cpu(settings: RuntimeSettings, threads: int, expected_frames: int | None) -> Backend:
    if settings.backend == "torch":
        if find_spec("torch") is None:
            raise DeviceError(f"backend 'torch' {_NO_TORCH}, or use backend openvino")
        import torch

        from streamer.backends.torch_cpu import TorchCpuBackend

        # Its threads wait for each other after every layer, and so for whatever else has a core: on two cores, one for
        # it and one for decoding and encoding give 9.5 frames/s, both for it 4.9.
        torch.set_num_threads(settings.threads or max(1, threads - 1))
        return TorchCpuBackend()
    if "torch" in sys.modules:  # what uses it besides, such as a training that validates
        sys.modules["torch"].set_num_threads(threads)
    from streamer.backends.openvino import OpenVinoBackend

    few = expected_frames is not None and expected_frames <= _FEW_FRAMES
    return OpenVinoBackend(threads, precision=settings.precision, streams=1 if few else None)


def has_nvidia_driver() -> bool:
    """Whether an NVIDIA driver is there, told by the files that it makes.

    Linux: `/dev/nvidiactl`, in containers too; Windows' Subsystem for Linux: `/dev/dxg`.
    """
    if os.name == "nt":
        return find_library("nvcuda") is not None
    return any(Path(device).exists() for device in ("/dev/nvidiactl", "/dev/dxg"))


def cuda_fault() -> str | None:
    """Why torch cannot compute on a CUDA device, in a line; None if it can.

    The device may be full or in use by another program, or older than this build of torch has kernels for.
    """
    if find_spec("torch") is None:
        return f"CUDA {_NO_TORCH}"
    import torch

    if not torch.cuda.is_available():
        return _NO_DEVICE
    try:
        torch.zeros(1, device="cuda").add_(1).item()
    except RuntimeError as error:
        return f"torch cannot use the CUDA device ({str(error).strip().partition(chr(10))[0]})"
    return None


def available_cores() -> int:
    """CPU cores this process may use: those it is bound to, and no more than its container is given time on."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    return max(1, min(cores, _quota_cores() or cores))


def _quota_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Cores' worth of time that a container is given, rounded up; None where there is no limit.

    Linux' documentation: cgroup-v2.rst (`cpu.max`), sched-bwc.rst (version 1). `joblib.cpu_count` tells it too, and
    takes a tenth of a second to import.
    """
    for files in (("cpu.max",), ("cpu/cpu.cfs_quota_us", "cpu/cpu.cfs_period_us")):
        try:
            quota, period = " ".join((cgroup / file).read_text(encoding="ascii") for file in files).split()
            if int(quota) > 0 and int(period) > 0:
                return math.ceil(int(quota) / int(period))
        except (OSError, ValueError):  # another version, no limit ("max"), no Linux
            continue
    return None
