"""How many live streams one engine carries: copies of a clip, each at its own pace, none of them dropping a frame.

A frame is done when it is detected, segmented, classified and tracked; nothing is drawn or encoded, as each consumer
does that on a machine of its own. Several processes, each with networks of its own, may share the streams: one Python
process runs Python code on one core at a time, which a fast GPU is not filled by.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from streamer.benchmark.times import Times, times_of
from streamer.errors import InputError
from streamer.pipeline.multistream import StreamEvent, analyse_streams
from streamer.pipeline.thyroid import Engine
from streamer.sources import open_live
from streamer.types import FrameResult

_WARM_UP_S = 1.0
_MIN_PACE = 0.98
"""A stream that gives fewer of its frames than this was read too slowly; the rest is the rounding at both ends."""
MAX_STREAMS = 1024


class StreamsTrial(BaseModel):
    """Some streams at once, for a while.

    Attributes:
        streams: how many.
        processes: how many shared them, each with networks of its own.
        frames_per_second: of the slowest stream.
        pace: frames a second that each stream should have.
        dropped_frames: of all streams.
        latency_ms: from a frame's arrival to its result, over all streams; None where no frame was done.
        held: whether no frame was dropped, and each stream kept its pace.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    streams: int
    processes: int = 1
    frames_per_second: float
    pace: float
    dropped_frames: int
    latency_ms: Times | None
    held: bool


@dataclass(frozen=True, slots=True)
class StreamsObservation:
    """What was seen of some streams in one process.

    Attributes:
        frames: analysed of each stream.
        dropped_frames: of all of them.
        elapsed_s: how long they were watched.
        pace: frames a second that each should have.
        latencies_ms: of each frame.
    """

    frames: tuple[int, ...]
    dropped_frames: int
    elapsed_s: float
    pace: float
    latencies_ms: tuple[float, ...]


def observe_streams(engine: Engine, clip: Path, count: int, seconds: float) -> StreamsObservation:
    """Analyse `count` live copies of `clip` at once for `seconds`, after a warm-up of a second.

    Raises:
        InputError: the clip cannot be read, or a stream failed.
    """
    latencies: list[list[float]] = [[] for _ in range(count)]
    failures: list[str] = []

    def note(stream: int, result: FrameResult) -> None:
        latencies[stream].append(result.latency_ms or 0.0)

    def complain(event: StreamEvent) -> None:
        if event.kind == "failed":
            failures.append(event.message)

    with ExitStack() as stack:
        decoder = engine.settings.runtime.decoder
        sources = [stack.enter_context(open_live(clip, loop=True, decoder=decoder)) for _ in range(count)]
        pace = sources[0].info.fps
        with analyse_streams(sources, engine, on_result=note, on_event=complain) as serving:
            time.sleep(_WARM_UP_S)
            before, began_s = serving.figures(), time.perf_counter()
            for times in latencies:
                times.clear()
            time.sleep(seconds)
            after, elapsed_s = serving.figures(), time.perf_counter() - began_s
            measured = tuple(value for times in latencies for value in times)
    if failures:
        raise InputError(f"a stream failed: {failures[0]}")
    pairs = list(zip(before, after, strict=True))
    return StreamsObservation(
        frames=tuple(last.frames - first.frames for first, last in pairs),
        dropped_frames=sum(last.dropped_frames - first.dropped_frames for first, last in pairs),
        elapsed_s=elapsed_s,
        pace=pace,
        latencies_ms=measured,
    )


def judge(watches: Sequence[StreamsObservation]) -> StreamsTrial:
    """What came of the streams that were watched at the same time, in one process or several."""
    paces = [(done / watch.elapsed_s, watch) for watch in watches for done in watch.frames]
    dropped = sum(watch.dropped_frames for watch in watches)
    latencies = [value for watch in watches for value in watch.latencies_ms]
    kept = all(rate + 1 / watch.elapsed_s >= _MIN_PACE * watch.pace for rate, watch in paces)
    return StreamsTrial(
        streams=len(paces),
        processes=len(watches),
        frames_per_second=min(rate for rate, _ in paces),
        pace=watches[0].pace,
        dropped_frames=dropped,
        latency_ms=times_of(latencies) if latencies else None,
        held=not dropped and kept,
    )


def shares(streams: int, processes: int) -> list[int]:
    """How many streams each process takes, as evenly as it goes; no process without any."""
    processes = min(streams, processes)
    return [(streams + number) // processes for number in range(processes)]


def largest_held(holds: Callable[[int], bool], most: int = MAX_STREAMS) -> int:
    """The largest number for which `holds`, up to `most`: by doubling, then by halving the gap; 0 if not even 1.

    `holds` is taken to be true up to some number and false from there on.
    """
    held, failed = 0, most + 1
    count = 1
    while count < failed:
        if holds(count):
            held = count
        else:
            failed = count
        count = min(2 * held, most) if failed > most and held < most else (held + failed) // 2
        if count <= held:
            break
    return held
