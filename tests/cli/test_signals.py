"""Signals as wishes: the first, one that follows at once, a second; and what is to be ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from streamer.cli.signals import interrupted_by_termination, stop_on_signal

ENDINGS = (signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def clock_s(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """What the clock says, to be set."""
    now = [100.0]
    monkeypatch.setattr("streamer.cli.signals.monotonic", lambda: now[0])
    return now


def deliver(number: signal.Signals) -> None:
    """What a signal would do, without one: others in this process may listen to it as well."""
    handles = signal.getsignal(number)
    assert handles != signal.SIG_DFL
    if callable(handles):
        handles(number, None)


@contextmanager
def handler(number: signal.Signals, value: signal.Handlers) -> Iterator[None]:
    before = signal.signal(number, value)
    try:
        yield
    finally:
        signal.signal(number, before)


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDINGS])
def test_the_first_signal_is_a_wish_to_stop_and_the_second_interrupts(
    number: signal.Signals, clock_s: list[float]
) -> None:
    before = signal.getsignal(number)
    told: list[bool] = []
    with stop_on_signal(lambda: told.append(True)) as received:
        deliver(number)
        assert (received, told) == ([number], [True])
        clock_s[0] += 1.5
        with pytest.raises(KeyboardInterrupt):
            deliver(number)
    assert signal.getsignal(number) == before


def test_signals_that_follow_at_once_are_one_wish(clock_s: list[float]) -> None:
    told: list[bool] = []
    with stop_on_signal(lambda: told.append(True)) as received:
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            deliver(number)
            clock_s[0] += 0.1
    assert (received, told) == ([signal.SIGTERM], [True])


@pytest.mark.parametrize("context", [stop_on_signal, interrupted_by_termination])
def test_a_run_under_nohup_survives_its_terminal(context: Callable[[], AbstractContextManager[object]]) -> None:
    with handler(signal.SIGHUP, signal.SIG_IGN), context():
        deliver(signal.SIGHUP)
        assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN


@pytest.mark.parametrize("number", ENDINGS)
def test_termination_interrupts_once_so_that_it_can_be_tidied_up(number: signal.Signals) -> None:
    tidied: list[bool] = []

    def work() -> None:
        try:
            deliver(number)
        finally:
            deliver(number)  # the shell's, after the kernel's
            tidied.append(True)

    with handler(number, signal.SIG_DFL):
        with interrupted_by_termination(), pytest.raises(KeyboardInterrupt):
            work()
        assert signal.getsignal(number) == signal.SIG_DFL
    assert tidied


IMPORTING = """
import importlib, sys, time
from streamer.cli.signals import interrupted_by_termination
began_s = time.monotonic()
try:
    with interrupted_by_termination():
        importlib.import_module("module_at_work")
        time.sleep(60)
except KeyboardInterrupt:
    print("interrupted", sys.modules["module_at_work"].whole, time.monotonic() < began_s + 50)
"""


@pytest.mark.parametrize("number", [signal.SIGINT, *ENDINGS])
def test_no_import_is_broken_off_but_what_waits_after_it(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "module_at_work.py").write_text(f"import signal\nsignal.raise_signal({int(number)})\nwhole = True\n")
    plain = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
    started = (
        f"import signal\nsignal.signal({int(number)}, signal.{plain.__name__ if callable(plain) else plain.name})\n"
    )
    paths = os.pathsep.join((str(tmp_path), *sys.path))
    # In a process of its own: a signal that comes late must not end the tests.
    done = subprocess.run(
        [sys.executable, "-c", started + IMPORTING],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted True True\n", "")


def test_what_handles_termination_by_itself_is_left_alone() -> None:
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        with interrupted_by_termination():
            deliver(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


def test_a_forked_process_ends_as_it_would_have(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[tuple[int, int]] = []
    with handler(signal.SIGTERM, signal.SIG_DFL), interrupted_by_termination():
        monkeypatch.setattr(os, "getpid", lambda: 4711)
        monkeypatch.setattr(os, "kill", lambda *call: sent.append(call))
        deliver(signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL
    assert sent == [(4711, signal.SIGTERM)]
