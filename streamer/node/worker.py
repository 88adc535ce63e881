"""Analyses jobs in a process of its own, which has the networks, and only while there is work.

The node itself stays as small as what it receives allows, and outlives what ends an analysis: a file that crashes a
decoder, or a machine that runs out of memory.
"""

from __future__ import annotations

import logging
import multiprocessing
import time
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from streamer.errors import StreamerError
from streamer.monitoring.metrics import Metrics
from streamer.node.records import END, STOP, Job, StoppedError

if TYPE_CHECKING:
    from streamer.pipeline.analyser import FrameAnalyser
    from streamer.settings import Settings

_IDLE_S = 60.0
"""Networks are loaded again in a few seconds, which is little beside the quiet that a study waits for."""
_LOOK_S = 0.1
_PATIENCE_S = 30.0  # for a frame that is under way at the end


class JobAnalyser(Protocol):
    """What a node gives its jobs to, one at a time."""

    @property
    def device(self) -> tuple[str, str]:
        """Where the networks run, and with which arithmetic."""
        ...

    def analyse(self, job: Job, should_stop: Callable[[], bool], metrics: Metrics) -> tuple[list[Path], str]:
        """Analyse a job, as `streamer.node.analysis.analyse_job`."""
        ...

    def rest(self) -> None:
        """Nothing waits just now; called again and again."""
        ...

    def close(self) -> None:
        """Nothing will come any more; may be called twice."""
        ...


class AnalysisProcess:
    """A `JobAnalyser` in a process of its own, which ends when nothing has come for a while, and with this one.

    Args:
        load: makes the analyser, in the other process; a function of a module, or a `partial` of one.
        idle_s: after so long without a job the process ends; the next job starts another.

    Raises:
        StreamerError: what `load` raised, such as `WeightsError`.
    """

    def __init__(self, load: Callable[[], FrameAnalyser], *, idle_s: float = _IDLE_S) -> None:
        self._load, self._idle_s = load, idle_s
        self._process: multiprocessing.process.BaseProcess | None = None
        self._line: Connection | None = None
        self._used_s = time.monotonic()
        self._device = self._start()

    @property
    def device(self) -> tuple[str, str]:
        """Where the networks run, and with which arithmetic."""
        return self._device

    @property
    def pid(self) -> int | None:
        """Of the process; None while there is none."""
        return None if self._process is None else self._process.pid

    def analyse(self, job: Job, should_stop: Callable[[], bool], metrics: Metrics) -> tuple[list[Path], str]:
        """Analyse a job.

        Raises:
            StoppedError: it was to stop.
            StreamerError: it failed, or the process ended on the way.
        """
        if self._process is None or not self._process.is_alive():
            self.close()
            self._start()
        try:
            self._send(job)
            results, reason = self._answer(should_stop, metrics)
        finally:
            self._used_s = time.monotonic()
        return results, reason

    def rest(self) -> None:
        """End the process where it has had nothing to do for long enough."""
        if self._process is not None and time.monotonic() - self._used_s >= self._idle_s:
            self.close()

    def close(self) -> None:
        """End the process; may be called twice."""
        process, line = self._process, self._line
        self._process = self._line = None
        if process is None or line is None:
            return
        with suppress(OSError):
            line.send(END)
        process.join(_PATIENCE_S)
        process.kill()
        process.join()
        process.close()
        line.close()

    def _start(self) -> tuple[str, str]:
        context = multiprocessing.get_context("spawn")  # the node has threads, which a fork does not survive
        ours, theirs = context.Pipe()
        process = context.Process(target=_work, args=(theirs, self._load), name="analysis", daemon=True)
        process.start()
        theirs.close()
        self._process, self._line = process, ours
        try:
            device: tuple[str, str] = self._answer(lambda: False, None)
        except BaseException:
            self.close()
            raise
        self._used_s = time.monotonic()
        return device

    def _send(self, message: object) -> None:
        assert self._line is not None  # as it was started
        with suppress(OSError):  # it has ended, which the wait for its answer finds
            self._line.send(message)

    def _answer(self, should_stop: Callable[[], bool], metrics: Metrics | None) -> Any:
        """Pass on what the process tells until it has an answer."""
        line, told = self._line, False
        assert line is not None  # as it was started
        while True:
            if should_stop() and not told:
                told = True
                self._send(STOP)
            if not line.poll(_LOOK_S):
                continue
            try:
                kind, value = line.recv()
            except (EOFError, OSError):
                raise self._ended(stopped=told) from None
            if kind == "answer":
                return value
            if kind == "error":
                raise value
            if kind == "log":
                name, level, message = value
                logging.getLogger(name).log(level, "%s", message)
            elif metrics is not None and kind == "frame":
                metrics.count_frame(value)
            elif metrics is not None and kind == "clip":
                metrics.count_clip(complete=value)

    def _ended(self, *, stopped: bool) -> Exception:
        """Why there is no answer: a process that ends while the node does was told to by whoever ends both."""
        assert self._process is not None  # as it was started
        self._process.join(_PATIENCE_S)
        code = self._process.exitcode
        self.close()
        if stopped:
            return StoppedError()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        return StreamerError(
            f"the analysis ended by itself ({how}): too little memory, or a file that crashes a decoder"
        )


def thyroid_engine(settings: Settings) -> FrameAnalyser:
    """The thyroid's networks, for `AnalysisProcess`; imported where they run.

    Raises:
        WeightsError, DeviceError: they cannot be loaded.
    """
    from streamer.pipeline.thyroid import Engine

    return Engine(settings)


def _work(connection: Connection, load: Callable[[], FrameAnalyser]) -> None:
    from streamer.node.analysis_loop import run  # with all that analyses: this module is the node's, too

    run(connection, load)
