"""What `worker.AnalysisProcess` starts: loads the networks and analyses the jobs that it is given."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import warnings
from collections.abc import Callable
from contextlib import suppress
from multiprocessing.connection import Connection, wait

from streamer.dicom.library import require_dicom
from streamer.errors import SettingsError, StreamerError
from streamer.node.analysis import analyse_job
from streamer.node.records import END, Job, StoppedError
from streamer.pipeline.analyser import FrameAnalyser
from streamer.run import Progress
from streamer.summaries import ClipSummary
from streamer.types import FrameResult


def run(connection: Connection, load: Callable[[], FrameAnalyser]) -> None:
    """Load, and answer each job, until told to end or the node is gone.

    Args:
        connection: to the node. It says a `Job`, STOP during one, or END; it is told pairs: ("log", ...), ("frame",
            times of the stages in ms), ("clip", whether it was complete), then ("answer", ...) or ("error", exception).
        load: makes the analyser.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # sent to both: the node decides
        signal.signal(number, signal.SIG_IGN)
    threading.Thread(target=_end_with_node, daemon=True).start()
    threading.excepthook = lambda _: None  # tracebacks and remarks may quote a header
    warnings.simplefilter("ignore")
    line = _Line(connection)
    _tell_logs(line)
    with suppress(EOFError, OSError):
        try:
            analyser = _loaded(load)
        except Exception as error:
            line.tell("error", error)
            return
        line.tell("answer", (analyser.info.device, analyser.info.precision))
        while (message := connection.recv()) != END:
            if isinstance(message, Job):
                line.tell(*_outcome(message, analyser, line))


class _Line:
    """This end of the line to the node; threads take turns."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._turn = connection, threading.Lock()

    def tell(self, kind: str, value: object) -> None:
        with self._turn:
            self._connection.send((kind, value))

    def is_told(self) -> bool:
        """Whether the node has said something during a job, which can only be that it is to stop."""
        return self._connection.poll()


class _Logs(logging.Handler):
    """Sends messages to the node, which shows them as its own."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def emit(self, record: logging.LogRecord) -> None:
        with suppress(OSError):
            self._line.tell("log", (record.name, record.levelno, record.getMessage()))


class _Frames(Progress):
    """Sends what the node counts."""

    def __init__(self, line: _Line) -> None:
        self._line = line

    def frame(self, result: FrameResult) -> None:
        self._line.tell("frame", result.timing_ms)

    def end_clip(self, summary: ClipSummary) -> None:
        self._line.tell("clip", summary.complete)


def _tell_logs(line: _Line) -> None:
    logger = logging.getLogger("streamer")
    logger.addHandler(_Logs(line))
    logger.setLevel(logging.INFO)
    logger.propagate = False


def _loaded(load: Callable[[], FrameAnalyser]) -> FrameAnalyser:
    require_dicom("a DICOM node")
    analyser = load()
    if "dicom" not in analyser.settings.outputs:
        raise SettingsError("a node sends DICOM results: choose dicom among the outputs")
    return analyser


def _outcome(job: Job, analyser: FrameAnalyser, line: _Line) -> tuple[str, object]:
    try:
        return "answer", analyse_job(job, analyser, line.is_told, _Frames(line))
    except (StreamerError, StoppedError) as error:
        return "error", error
    except Exception as error:  # the text may quote a header
        return "error", StreamerError(f"an internal error ({type(error).__name__})")


def _end_with_node() -> None:
    """End at once when the node is killed: its next life runs the job again, in the same folder."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
