"""The machine and software that a figure was measured on, and the memory that this process took."""

from __future__ import annotations

import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from streamer.backends.select import available_cores
from streamer.version import __version__

_LINUX_CPUS = Path("/proc/cpuinfo")
_STATUS = Path("/proc/self/status")
_MIB = 2**20


def describe_machine() -> dict[str, str | int]:
    """The processor's name, the cores this process may use, and the operating system."""
    return {"cpu": _cpu_name(), "cores": available_cores(), "system": f"{platform.system()} {platform.machine()}"}


def describe_versions(packages: Sequence[str]) -> dict[str, str]:
    """Versions of Python, streamer and those of `packages` that are installed."""
    found = {"python": platform.python_version(), "streamer": __version__}
    for package in packages:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def _cpu_name() -> str:
    """As the kernel gives it on Linux; elsewhere as far as Python knows it."""
    try:
        lines = _LINUX_CPUS.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or "unknown processor"


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
    if "torch" not in sys.modules:
        return None
    import torch

    if not (torch.cuda.is_available() and torch.cuda.is_initialized()):  # type: ignore[no-untyped-call]
        return None
    return torch.cuda.max_memory_reserved() / _MIB
