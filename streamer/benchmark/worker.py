"""A candidate in a process of its own: its thread settings and its memory are not ours.

It is loaded once and then takes turns with the others. Requests and answers are lines of JSON on its standard input
and output: `{"do": "analyse", "clip": ..., "seconds": ...}` is answered by `{"done": ...}` or by
`{"error": [class, message]}`. SIGINT ends a pass early.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import warnings
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TextIO, TypeVar

from pydantic import TypeAdapter

from streamer import errors
from streamer.benchmark.baselines import Baseline, BaselineName
from streamer.benchmark.own import OwnAnalysis
from streamer.benchmark.passes import Environment, Implementation, NetworkKind, Pass, stop_after
from streamer.benchmark.streams import StreamsObservation
from streamer.errors import DeviceError, StreamerError
from streamer.settings import Settings

Answer = TypeVar("Answer")

OWN = "streamer"
_SHUTDOWN_S = 5.0
_PATIENCE_S = 20.0  # for the frame that a worker is at when it is told to stop


@dataclass(frozen=True, slots=True)
class Candidate:
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


class CandidateProcess:
    """A candidate's process. Use as a context manager."""

    def __init__(self, candidate: Candidate, folder: Path) -> None:
        """Start loading; `wait_until_loaded` waits for the end of it.

        Args:
            candidate: who takes part.
            folder: what the worker writes goes below it; its owner deletes it.
        """
        self.candidate = candidate
        self._process = subprocess.Popen(
            [sys.executable, "-m", "streamer.benchmark.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,  # the baselines' libraries would write through the progress bar
            text=True,
            cwd=tempfile.mkdtemp(dir=folder),  # nothing that a library leaves behind lies in the user's folder
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            start_new_session=True,  # Ctrl-C is for the parent, which tells its workers
        )
        self._send(
            settings=candidate.settings.model_dump(mode="json"), baseline=candidate.baseline, kind=candidate.kind
        )

    def __enter__(self) -> CandidateProcess:
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(OSError):
            _pipe(self._process.stdin).close()  # it ends by itself, unless it is still loading
        try:
            self._process.wait(_SHUTDOWN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()

    def wait_until_loaded(self) -> None:
        """Wait until the networks are there.

        Raises:
            StreamerError: what went wrong in the worker.
        """
        self._receive(str)

    def analyse(self, clip: Path, seconds: float) -> Pass:
        """One pass over a clip, of at most `seconds`.

        Raises:
            StreamerError: what went wrong in the worker.
        """
        self._send(do="analyse", clip=str(clip), seconds=seconds)
        return self._receive(Pass)

    def cancel(self) -> Pass | None:
        """End the pass that runs, and give what it did; None where the worker does not answer in time."""
        self._process.send_signal(signal.SIGINT)
        patience = threading.Timer(_PATIENCE_S, self._process.kill)
        patience.start()
        try:
            return self._receive(Pass)
        except (StreamerError, ValueError):  # it ended, or its answer was cut in two by the interrupt
            return None
        finally:
            patience.cancel()

    def start_streams(self, clip: Path, count: int, seconds: float) -> None:
        """Begin to watch live streams on streamer's own worker; `observed` gives what was seen."""
        self._send(do="streams", clip=str(clip), count=count, seconds=seconds)

    def observed(self) -> StreamsObservation:
        """Wait for the end of what `start_streams` began.

        Raises:
            StreamerError: what went wrong in the worker.
        """
        return self._receive(StreamsObservation)

    def networks_ms(self) -> dict[str, float]:
        """See `Implementation`."""
        self._send(do="networks_ms")
        return self._receive(dict[str, float])

    def environment(self) -> Environment:
        """See `Implementation`."""
        self._send(do="environment")
        return self._receive(Environment)

    def _send(self, **request: object) -> None:
        with suppress(OSError):  # it has ended: `_receive` says so
            requests = _pipe(self._process.stdin)
            requests.write(json.dumps(request) + "\n")
            requests.flush()

    def _receive(self, kind: type[Answer]) -> Answer:
        line = _pipe(self._process.stdout).readline()
        if not line:
            raise DeviceError(
                f"the process of '{self.candidate.name}' has ended (exit code {self._process.wait()}): "
                "is there enough memory?"
            )
        answer = json.loads(line)
        if "error" in answer:
            name, message = answer["error"]
            raise getattr(errors, name)(message)
        return TypeAdapter(kind).validate_python(answer["done"])


def _pipe(pipe: Any) -> TextIO:
    assert pipe is not None
    file: TextIO = pipe
    return file


def main(requests: TextIO, answers: TextIO) -> None:
    """The worker's main function: load, then answer until the parent hangs up."""
    stopped = threading.Event()
    signal.signal(signal.SIGINT, lambda *_: stopped.set())
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    implementation: Implementation | None = None
    name = ""
    for line in requests:
        request = json.loads(line)
        try:
            if implementation is None:
                name, implementation = _load(request)
                answer: dict[str, object] = {"done": "loaded"}
            else:
                answer = {"done": _do(implementation, request, stopped)}
        except StreamerError as error:
            answer = {"error": [type(error).__name__, str(error)]}
        except Exception as error:
            reason = " ".join(str(error).split())[:300]
            answer = {"error": ["DeviceError", f"'{name}' failed: {type(error).__name__}: {reason}"]}
        answers.write(json.dumps(answer, default=float) + "\n")  # NumPy scalars among them
        answers.flush()


def _load(request: dict[str, Any]) -> tuple[str, Implementation]:
    baseline, kind = request["baseline"], NetworkKind(request["kind"])
    settings = Settings.model_validate(request["settings"])
    if baseline is None:
        return OWN, OwnAnalysis(settings)
    return baseline, Baseline(BaselineName(baseline), kind, settings)


def _do(implementation: Implementation, request: dict[str, Any], stopped: threading.Event) -> object:
    match request:
        case {"do": "analyse", "clip": clip, "seconds": seconds}:
            with tempfile.TemporaryDirectory(dir=Path.cwd()) as results:
                done = implementation.analyse(Path(clip), Path(results), stop_after(seconds, stopped.is_set))
            stopped.clear()
            return asdict(done)
        case {"do": "networks_ms"}:
            return implementation.networks_ms()
        case {"do": "environment"}:
            return asdict(implementation.environment())
        case {"do": "streams", "clip": clip, "count": count, "seconds": seconds} if isinstance(
            implementation, OwnAnalysis
        ):
            return asdict(implementation.observe_streams(Path(clip), count, seconds))
    raise DeviceError(f"a worker was asked for what it cannot do: {request['do']}")


if __name__ == "__main__":
    _answers = os.fdopen(os.dup(sys.stdout.fileno()), "w")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints is no answer
    main(sys.stdin, _answers)
