"""Threads that let others go first: the page is answered while the networks have all the rest of the processor."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")

_NICENESS = 5
"""How far the networks stand back. `benchmark app`, two cores, a clip of 10 s, three runs each: 5 and 10 brought the
latency's p95 to 60 to 82 ms, from 75 to 150 without."""


def standing_back(call: Callable[[], T]) -> T:
    """Run `call` so that the threads it starts stand back behind those of the rest of the program.

    Only on Linux, where niceness belongs to a thread and is inherited by those it starts; elsewhere it is just called.
    """
    with ThreadPoolExecutor(1, "streamer-load", initializer=_stand_back) as pool:
        return pool.submit(call).result()


def _stand_back() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)
