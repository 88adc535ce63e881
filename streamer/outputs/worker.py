"""A thread that takes encoding off the caller's hands, behind a bounded queue."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Semaphore


class OrderedWorker:
    """Runs calls in order on a thread of its own. The first one that fails stops the rest and is raised to the caller.

    Args:
        capacity: calls that may wait; `submit` blocks while there are more.
    """

    def __init__(self, capacity: int) -> None:
        self._slots = Semaphore(capacity)
        self._pool = ThreadPoolExecutor(1, "streamer-output")
        self._error: Exception | None = None
        self._last: Future[None] | None = None

    def submit(self, call: Callable[[], None]) -> None:
        """Queue `call`.

        Raises:
            Exception: what an earlier call raised.
        """
        self._slots.acquire()
        if self._error is not None:
            self._slots.release()
            raise self._error
        self._pool.submit(self._run, call)

    def finish(self, last: Callable[[], None]) -> None:
        """Wait for the queued calls, then for `last`, which runs even after a failure, and end the thread.

        May be called again if an interrupt broke off the wait: `last` runs once.

        Raises:
            Exception: the first error of any call.
        """
        if self._last is None:
            self._last = self._pool.submit(last)
            self._pool.shutdown(wait=False)
        self._last.exception()
        error = self._error or self._last.exception()
        if error is not None:
            raise error

    def _run(self, call: Callable[[], None]) -> None:
        try:
            if self._error is None:
                call()
        except Exception as error:  # kept for the caller, whatever it is
            self._error = error
        finally:
            self._slots.release()
