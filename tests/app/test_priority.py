"""The networks' threads stand back behind the page's."""

from __future__ import annotations

import os
import sys
import threading

import pytest

from streamer.app.priority import run_at_low_priority


def niceness() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def inherited() -> int:
    """Of a thread that is started here."""
    seen: list[int] = []
    thread = threading.Thread(target=lambda: seen.append(niceness()))
    thread.start()
    thread.join()
    return seen[0]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere priority belongs to the process")
def test_only_what_it_starts_stands_back() -> None:
    before = niceness()
    assert run_at_low_priority(inherited) > before
    assert niceness() == inherited() == before


def test_an_error_comes_through() -> None:
    with pytest.raises(ZeroDivisionError):
        run_at_low_priority(lambda: 1 / 0)
