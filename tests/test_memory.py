"""What was freed goes back to the system."""

import sys
import threading
from pathlib import Path

import pytest

from streamer._memory import return_freed_memory

_PIECES, _SIZE = 3000, 20_000  # 60 MB in pieces too small to be mapped one by one


def _in_use_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("RssAnon")).split()[1]) / 1000


@pytest.mark.skipif(sys.platform != "linux", reason="glibc alone")
def test_what_threads_have_freed_is_given_back() -> None:
    kept: list[bytes] = []

    def take() -> None:
        kept.extend(b"x" * _SIZE for _ in range(_PIECES))

    thread = threading.Thread(target=take)
    thread.start()
    thread.join()
    last = kept[-1]  # the arena's top stays in use, so that glibc gives nothing back by itself
    kept.clear()
    before = _in_use_mb()
    return_freed_memory()
    assert before - _in_use_mb() > 30
    assert len(last) == _SIZE


def test_a_system_without_it_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_: None) -> object:
        return object()

    monkeypatch.setattr("ctypes.CDLL", missing)
    return_freed_memory()
