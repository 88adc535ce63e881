"""`python -m streamer`, and the command `streamer`."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line and end the process.

    Python would take apart all that was imported and loaded, object by object, before it gives the memory back: a sixth
    of the time of a short run. Where nothing is left to be done by another thread the process ends at once instead, its
    files closed and its streams flushed by then.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # Nothing has begun yet: Ctrl-C ends the process as SIGTERM does, without a traceback of half an import.
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from streamer.cli.main import main as command_line

    try:
        command_line()
    except SystemExit as ended:
        code = 0 if ended.code is None else ended.code
        if isinstance(code, int) and _may_leave():
            logging.shutdown()
            os._exit(code)
        raise
    sys.exit(0)


def _may_leave() -> bool:
    """Whether nothing is lost: no thread at work, networks that would be freed, streams that take what is written."""
    if threading.active_count() > 1:
        return False
    # Ray ends its own processes when Python does.
    if "streamer.backends.openvino" not in sys.modules or "ray" in sys.modules:
        return False
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
    except (OSError, ValueError):
        return False
    return True


if __name__ == "__main__":
    main()
