"""Keeps networks in the process that loaded them: the threads that run them do not survive a `fork`."""

from __future__ import annotations

import os

from streamer.errors import DeviceError

_loaded_in = 0  # process id, 0 before the first network; a forked process inherits its parent's


def stay_in_process() -> None:
    """Note that this process has networks; to be called when they are loaded and before they run.

    OpenVINO and torch keep pools of threads of which a forked process has a copy without the threads: it would wait for
    them for ever (CPython's `os.fork` warns of the same).

    Raises:
        DeviceError: networks were loaded before this process was forked.
    """
    global _loaded_in
    if not _loaded_in:
        _loaded_in = os.getpid()
    if _loaded_in != os.getpid():
        raise DeviceError(
            "networks that were loaded before a fork cannot run after it: load them in the new process and start that "
            'by multiprocessing.get_context("spawn")'
        )
