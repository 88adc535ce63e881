"""Ctrl-C and termination as a wish to stop; imports nothing, for commands that must stay small."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signal(on_first: Callable[[], None] = lambda: None) -> Iterator[list[int]]:
    """Collect the first Ctrl-C or termination as a wish to stop, and tell it; the second one interrupts at once."""
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)
        on_first()

    names = ("SIGINT", "SIGTERM", "SIGHUP")  # Windows has no SIGHUP: a terminal that is closed
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    before = [signal.signal(number, note) for number in numbers]
    try:
        yield received
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
