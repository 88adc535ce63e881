"""The way of a frame: decoded ahead, analysed by a few workers, put back in order, tracked, handed on.

A recording waits: every frame is analysed exactly once. All queues are bounded, so memory does not grow with the clip.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path

from streamer.engine import Engine, FrameFindings
from streamer.records import Frame, FrameResult
from streamer.settings import Settings
from streamer.sources import Source, open_source
from streamer.study import Study

_DECODED_AHEAD = 6
"""Frames the decoder may be ahead of the networks: enough to ride out a slow key frame."""


def analyse(
    source: Source | str | Path,
    settings: Settings | None = None,
    *,
    engine: Engine | None = None,
    study: Study | None = None,
) -> Generator[FrameResult]:
    """Analyse a clip frame by frame.

    Args:
        source: an open source (its owner closes it), or the path of a clip, still or folder of stills.
        settings: how; the engine's settings if None.
        engine: loaded networks, to be shared by several clips; loaded here if None.
        study: the patient's study that this clip belongs to; a new one if None.

    Yields:
        One result a frame, in order; the same whatever the batch size and number of threads.

    Raises:
        InputError: the clip cannot be read.
        WeightsError, DeviceError: the networks cannot be loaded.
    """
    engine = engine or Engine(settings)
    study = study or Study(settings or engine.settings)
    with ExitStack() as stack:
        if isinstance(source, (str, Path)):
            source = stack.enter_context(open_source(source))
        tracker = study.tracker()
        study.start_video(source.name, source.expected_frames)
        frames = 0
        findings = stack.enter_context(_Workers(engine, source))
        for found in findings:
            started = time.perf_counter()
            nodules = tracker.update(found.frame.image, found.findings)
            patient = study.add(found.frame, nodules)
            frames += 1
            timing = {
                "decode": found.frame.decode_ms,
                **found.timing_ms,
                "track": (time.perf_counter() - started) * 1000,
            }
            yield FrameResult(frame=found.frame, nodules=nodules, patient_malignancy=patient, timing_ms=timing)
        study.end_video(source.name, frames)


class _Workers:
    """Decodes ahead on one thread and runs the engine on several; gives the findings back in frame order."""

    def __init__(self, engine: Engine, source: Source) -> None:
        self._engine = engine
        self._decoder = _Decoder(source)
        self._pool = ThreadPoolExecutor(engine.backend.workers, thread_name_prefix="analyse")

    def __enter__(self) -> Iterator[FrameFindings]:
        self._decoder.start()
        return self._in_order()

    def __exit__(self, *_: object) -> None:
        self._decoder.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _in_order(self) -> Iterator[FrameFindings]:
        pending: deque[Future[list[FrameFindings]]] = deque()
        for batch in _batches(self._decoder.frames(), self._engine.batch_frames):
            pending.append(self._pool.submit(self._engine.find, batch))
            if len(pending) > self._engine.backend.workers:
                yield from pending.popleft().result()
        while pending:
            yield from pending.popleft().result()
        self._decoder.check()


def _batches(frames: Iterator[Frame], size: int) -> Iterator[list[Frame]]:
    while batch := list(islice(frames, size)):
        yield batch


class _Decoder:
    """Reads a source on its own thread, a bounded number of frames ahead."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._queue: queue.Queue[Frame | BaseException | None] = queue.Queue(_DECODED_AHEAD)
        self._stopped = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._read, name="decode", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End the thread, wherever it is; frames still queued are dropped."""
        self._stopped.set()
        while self._thread.is_alive():
            with suppress(queue.Empty):
                self._queue.get_nowait()  # it may be waiting for room
            self._thread.join(0.01)

    def frames(self) -> Iterator[Frame]:
        """Frames in order, to the end of the source or to an error in it (see `check`)."""
        while (item := self._queue.get()) is not None:
            if isinstance(item, BaseException):
                self._error = item
                return
            yield item

    def check(self) -> None:
        """Raise what ended the frames too early; called once those before it have been handed on."""
        if self._error is not None:
            raise self._error

    def _read(self) -> None:
        try:
            for frame in self._source.frames():
                self._queue.put(frame)
                if self._stopped.is_set():
                    return
            self._queue.put(None)
        except BaseException as error:  # whatever happens here must surface in the thread that waits
            self._queue.put(error)
