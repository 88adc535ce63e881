"""Networks as OpenVINO compiled them, kept for the next start in the user's cache folder.

What is kept is the network after OpenVINO's rewrites for this processor, in its own format; machine code is made anew
at each start. A cache that is absent, damaged, full, read-only or another user's costs the compilation, nothing else.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import stat
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from streamer._files import atomic_path
from streamer.errors import OutputError

_MAX_BYTES = 256 * 2**20
"""Of all that is kept: some ten pairs of networks, of several releases and settings."""
_SUFFIX = ".compiled"
_DIGEST_BYTES = hashlib.sha256().digest_size


class CompiledCache:
    """Compiled networks by key, each in a file that begins with the checksum of the rest.

    Args:
        folder: made where missing, for this user alone.
        max_bytes: of all files; those used longest ago go first.

    Example:
        >>> kept = CompiledCache(Path("cache"))  # doctest: +SKIP
        >>> kept.put("key", b"network")  # doctest: +SKIP
        >>> kept.get("key")  # doctest: +SKIP
        b'network'
    """

    def __init__(self, folder: Path, *, max_bytes: int = _MAX_BYTES) -> None:
        self._folder, self._max_bytes = folder, max_bytes

    def get(self, key: str) -> bytes | None:
        """What was kept under a key; None where there is nothing, or nothing sound."""
        path = self._path(key)
        try:
            if not _is_private(self._folder):
                return None
            content = path.read_bytes()
        except OSError:
            return None
        network = content[_DIGEST_BYTES:]
        if hashlib.sha256(network).digest() != content[:_DIGEST_BYTES]:
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # used last
        return network

    def put(self, key: str, network: bytes) -> None:
        """Keep a network, if that can be done."""
        with contextlib.suppress(OSError, OutputError):
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not _is_private(self._folder) or len(network) > self._max_bytes:
                return
            with atomic_path(self._path(key)) as partial:
                partial.write_bytes(hashlib.sha256(network).digest() + network)
            self._shrink()

    def remove(self, key: str) -> None:
        """Forget a network that turned out to be of no use."""
        with contextlib.suppress(OSError):
            self._path(key).unlink()

    def _path(self, key: str) -> Path:
        return self._folder / f"{key}{_SUFFIX}"

    def _shrink(self) -> None:
        kept = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in kept:
            total += path.stat().st_size
            if total > self._max_bytes:
                path.unlink(missing_ok=True)


def compiled_key(network: str, settings: Mapping[str, Any]) -> str:
    """Changes whenever the network, the settings or the processor changes.

    Args:
        network: changes whenever what is compiled changes.
        settings: of the compilation, with OpenVINO's version.
    """
    return hashlib.sha256(repr((network, sorted(settings.items()), _processor())).encode()).hexdigest()[:32]


@cache
def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor and what it can do: a home may be shared by several machines, a virtual one may move."""
    with contextlib.suppress(OSError):
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
        return "\n".join(line for line in dict.fromkeys(lines) if line.startswith(("model name", "flags", "Features")))
    return f"{platform.machine()} {platform.processor()}"


def _is_private(folder: Path) -> bool:
    """Whether nobody else can have written there: what is read from it runs."""
    if not hasattr(os, "getuid"):  # Windows: the profile's folders are the user's own
        return True
    status = folder.stat()
    return status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
