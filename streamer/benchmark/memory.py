"""Peak memory of this process."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_MIB = 2**20


def peak_host_memory_mb() -> float:
    """The most physical memory this process has had, in MiB; 0.0 where the system does not tell.

    Linux keeps that in `VmHWM`. `getrusage` elsewhere on Unix: kilobytes, on macOS bytes (getrusage(2)).
    """
    try:
        lines = _STATUS.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        lines = []
    kilobytes = next((int(line.split()[1]) for line in lines if line.startswith("VmHWM:")), None)
    if kilobytes is not None:
        return kilobytes / 1024
    try:
        import resource
    except ImportError:
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / _MIB if sys.platform == "darwin" else peak / 1024


def peak_device_memory_mb() -> float | None:
    """The most CUDA memory that torch has reserved in this process, in MiB; None without a CUDA device in use."""
    import torch

    if not (torch.cuda.is_available() and torch.cuda.is_initialized()):  # type: ignore[no-untyped-call]
        return None
    return torch.cuda.max_memory_reserved() / _MIB
