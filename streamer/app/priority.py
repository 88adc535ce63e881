"""Networks that let others go first: the page is answered while they have all the rest of the processor."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")

_NICENESS = 5
"""How far they stand back. `benchmark app`, two cores, a clip of 10 s, three runs each: 5 and 10 brought the p95 of the
latency to 60 to 82 ms, from 75 to 150 without (with a player that made up for a little more than it was late)."""


def run_at_low_priority(load: Callable[[], T]) -> T:
    """Run `load` so that the threads it starts stand back behind those of the rest of the program.

    OpenVINO starts its threads when it loads a network; torch computes in the caller's, which stay as they are. Only on
    Linux, where niceness belongs to a thread and is inherited by those it starts; elsewhere `load` is just called.
    """
    loaded: Future[T] = Future()

    def work() -> None:
        _stand_back()
        try:
            loaded.set_result(load())
        except BaseException as error:  # it is the caller's, whatever it is
            loaded.set_exception(error)

    threading.Thread(target=work, name="streamer-load", daemon=True).start()  # Ctrl-C does not wait for it
    return loaded.result()


def _stand_back() -> None:
    if sys.platform == "linux":
        thread = threading.get_native_id()
        with contextlib.suppress(OSError):  # forbidden here: then they compete
            os.setpriority(os.PRIO_PROCESS, thread, os.getpriority(os.PRIO_PROCESS, thread) + _NICENESS)
