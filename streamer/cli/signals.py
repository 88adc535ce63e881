"""Ctrl-C and termination as a wish to stop; imports nothing heavy, for commands that must stay small."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from types import FrameType

_SAME_S = 1.0
"""Signals that close upon one another are one wish. A terminal that closes sends SIGHUP by the kernel and by its shell,
systemd follows SIGTERM with SIGHUP (SendSIGHUP=), and `timeout`, npm and uv pass on what the terminal has sent already.
A person who presses Ctrl-C again has waited for longer."""
_LATER_S = 0.05


class _Wish:
    """The first signal, and whether another is meant as a second one."""

    def __init__(self) -> None:
        self._first_s: float | None = None

    def is_first(self) -> bool:
        """Whether this signal is the first; at once followed by another, that one is neither first nor second.

        Raises:
            KeyboardInterrupt: it is the second.
        """
        now_s = monotonic()
        if self._first_s is None:
            self._first_s = now_s
            return True
        if now_s - self._first_s >= _SAME_S:
            raise KeyboardInterrupt
        return False


@contextmanager
def stop_on_signal(on_first: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Collect the first Ctrl-C or termination as a wish to stop, and tell it; the second one interrupts at once.

    A closed terminal is no wish where it is to be survived, as under `nohup`.
    """
    received: list[int] = []
    wish = _Wish()

    def note(number: int, _: FrameType | None) -> None:
        if wish.is_first():
            received.append(number)
            on_first()

    with _handled([signal.SIGINT, *_endings()], note):
        yield received


@contextmanager
def interrupted_by_termination() -> Iterator[None]:
    """Let SIGTERM and SIGHUP interrupt as Ctrl-C does, so that temporary files and empty folders go away.

    None of the three interrupts an import: a package of compiled code that is broken off makes another error of it, or
    forgets it. It comes a moment later instead. What handles these signals by itself meanwhile is not disturbed, nor is
    a process that was forked from this one.
    """
    wish, process = _Wish(), os.getpid()

    def interrupt(number: int, frame: FrameType | None) -> None:
        if os.getpid() != process:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        elif _is_importing(frame):
            again = threading.Timer(_LATER_S, _send_to_main_thread, [number])
            again.daemon = True
            again.start()
        elif wish.is_first():
            raise KeyboardInterrupt

    plain = (signal.SIG_DFL, signal.default_int_handler)
    with _handled([number for number in (signal.SIGINT, *_endings()) if signal.getsignal(number) in plain], interrupt):
        yield


def _send_to_main_thread(number: int) -> None:
    if hasattr(signal, "pthread_kill"):  # not on Windows
        signal.pthread_kill(threading.main_thread().ident or 0, number)  # another thread's would not end what waits
    else:
        signal.raise_signal(number)


def _is_importing(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename.startswith("<frozen importlib._bootstrap"):
            return True
        frame = frame.f_back
    return False


def _endings() -> list[signal.Signals]:
    """The signals that end a process from outside, less those that it was started to ignore."""
    names = ("SIGTERM", "SIGHUP")  # Windows has no SIGHUP: a terminal that is closed
    numbers = [signal.Signals[name] for name in names if hasattr(signal, name)]
    return [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]


@contextmanager
def _handled(numbers: list[signal.Signals], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = [signal.signal(number, handler) for number in numbers]
    try:
        yield
    finally:
        for number, earlier in zip(numbers, before, strict=True):
            signal.signal(number, earlier)
