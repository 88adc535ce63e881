"""Analyse one source: frames are read ahead, analysed, put back in order, tracked and aggregated (see `scheduler`)."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Mapping, Set
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, median
from typing import Any, TypeGuard

import numpy as np

from streamer.errors import InputError
from streamer.pipeline.aggregation import PatientAggregator
from streamer.pipeline.analyser import FrameAnalyser, FrameFindings, checked_analyser
from streamer.pipeline.confirmation import Settled, TrackConfirmation
from streamer.pipeline.scheduler import Scheduler
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from streamer.sources import Source, open_source
from streamer.sources.arrays import ARRAY_FPS, ArrayFrames
from streamer.sources.base import checked_source
from streamer.types import FrameResult, Image, checked_spacing

_SHORTEST_PAUSE_S = 2.0
"""Silence of a live source that is no pause, however fast it is; dropped frames are far shorter."""
_INTERVALS_IN_PAUSE = 4
"""The tracker is reset after a silence of so many mean intervals between analysed frames."""
LONGEST_INTERVAL_S = 10.0
"""Over a longer silence nothing is followed. All three were measured: docs/reliability.md, "Live sources"."""
_INTERVALS = 15
"""Intervals that say how fast a source is."""


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
        scheduler = stack.enter_context(Scheduler(analyser, [opened]))
        yield from follow(scheduler.queues[0].findings(), opened, aggregator, pixel_spacing_mm)


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


def follow(
    findings: Iterator[FrameFindings],
    source: Source,
    aggregator: PatientAggregator,
    pixel_spacing_mm: tuple[float, float] | None = None,
) -> Iterator[FrameResult]:
    """Turn a source's findings into results: track candidates, confirm tracks, and sum them up in `aggregator`.

    What ends the findings too early is passed on, after all results that came before it: see `StreamQueue.findings`.
    """
    tracker, pace = aggregator.tracker(), _Pace()
    confirmation: TrackConfirmation[_Tracked] = aggregator.confirmation(live=source.live)
    spacing_mm = pixel_spacing_mm or source.info.pixel_spacing_mm
    aggregator.start_clip(source.info.name, source.expected_frames)
    frames, last_index, last_s = 0, -1, 0.0
    error: BaseException | None = None
    while True:
        try:
            found = next(findings, None)
        except BaseException as caught:  # whatever it is, what waits comes first
            found, error = None, caught
        if found is None:
            break
        started = time.perf_counter()
        frame = found.frame
        new_scene = source.live and frames > 0 and pace.is_pause(frame.time_s - last_s)
        if new_scene:
            tracker = aggregator.tracker()
        cuts = tracker.cuts
        candidates = tracker.update(frame.image, found.findings, skipped=frame.index - last_index - 1)
        tracked = _Tracked(found, (time.perf_counter() - started) * 1000)
        new_scene = new_scene or tracker.cuts > cuts
        frames, last_index, last_s = frames + 1, frame.index, frame.time_s
        for settled in confirmation.add(tracked, candidates, ended=tracker.ended, new_scene=new_scene):
            yield _result(settled, aggregator, spacing_mm)
    for settled in confirmation.end():
        yield _result(settled, aggregator, spacing_mm)
    if error is not None:
        raise error
    whole, too_slow = source.complete and not source.live, pace.usual_interval_s > LONGEST_INTERVAL_S
    aggregator.end_clip(source.info.name, frames, cuts=tracker.cuts, whole=whole, too_slow=too_slow)


@dataclass(frozen=True, slots=True)
class _Tracked:
    """What was found in a frame, and how long tracking it took."""

    found: FrameFindings
    track_ms: float


def _result(
    settled: Settled[_Tracked], aggregator: PatientAggregator, spacing_mm: tuple[float, float] | None
) -> FrameResult:
    """The result of a frame whose nodules are settled; to be called in frame order."""
    started = time.perf_counter()
    found = settled.item.found
    frame = found.frame
    nodules = aggregator.add(frame, settled.shown, spacing_mm, ahead=settled.ahead, rejected=found.rejected)
    ended = time.perf_counter()
    track_ms = settled.item.track_ms + (ended - started) * 1000
    return FrameResult(
        frame=frame,
        nodules=nodules,
        patient_malignancy=aggregator.running_maximum,
        timing_ms={"decode": frame.decode_ms, **found.timing_ms, "track": track_ms},
        latency_ms=None if frame.arrived_s is None else (ended - frame.arrived_s) * 1000,
        ended_tracks=settled.ended,
        rejected=found.rejected,
    )


class _Pace:
    """How fast the frames of a live source are analysed: at its own rate, or at the machine's where that is less."""

    def __init__(self) -> None:
        self._recent_s: deque[float] = deque(maxlen=_INTERVALS)

    @property
    def usual_interval_s(self) -> float:
        """Median of the last intervals, in seconds; 0 before the second frame. Most pictures come so far apart."""
        return median(self._recent_s) if self._recent_s else 0.0

    def is_pause(self, interval_s: float) -> bool:
        """Whether the source fell silent, so that nothing is taken for what was seen before; notes the interval."""
        # The mean: pictures that wait in a buffer come at once, and halve the median for long.
        capped = [min(recent_s, LONGEST_INTERVAL_S) for recent_s in self._recent_s]
        mean_s = fmean(capped) if capped else interval_s
        self._recent_s.append(interval_s)
        limit_s = max(_SHORTEST_PAUSE_S, _INTERVALS_IN_PAUSE * mean_s)
        return interval_s > min(limit_s, LONGEST_INTERVAL_S)
