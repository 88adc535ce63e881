"""Calls run in order on one thread, at most so many wait, and the first error reaches the caller."""

from __future__ import annotations

import threading

import pytest

from streamer.outputs.worker import OrderedWorker


def fail(message: str) -> None:
    raise OSError(message)


def test_calls_run_in_order() -> None:
    done: list[int] = []
    worker = OrderedWorker(2)
    for number in range(20):
        worker.submit(lambda number=number: done.append(number))  # type: ignore[misc]
    worker.finish(lambda: done.append(99))
    assert done == [*range(20), 99]


def test_submit_waits_while_the_queue_is_full() -> None:
    gate, started = threading.Event(), threading.Event()
    worker = OrderedWorker(1)

    def block() -> None:
        gate.wait()

    def fill() -> None:
        worker.submit(block)
        started.set()

    worker.submit(block)
    second = threading.Thread(target=fill)
    second.start()
    assert not started.wait(0.1)
    gate.set()
    assert started.wait(5)
    second.join()
    worker.finish(lambda: None)


def test_first_error_stops_the_rest() -> None:
    done: list[str] = []
    worker = OrderedWorker(4)
    gate = threading.Event()

    def fail_later() -> None:
        gate.wait()
        fail("disk full")

    worker.submit(fail_later)
    worker.submit(lambda: done.append("never"))
    gate.set()
    with pytest.raises(OSError, match="disk full"):
        worker.finish(lambda: done.append("cleaned up"))
    assert done == ["cleaned up"]


def test_error_reaches_the_next_submit() -> None:
    worker = OrderedWorker(1)  # so that the next call waits until this one is over
    worker.submit(lambda: fail("disk full"))
    with pytest.raises(OSError, match="disk full"):
        worker.submit(lambda: None)
    with pytest.raises(OSError, match="disk full"):
        worker.finish(lambda: None)


def test_finish_twice_runs_the_last_call_once() -> None:
    done: list[int] = []
    worker = OrderedWorker(1)
    worker.finish(lambda: done.append(1))
    worker.finish(lambda: done.append(2))
    assert done == [1]


def test_error_of_the_last_call_is_raised() -> None:
    worker = OrderedWorker(1)
    with pytest.raises(OSError, match="trailer"):
        worker.finish(lambda: fail("trailer"))
