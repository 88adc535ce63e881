"""The implementation that is measured: streamer's analysis as `streamer run` has it, up to the report."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import numpy as np
import numpy.typing as npt

from streamer.backends import Runner
from streamer.backends.select import available_cores
from streamer.benchmark.machine import peak_device_memory_mb, peak_host_memory_mb
from streamer.benchmark.passes import Environment, Pass, stop_after
from streamer.benchmark.streams import StreamsObservation, observe_streams
from streamer.benchmark.watched import watched
from streamer.geometry import Box
from streamer.outputs import StudyWriter
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyse import analyse
from streamer.pipeline.analyser import FrameCandidates
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from streamer.sources import Source, open_source
from streamer.types import Frame

_ALONE_S = 0.6
"""How long each network runs by itself: some dozens of calls of the slowest on two cores."""


class OwnAnalysis:
    """Decode, detect, segment, classify, track, draw, encode, frames.jsonl and nodule pictures; no report."""

    def __init__(self, settings: Settings) -> None:
        """Load the networks.

        Raises:
            WeightsError, DeviceError: they cannot be loaded.
        """
        self._engine = Engine(settings)

    def analyse(self, clip: Path, folder: Path, should_stop: Callable[[], bool]) -> Pass:
        """See `Implementation`."""
        stages = _Stages()
        candidates: dict[int, tuple[Box, ...]] = {}  # before tracks confirm any: other tools can have the same

        def note(detected: Sequence[FrameCandidates]) -> None:
            candidates.update({one.frame.index: tuple(box.box_xyxy for box in one.candidates) for one in detected})

        frames, last_index, characterised = 0, -1, 0
        began_s = time.perf_counter()
        with (
            StudyWriter(folder, self._engine.settings, on_stage=stages.add_written) as writer,
            open_source(clip, decoder=self._engine.settings.runtime.decoder) as opened,
        ):
            source = _NotedSource(opened)
            writer.start_clip(opened.info)
            aggregator = PatientAggregator(self._engine.settings)
            with closing(
                analyse(cast(Source, source), analyser=watched(self._engine, note), aggregator=aggregator)
            ) as results:
                for result in results:
                    for stage, value_ms in result.timing_ms.items():
                        stages.add(stage, value_ms)
                    writer.write(result)
                    frames += 1
                    characterised += len(result.nodules)
                    last_index = result.frame.index
                    if should_stop():
                        break
            writer.end_clip()
        elapsed_s = time.perf_counter() - began_s
        latency = [
            1000 * (end_s - start_s) for start_s, end_s in zip(source.decoded_from_s, stages.encoded_s, strict=False)
        ]
        return Pass(
            frames=frames,
            elapsed_s=elapsed_s,
            stages_ms=stages.times_ms,
            latency_ms=latency,
            boxes=[candidates[index] for index in sorted(candidates) if index <= last_index],
            dropped_frames=last_index + 1 - frames,
            characterised=characterised,
        )

    def observe_streams(self, clip: Path, count: int, seconds: float) -> StreamsObservation:
        """Analyse `count` live copies of a clip at once; see `streams`."""
        return observe_streams(self._engine, clip, count, seconds)

    def networks_ms(self) -> dict[str, float]:
        """Milliseconds of each network alone a frame (detector) or nodule, all of the backend's workers calling it."""
        return {roles: self._time_alone(runner, roles) for roles, runner in self._engine.runners.items()}

    def _time_alone(self, runner: Runner, roles: str) -> float:
        """Wall-clock milliseconds a frame or nodule of a network, all workers calling it with micro-batches."""
        engine, role = self._engine, roles.partition(", ")[0]
        views = engine.settings.classification.views if "classifier" in roles else 1
        width, height = engine.manifest.models[role].preprocessing.size_wh
        shape = engine.backend.batch_frames * views, height, width
        images = np.random.default_rng(0).integers(0, 255, shape, np.uint8)
        return views * _time_an_image(runner, images, engine.backend.workers)

    def environment(self) -> Environment:
        """See `Implementation`."""
        backend = self._engine.backend
        return Environment(
            device=backend.device,
            precision=backend.precision,
            threads=self._engine.settings.runtime.threads or available_cores(),
            host_memory_mb=peak_host_memory_mb(),
            device_memory_mb=peak_device_memory_mb(),
        )


def _time_an_image(runner: Runner, images: npt.NDArray[np.uint8], workers: int) -> float:
    """Wall-clock milliseconds an image while `workers` threads call `runner` with `images` again and again."""
    runner(images)
    should_stop = stop_after(_ALONE_S)

    def call(_: int) -> int:
        calls = 0
        while not should_stop() or not calls:
            runner(images)
            calls += 1
        return calls

    began_s = time.perf_counter()
    with ThreadPoolExecutor(workers) as pool:
        calls = sum(pool.map(call, range(workers)))
    return 1000 * (time.perf_counter() - began_s) / (calls * len(images))


class _NotedSource:
    """A source that notes when the decoding of each frame began."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self.decoded_from_s: list[float] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.close()

    def frames(self) -> Iterator[Frame]:
        for frame in self._source.frames():
            self.decoded_from_s.append(time.perf_counter() - frame.decode_ms / 1000)
            yield frame


class _Stages:
    """Times of all stages; the writer's come on a thread of its own, one frame after the other."""

    def __init__(self) -> None:
        self.times_ms: dict[str, list[float]] = {}
        self.encoded_s: list[float] = []
        self._lock = threading.Lock()

    def add(self, stage: str, value_ms: float) -> None:
        with self._lock:
            self.times_ms.setdefault(stage, []).append(value_ms)

    def add_written(self, stage: str, value_ms: float) -> None:
        self.add(stage, value_ms)
        if stage == "encode":
            self.encoded_s.append(time.perf_counter())
