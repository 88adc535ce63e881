"""Analyse one source: frames are read ahead, detected in, followed, characterised (see `scheduler`) and summed up."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np

from streamer.errors import InputError
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyser import FrameAnalyser, FrameFindings, checked_analyser
from streamer.pipeline.confirmation import Settled
from streamer.pipeline.follower import ClipFollower
from streamer.pipeline.scheduler import Scheduler, StreamQueue
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from streamer.sources import Source, open_source
from streamer.sources.arrays import ARRAY_FPS, ArrayFrames
from streamer.sources.base import checked_source
from streamer.types import FrameResult, Image, TrackedFinding, checked_spacing


def analyse(
    source: Source | str | Path | Iterable[Any],
    settings: Settings | None = None,
    *,
    analyser: FrameAnalyser | None = None,
    aggregator: PatientAggregator | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
    name: str | None = None,
    fps: float | None = None,
) -> Generator[FrameResult]:
    """Analyse a clip or a live source frame by frame.

    Recordings: every frame once, with back-pressure. Live (`Source.live`): newest frame wins; drops appear as gaps in
    the frames' `index`. A live analysis ends when its source is closed, from any thread, or when it ends by itself.

    Args:
        source: an open source (its owner closes it; a live one is closed at the end); the path of a clip, still or
            folder of stills; or any iterable of uint8 arrays, RGB (height, width, 3) or grey (height, width).
        settings: how, where the networks are loaded here; an analyser brings its own.
        analyser: loaded networks, to be shared by several clips, or a detector of your own; loaded here if None.
        aggregator: the patient that this clip belongs to; a new one if None.
        pixel_spacing_mm: size of a pixel in millimetres, x and y, in place of what the source says.
        name: what a path or arrays are called in the results, unique among a patient's clips; the file's name, or
            "array", if None. An open source has its name.
        fps: frames per second of arrays, which carry no times; 30 if None. A path or an open source has its times.

    Yields:
        One result per frame, in order, as soon as it is ready; the same whatever the batch size and number of threads.
        Frames of a recording wait for the next ten (`tracking.look_ahead_frames`), which decide what is shown in them.

    Raises:
        InputError: `source` or `analyser` is nothing that can be one (at the call); the clip cannot be read, or the
            patient has one of its name already (with the first result); a frame of a source of your own is none.
        WeightsError, DeviceError: the networks cannot be loaded (with the first result).
        ValueError: both settings and an analyser are given, a name or a rate is given for a source that has its own,
            or the spacing is not two numbers from 0.001 to 5.

    Example:
        >>> for result in analyse("clip.mp4"):  # doctest: +SKIP
        ...     print(result.frame.time_s, [nodule.malignancy for nodule in result.nodules])
    """
    if analyser is not None and settings is not None:
        raise ValueError("pass `settings` or `analyser`, not both: an analyser has settings of its own")
    if pixel_spacing_mm is not None:
        pixel_spacing_mm = checked_spacing(pixel_spacing_mm)  # before the networks are loaded
    if analyser is not None:
        checked_analyser(analyser)
    if aggregator is not None and not isinstance(aggregator, PatientAggregator):
        raise InputError(f"aggregator must be a PatientAggregator, not a {type(aggregator).__name__}")
    _check_source(source)
    _check_naming(source, name, fps)
    return _analysed(source, settings, analyser, aggregator, pixel_spacing_mm, name, fps)


def _analysed(
    source: Source | str | Path | Iterable[Any],
    settings: Settings | None,
    analyser: FrameAnalyser | None,
    aggregator: PatientAggregator | None,
    pixel_spacing_mm: tuple[float, float] | None,
    name: str | None,
    fps: float | None,
) -> Generator[FrameResult]:
    analyser = Engine(settings) if analyser is None else analyser
    aggregator = aggregator or PatientAggregator(analyser.settings)
    with ExitStack() as stack:
        opened = _opened(source, analyser.settings, pixel_spacing_mm, name, fps)
        if opened is not source:
            stack.enter_context(opened)
        follower = ClipFollower(aggregator.settings, live=opened.live)
        scheduler = stack.enter_context(Scheduler(analyser, [(opened, follower)]))
        yield from results(scheduler.queues[0], follower, aggregator, pixel_spacing_mm)


def analyse_image(
    image: Image,
    settings: Settings | None = None,
    *,
    analyser: FrameAnalyser | None = None,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> FrameResult:
    """Analyse one picture; in a still every nodule found counts.

    Args:
        image: uint8 array, RGB of shape (height, width, 3) or grey of shape (height, width).
        settings, analyser, pixel_spacing_mm: as of `analyse`.

    Raises:
        InputError: it is no such array.
        WeightsError, DeviceError: the networks cannot be loaded.
        ValueError: both settings and an analyser are given, or the spacing is not two numbers from 0.001 to 5.

    Example:
        >>> analyse_image(cv2.imread("still.png")[..., ::-1]).nodules  # doctest: +SKIP
    """
    (result,) = analyse([image], settings, analyser=analyser, pixel_spacing_mm=pixel_spacing_mm, name="image")
    return result


def _check_source(source: object) -> None:
    if isinstance(source, np.ndarray) and (source.ndim == 2 or (source.ndim == 3 and source.shape[2] == 3)):
        raise InputError(f"one picture of shape {source.shape} is no clip: use analyse_image(image), or pass [image]")
    if _is_open(source):
        checked_source(source)
    elif not (isinstance(source, (str, Path)) or _is_iterable(source)):
        kind = type(source).__name__
        raise InputError(f"cannot analyse a {kind}: pass a path, an open source, or an iterable of uint8 arrays")


def _check_naming(source: object, name: str | None, fps: float | None) -> None:
    """What would be passed over in silence is refused: a source has its name, what is decoded its times."""
    if _is_open(source) and name is not None:
        raise ValueError("pass `name` with a path or arrays: an open source has its name, see `open_source(name=)`")
    if fps is not None and (_is_open(source) or isinstance(source, (str, Path))):
        raise ValueError("pass `fps` with arrays only: a path or an open source has times of its own")


def _is_open(source: object) -> TypeGuard[Source]:
    return hasattr(source, "frames") and hasattr(source, "info")


def _is_iterable(source: object) -> TypeGuard[Iterable[Any]]:
    return isinstance(source, Iterable) and not isinstance(source, (bytes, bytearray, Mapping, Set))


def _opened(
    source: object,
    settings: Settings,
    pixel_spacing_mm: tuple[float, float] | None,
    name: str | None,
    fps: float | None,
) -> Source:
    if isinstance(source, (str, Path)):
        return open_source(
            source,
            name=name,
            decoder=settings.runtime.decoder,
            deinterlace=settings.input.deinterlace,
            pixel_spacing_mm=pixel_spacing_mm,
        )
    if _is_open(source):
        return source
    assert _is_iterable(source), "checked at the call"
    rate = ARRAY_FPS if fps is None else fps
    return ArrayFrames(source, name="array" if name is None else name, fps=rate, pixel_spacing_mm=pixel_spacing_mm)


def results(
    queue: StreamQueue,
    follower: ClipFollower,
    aggregator: PatientAggregator,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Iterator[FrameResult]:
    """Results of a queue's frames, in order: what is shown in them is summed up in `aggregator`.

    What ends the frames too early is passed on, after all results that came before it: see `StreamQueue.results`.
    """
    source = queue.source
    spacing_mm = pixel_spacing_mm or source.info.pixel_spacing_mm
    aggregator.start_clip(source.info.name, source.expected_frames)
    # A nodule takes its number as it leaves, so that no thread's pace can change it.
    numbers = defaultdict[int, int](lambda: next(aggregator.numbers))
    frames = 0
    for settled in queue.results():
        yield _result(settled, aggregator, numbers, spacing_mm)
        frames += 1
    aggregator.end_clip(
        source.info.name,
        frames,
        cuts=follower.cuts,
        whole=source.complete and not source.live,
        too_slow=follower.too_slow,
    )


def _result(
    settled: Settled[FrameFindings],
    aggregator: PatientAggregator,
    numbers: defaultdict[int, int],
    spacing_mm: tuple[float, float] | None,
) -> FrameResult:
    """The result of a frame whose nodules are settled; to be called in frame order."""
    started = time.perf_counter()
    found = settled.item
    frame = found.frame
    shown = [
        TrackedFinding(track_id=numbers[one.track_id], track_confidence=one.track_confidence, finding=finding)
        for one, finding in zip(settled.shown, found.findings, strict=True)
    ]
    ahead = {numbers[number]: frames for number, frames in settled.ahead.items()}
    nodules = aggregator.add(frame, shown, spacing_mm, ahead=ahead, rejected=found.rejected)
    ended = time.perf_counter()
    track_ms = found.timing_ms.get("track", 0.0) + (ended - started) * 1000
    return FrameResult(
        frame=frame,
        nodules=nodules,
        patient_malignancy=aggregator.running_maximum,
        timing_ms={"decode": frame.decode_ms, **found.timing_ms, "track": track_ms},
        latency_ms=None if frame.arrived_s is None else (ended - frame.arrived_s) * 1000,
        ended_tracks=tuple(numbers.pop(number) for number in settled.ended),
        rejected=found.rejected,
    )
