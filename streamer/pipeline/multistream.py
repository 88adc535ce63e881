"""Many streams on one analyser: each with its own order, tracker and aggregator, none at the mercy of another."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, Self

from streamer._timing import LiveClock
from streamer.errors import InputError, StreamerError
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import results
from streamer.pipeline.analyser import FrameAnalyser, checked_analyser
from streamer.pipeline.follower import ClipFollower
from streamer.pipeline.scheduler import Scheduler, StreamQueue
from streamer.sources import Source
from streamer.sources.base import checked_source
from streamer.summaries import LiveFigures
from streamer.types import FrameResult

LATENCY_BUDGET_MS = 10.0
"""A third of a frame's time at 30 a second: all that waiting for company may add."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamEvent:
    """The end of a stream.

    Attributes:
        stream: its position among the sources.
        name: its source's name.
        kind: "ended" with its source, or "failed".
        message: one line, fit for a log: of an error that is not streamer's own only the kind, as its words may hold an
            address or a name.
    """

    stream: int
    name: str
    kind: Literal["ended", "failed"]
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamFigures:
    """How a stream goes so far.

    Attributes:
        frames: frames analysed.
        dropped_frames: frames of a live source that a newer one overtook before they could be analysed.
        undelivered_results: results that a newer one overtook before `on_result` was free to take them.
        live: latency and dropped frames as they stand in a report; None for a recording or before the first result.
    """

    frames: int
    dropped_frames: int
    undelivered_results: int
    live: LiveFigures | None


def analyse_streams(
    sources: Sequence[Source],
    analyser: FrameAnalyser,
    *,
    on_result: Callable[[int, FrameResult], None],
    on_event: Callable[[StreamEvent], None] = lambda _: None,
    latency_budget_ms: float = LATENCY_BUDGET_MS,
) -> Serving:
    """Analyse many sources at once on shared networks.

    Frames of several streams go through the networks together, up to the analyser's micro-batch; those whose turn was
    longest ago go first, so that no stream starves. Results are those of `analyse` on the source alone, as long as no
    frame is dropped. One of several recordings waits for its consumer; a live source does not (see `Serving`).

    Args:
        sources: open sources, decoded as they were opened to be (`decoder` of `open_live`). Live ones are closed when
            the serving ends, recordings stay their owner's.
        analyser: loaded networks.
        on_result: called with a stream's position in `sources` and its next result. Each stream calls from a thread of
            its own, so that a slow call delays nobody else: of a live stream's results that come meanwhile, only the
            newest is kept. An exception ends that stream.
        on_event: called when a stream ends or fails, on that stream's thread.
        latency_budget_ms: how long a live frame may wait for those of other streams; without effect where the backend
            takes frames one by one, as on a CPU.

    Raises:
        InputError: `sources` are no open sources or hold one twice, `analyser` is none, a listener is no function, or
            `latency_budget_ms` is below 0.

    Returns:
        The running service; use it as a context manager, or stop it.

        with analyse_streams(sources, analyser, on_result=show) as serving:
            serving.wait(timeout_s=60)
    """
    return Serving(sources, analyser, on_result, on_event, latency_budget_ms / 1000)


def _check_sources(sources: object) -> None:
    if isinstance(sources, (str, bytes)) or not isinstance(sources, Sequence):
        raise InputError(f"sources must be a list of open sources, not a {type(sources).__name__}")
    for position, source in enumerate(sources):
        if not hasattr(source, "frames") or not hasattr(source, "live"):
            kind = type(source).__name__
            raise InputError(f"sources[{position}] is a {kind}: open it with open_source or open_live first")
        checked_source(source)
        if any(source is other for other in sources[:position]):
            raise InputError(f"sources[{position}] is there twice: open it once for each stream")


class Serving:
    """Streams under way. Any thread may ask for figures, wait or stop.

    Attributes:
        aggregators: each stream's patient so far, in the order of the sources.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        analyser: FrameAnalyser,
        on_result: Callable[[int, FrameResult], None],
        on_event: Callable[[StreamEvent], None],
        patience_s: float,
    ) -> None:
        """Start at once; see `analyse_streams`."""
        _check_sources(sources)
        checked_analyser(analyser)
        if not all(callable(told) for told in (on_result, on_event)):
            raise InputError("on_result and on_event must be functions")
        if not patience_s >= 0:
            raise InputError(f"latency_budget_ms must be at least 0, not {patience_s * 1000:g}")
        self.aggregators = tuple(PatientAggregator(analyser.settings) for _ in sources)
        followers = [
            ClipFollower(aggregator.settings, live=source.live)
            for source, aggregator in zip(sources, self.aggregators, strict=True)
        ]
        self._scheduler = Scheduler(analyser, list(zip(sources, followers, strict=True)), max_wait_s=patience_s)
        self._streams = [
            _Stream(position, queue, follower, aggregator, on_result, on_event)
            for position, (queue, follower, aggregator) in enumerate(
                zip(self._scheduler.queues, followers, self.aggregators, strict=True)
            )
        ]
        self._stopping = threading.Lock()
        self._stopped = False
        self._ended = threading.Event()
        self._scheduler.__enter__()
        for stream in self._streams:
            stream.start()

    def figures(self) -> tuple[StreamFigures, ...]:
        """How each stream goes so far, in the order of the sources."""
        return tuple(stream.figures() for stream in self._streams)

    def wait(self, timeout_s: float | None = None) -> bool:
        """Wait until all streams have ended, or for some seconds; False if some go on."""
        until_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
        for stream in self._streams:
            left_s = until_s - time.monotonic()
            if not stream.finished.wait(None if math.isinf(left_s) else max(0.0, left_s)):
                return False
        return True

    def stop(self) -> None:
        """End all streams and their threads; results not yet delivered are let go. May be called twice.

        It waits for calls of `on_result` that are under way, except the one it is called from; a second call, from any
        other thread, waits for the first.
        """
        with self._stopping:
            first, self._stopped = not self._stopped, True
        if not first:
            if not any(stream.is_here() for stream in self._streams):
                self._ended.wait()
            return
        try:
            self._scheduler.__exit__(None, None, None)
            for stream in self._streams:
                stream.stop()
        finally:
            self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class _Stream:
    """One stream behind the analyser: a thread that sums up, and one that calls the consumer."""

    def __init__(
        self,
        position: int,
        queue: StreamQueue,
        follower: ClipFollower,
        aggregator: PatientAggregator,
        on_result: Callable[[int, FrameResult], None],
        on_event: Callable[[StreamEvent], None],
    ) -> None:
        self.finished = threading.Event()
        self._position, self._queue = position, queue
        self._follower, self._aggregator = follower, aggregator
        self._on_result, self._on_event = on_result, on_event
        self._clock = LiveClock()
        self._outlet = _Outlet(newest_only=queue.source.live)
        self._frames = 0
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=run, name=name, daemon=True)
            for name, run in (("sum up", self._sum_up), ("deliver", self._deliver))
        ]

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        self._outlet.close()
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join()

    def is_here(self) -> bool:
        """Whether the caller runs on one of its threads."""
        return threading.current_thread() in self._threads

    def figures(self) -> StreamFigures:
        return StreamFigures(
            frames=self._frames,
            dropped_frames=self._queue.dropped,
            undelivered_results=self._outlet.dropped,
            live=self._clock.summary(),
        )

    def _sum_up(self) -> None:
        try:
            for result in results(self._queue, self._follower, self._aggregator):
                self._frames += 1
                self._clock.add(result)
                if not self._outlet.put(result):
                    return
        except BaseException as error:  # a stream's end, whatever it is, is told and ends no other
            self._error = error
        finally:
            self._outlet.end()

    def _deliver(self) -> None:
        try:
            for result in self._outlet.results():
                self._on_result(self._position, result)
        except BaseException as error:  # as above
            self._error = error
        self._outlet.close()
        self._queue.close()
        try:
            self._on_event(_end_of(self._position, self._queue.source.info.name, self._error))
        finally:
            self.finished.set()


class _Outlet:
    """Results on their way to a consumer. A recording's wait for it; of a live stream's only the newest is kept."""

    def __init__(self, *, newest_only: bool) -> None:
        self.dropped = 0
        self._newest_only = newest_only
        self._waiting: deque[FrameResult] = deque()
        self._moved = threading.Condition()
        self._ended = self._closed = False

    def put(self, result: FrameResult) -> bool:
        """Offer a result; False once nobody wants any."""
        with self._moved:
            if self._newest_only and self._waiting:
                self._waiting.popleft()
                self.dropped += 1
            self._moved.wait_for(lambda: self._closed or not self._waiting)
            if not self._closed:
                self._waiting.append(result)
                self._moved.notify_all()
            return not self._closed

    def results(self) -> Iterator[FrameResult]:
        """Results as they come, to the end."""
        while True:
            with self._moved:
                self._moved.wait_for(lambda: self._closed or self._ended or bool(self._waiting))
                if self._closed or not self._waiting:
                    return
                result = self._waiting.popleft()
                self._moved.notify_all()
            yield result

    def end(self) -> None:
        """No more results come."""
        with self._moved:
            self._ended = True
            self._moved.notify_all()

    def close(self) -> None:
        """No more results are wanted."""
        with self._moved:
            self._closed = True
            self._waiting.clear()
            self._moved.notify_all()


def _end_of(stream: int, name: str, error: BaseException | None) -> StreamEvent:
    if error is None:
        return StreamEvent(stream=stream, name=name, kind="ended", message="the stream ended")
    # Of other errors only the kind: who knows what address, password or header their words hold.
    message = " ".join(str(error).split()) if isinstance(error, StreamerError) else type(error).__name__
    return StreamEvent(stream=stream, name=name, kind="failed", message=message)
