"""Analyse one source: frames are read ahead, analysed, put back in order, tracked and aggregated (see `scheduler`)."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.scheduler import Scheduler
from streamer.pipeline.thyroid import Engine, FrameFindings
from streamer.settings import Settings
from streamer.sources import Source, open_source
from streamer.types import FrameResult

_LONGEST_GAP_S = 1.0
"""Silence of a live source after which nothing is taken for what was seen before; dropped frames are far shorter."""


def analyse(
    source: Source | str | Path,
    settings: Settings | None = None,
    *,
    engine: Engine | None = None,
    aggregator: PatientAggregator | None = None,
) -> Generator[FrameResult]:
    """Analyse a clip or a live source frame by frame.

    Of a recording every frame is analysed exactly once, however slow the caller. Of a live source (`Source.live`) the
    newest frame is analysed next, and those it overtakes are dropped: they are missing from the frames' `index`. A
    live analysis ends when its source is closed, from any thread, or when it ends by itself.

    Args:
        source: an open source (its owner closes it; a live one is closed at the end), or the path of a clip, still or
            folder of stills.
        settings: how, where the networks are loaded here; an engine brings its own.
        engine: loaded networks, to be shared by several clips; loaded here if None.
        aggregator: the patient that this clip belongs to; a new one if None.

    Yields:
        One result a frame, in order, as soon as it is ready; the same whatever the batch size and number of threads.

    Raises:
        InputError: the clip cannot be read.
        WeightsError, DeviceError: the networks cannot be loaded.
        ValueError: both settings and an engine are given.
    """
    if engine is not None and settings is not None:
        raise ValueError("an engine has settings of its own: give one of both")
    engine = engine or Engine(settings)
    aggregator = aggregator or PatientAggregator(engine.settings)
    with ExitStack() as stack:
        if isinstance(source, (str, Path)):
            source = stack.enter_context(open_source(source, decoder=engine.settings.runtime.decoder))
        scheduler = stack.enter_context(Scheduler(engine, [source]))
        yield from follow(scheduler.queues[0].findings(), source, aggregator)


def follow(findings: Iterator[FrameFindings], source: Source, aggregator: PatientAggregator) -> Iterator[FrameResult]:
    """Turn a source's findings into results: track the nodules, and sum them up in `aggregator`.

    What ends the findings too early is passed on: see `StreamQueue.findings`.
    """
    tracker = aggregator.tracker()
    aggregator.start_video(source.name, source.expected_frames)
    frames, last_index, last_s = 0, -1, 0.0
    for found in findings:
        started = time.perf_counter()
        frame = found.frame
        if source.live and frame.time_s - last_s > _LONGEST_GAP_S:
            tracker = aggregator.tracker()
        nodules = tracker.update(frame.image, found.findings, skipped=frame.index - last_index - 1)
        patient = aggregator.add(frame, nodules)
        nodules = tuple(replace(nodule, counts=aggregator.counts(nodule.track)) for nodule in nodules)
        frames, last_index, last_s = frames + 1, frame.index, frame.time_s
        ended = time.perf_counter()
        yield FrameResult(
            frame=frame,
            nodules=nodules,
            patient_malignancy=patient,
            timing_ms={"decode": frame.decode_ms, **found.timing_ms, "track": (ended - started) * 1000},
            latency_ms=None if frame.arrived_s is None else (ended - frame.arrived_s) * 1000,
        )
    aggregator.end_video(source.name, frames, cuts=tracker.cuts, whole=source.complete and not source.live)
