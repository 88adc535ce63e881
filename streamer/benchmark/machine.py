"""Names the machine and the software that a figure was measured on; a figure without them says nothing."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from joblib import cpu_count

from streamer.version import __version__

_LINUX_CPUS = Path("/proc/cpuinfo")


def describe_machine() -> dict[str, str | int]:
    """The processor's name, the cores this process may use, and the operating system."""
    return {"cpu": _cpu_name(), "cores": cpu_count(), "system": f"{platform.system()} {platform.machine()}"}


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
