"""A contender in a process of its own: its thread settings and its memory are not ours.

It is loaded once, then told what to do, in turn with the others; in between it sleeps.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from streamer.benchmark.baselines import Baseline, BaselineName
from streamer.benchmark.own import OwnAnalysis
from streamer.benchmark.passes import Contender, Facts, Pass, stop_after
from streamer.benchmark.peer_networks import NetworkKind
from streamer.benchmark.streams import Watch
from streamer.errors import DeviceError, StreamerError
from streamer.settings import Settings

OWN = "streamer"
_LOOK_EVERY_S = 0.2
_GOODBYE_S = 5.0
_PATIENCE_S = 20.0  # for the frame that a worker is at when it is told to stop


@dataclass(frozen=True, slots=True)
class Entrant:
    """Who takes part: streamer itself where `baseline` is None."""

    settings: Settings
    baseline: BaselineName | None = None
    kind: NetworkKind = NetworkKind.torch

    @property
    def name(self) -> str:
        """As the figures call it: "naive" with torch networks, else for example "naive-compiled"."""
        if self.baseline is None:
            return OWN
        return self.baseline.value + ("" if self.kind is NetworkKind.torch else f"-{self.kind.value}")


class Worker:
    """A contender's process. Use as a context manager."""

    def __init__(self, entrant: Entrant, folder: Path) -> None:
        """Start loading; `wait_until_loaded` waits for the end of it.

        Args:
            entrant: who takes part.
            folder: what the worker writes goes below it; its owner deletes it.
        """
        self.entrant = entrant
        context = multiprocessing.get_context("spawn")
        self._connection, other = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(other, entrant, Path(tempfile.mkdtemp(dir=folder))), daemon=True
        )
        with _interrupt_ignored():  # inherited: Ctrl-C is for the parent, which tells its workers
            self._process.start()
        other.close()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self._connection.close()  # it ends by itself, unless it is still loading
        self._process.join(_GOODBYE_S)
        self._process.terminate()
        self._process.join()

    def wait_until_loaded(self) -> None:
        """Wait until the networks are there.

        Raises:
            StreamerError: what went wrong in the worker.
        """
        self._answer(lambda _: None)

    def analyse(self, clip: Path, seconds: float, tick: Callable[[float], None]) -> Pass:
        """One pass over a clip, of at most `seconds`; `tick` is told the seconds since the start now and then.

        Raises:
            StreamerError: what went wrong in the worker.
        """
        self._connection.send(("analyse", clip, seconds))
        result: Pass = self._answer(tick)
        return result

    def break_off(self) -> Pass | None:
        """End the pass that runs, and give what it did; None where none was running."""
        with contextlib.suppress(OSError, EOFError):
            self._connection.send(("stop",))
            if self._connection.poll(_PATIENCE_S):
                answer = self._connection.recv()
                if isinstance(answer, Pass):
                    self._connection.recv()  # what it says to being told to stop
                    return answer
        return None

    def start_streams(self, clip: Path, count: int, seconds: float) -> None:
        """Begin to watch live streams on streamer's own worker; `watched` gives what was seen."""
        self._connection.send(("streams", clip, count, seconds))

    def watched(self) -> Watch:
        """Wait for the end of what `start_streams` began.

        Raises:
            StreamerError: what went wrong in the worker.
        """
        result: Watch = self._answer(lambda _: None)
        return result

    def networks_ms(self) -> dict[str, float]:
        """See `Contender`."""
        self._connection.send(("networks_ms",))
        result: dict[str, float] = self._answer(lambda _: None)
        return result

    def facts(self) -> Facts:
        """See `Contender`."""
        self._connection.send(("facts",))
        result: Facts = self._answer(lambda _: None)
        return result

    def _answer(self, tick: Callable[[float], None]) -> Any:
        began_s = time.monotonic()
        try:
            while not self._connection.poll(_LOOK_EVERY_S):
                tick(time.monotonic() - began_s)
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._process.join(1)
            raise DeviceError(
                f"the process of '{self.entrant.name}' has ended (exit code {self._process.exitcode}): "
                "is there enough memory?"
            ) from error
        if isinstance(answer, Exception):
            raise answer
        return answer


@contextmanager
def _interrupt_ignored() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _serve(connection: Connection, entrant: Entrant, folder: Path) -> None:
    """The worker's main function: load, then answer until the parent hangs up."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")  # of the baselines' libraries; they would run through the progress bar
    with contextlib.suppress(EOFError, BrokenPipeError):
        os.chdir(folder)  # nothing that a library leaves behind lies in the user's folder
        try:
            contender = _load(entrant)
            connection.send("loaded")
        except Exception as error:
            connection.send(_sendable(error, entrant))
            return
        while True:
            request = connection.recv()
            try:
                connection.send(_do(contender, request, connection, folder))
            except (EOFError, BrokenPipeError):
                raise
            except Exception as error:
                connection.send(_sendable(error, entrant))


def _load(entrant: Entrant) -> Contender:
    if entrant.baseline is None:
        return OwnAnalysis(entrant.settings)
    return Baseline(entrant.baseline, entrant.kind, entrant.settings)


def _do(contender: Contender, request: tuple[Any, ...], connection: Connection, folder: Path) -> object:
    match request:
        case ("analyse", clip, seconds):
            with tempfile.TemporaryDirectory(dir=folder) as results:
                return contender.analyse(clip, Path(results), stop_after(seconds, connection.poll))
        case ("networks_ms",):
            return contender.networks_ms()
        case ("facts",):
            return contender.facts()
        case ("streams", clip, count, seconds) if isinstance(contender, OwnAnalysis):
            return contender.watch_streams(clip, count, seconds)
    return None  # told to stop when it already had


def _sendable(error: Exception, entrant: Entrant) -> StreamerError:
    """Our own errors as they are; a library's, which may not survive the way, as one line."""
    if isinstance(error, StreamerError):
        return type(error)(str(error))
    reason = " ".join(str(error).split())[:300]
    return DeviceError(f"'{entrant.name}' failed: {type(error).__name__}: {reason}")
