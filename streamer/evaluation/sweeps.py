"""Unlabelled sweeps: how readings vary within a track, and the operating point of a sweep that follows from it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares
from scipy.special import expit, logit

from streamer.errors import DataError
from streamer.evaluation.result import Result
from streamer.metrics.estimate import Resampling, mean_figure
from streamer.models.sweep_point import SweepOperatingPoint, expected_rise
from streamer.models.weights_manifest import SweepSpread
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine

Floats = npt.NDArray[np.float64]
_LONGEST = 45
"""Frames a window at most; beyond it too few tracks are left to average over."""
_LONGEST_CORRELATION = 100.0
_MIN_TRACKS = 10
_MIN_FRAMES = 5
CALLED = "nodules of sweeps called malignant, "
"""Begins the names of those figures."""


class Spread(NamedTuple):
    """Standard deviation of a nodule's log-odds within a sweep, and frames after which a reading is a new one."""

    deviation: float
    correlation_frames: float


def fit_spread(tracks: Sequence[Floats]) -> Spread:
    """The spread under which the expected maximum rises with the number of frames as it does in these tracks.

    For each number of frames the maximum over all windows of as many successive frames is averaged over each track and
    then over tracks, less the track's mean; `expected_rise` is fitted to that, each number of frames weighing as its
    count of tracks.

    Args:
        tracks: calibrated log-odds of each track's frames, in order; those of fewer than five frames do not count.

    Raises:
        DataError: fewer than ten tracks of five frames or more.
    """
    counted = [np.asarray(track, np.float64) for track in tracks if len(track) >= _MIN_FRAMES]
    if len(counted) < _MIN_TRACKS:
        raise DataError(
            f"the spread within sweeps needs at least {_MIN_TRACKS} tracks of {_MIN_FRAMES} frames or more, "
            f"there are {len(counted)}"
        )
    numbers, rises, weights = _rises(counted)

    def misfit(parameters: Floats) -> Floats:
        expected = [expected_rise(float(parameters[0]), float(parameters[1]), int(number)) for number in numbers]
        return np.asarray(weights * (np.array(expected) - rises))

    found = least_squares(misfit, [0.5, 3.0], bounds=([0.0, 1.0], [10.0, _LONGEST_CORRELATION]))
    return Spread(round(float(found.x[0]), 4), round(float(found.x[1]), 2))


def _rises(tracks: Sequence[Floats]) -> tuple[npt.NDArray[np.int64], Floats, Floats]:
    """Numbers of frames, the mean rise of the maximum over as many, and the weight of each."""
    numbers, rises, weights = [], [], []
    for number in range(2, _LONGEST + 1):
        long_enough = [track for track in tracks if len(track) >= number]
        if len(long_enough) < _MIN_TRACKS:
            break
        windows = [np.lib.stride_tricks.sliding_window_view(track, number).max(axis=1).mean() for track in long_enough]
        means = [track.mean() for track in long_enough]
        numbers.append(number)
        rises.append(float(np.mean(np.subtract(windows, means))))
        weights.append(len(long_enough) ** 0.5)
    return np.array(numbers, np.int64), np.array(rises), np.array(weights)


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepTrack:
    """One nodule of a sweep: the calibrated log-odds of its frames, in order, and the unit that is resampled."""

    group: str
    log_odds: npt.NDArray[np.float64]


def sweep_tracks(clips: Iterable[tuple[Path, str]], engine: Engine) -> list[SweepTrack]:
    """The nodules that an analysis of clips shows for five frames or more.

    Args:
        clips: each with its group.
        engine: loaded networks.

    Raises:
        InputError: a clip cannot be read.
    """
    tracks = []
    for clip, group in clips:
        seen: defaultdict[int, list[float]] = defaultdict(list)
        with closing(analyse(clip, analyser=engine)) as results:
            for result in results:
                for nodule in result.nodules:
                    seen[nodule.track_id].append(float(logit(np.clip(nodule.malignancy, 1e-6, 1 - 1e-6))))
        tracks += [
            SweepTrack(group=group, log_odds=np.array(values)) for values in seen.values() if len(values) >= _MIN_FRAMES
        ]
    return tracks


def fitted(tracks: Sequence[SweepTrack], data: str) -> SweepSpread:
    """The spread of these tracks, as it is stored with a classifier's weights.

    Raises:
        DataError: they are too few.
    """
    spread = fit_spread([track.log_odds for track in tracks])
    frames = sum(len(track.log_odds) for track in tracks)
    return SweepSpread(
        deviation=spread.deviation,
        correlation_frames=spread.correlation_frames,
        source=f"{len(tracks)} tracks of {frames} frames in sweeps of {data}, labels not used",
    )


def calling_results(tracks: Sequence[SweepTrack], threshold: float, spread: Spread, data: str) -> list[Result]:
    """Which share of the nodules is called malignant: by a frame of each, by their maximum, at the sweep's own point.

    Args:
        tracks: at least one.
        threshold: operating point of a still.
        spread: what the sweep's own operating point is made from.
        data: name of the data.
    """
    point = SweepOperatingPoint(threshold, spread.deviation, spread.correlation_frames)
    probabilities = [expit(track.log_odds) for track in tracks]
    shares = {
        "by one of their frames": [float((values >= threshold).mean()) for values in probabilities],
        "by their maximum at the operating point of stills": [
            float(values.max() >= threshold) for values in probabilities
        ],
        "by their median at the operating point of stills": [
            float(np.median(values) >= threshold) for values in probabilities
        ],
        "by their maximum at the operating point of their number of frames": [
            float(values.max() >= point.over(len(values))) for values in probabilities
        ],
    }
    groups = [track.group for track in tracks]
    return [
        Result(
            name=CALLED + name,
            figure=mean_figure(values, groups, Resampling(unit="group")),
            data=data,
            split="all, unlabelled",
            count_of="nodules",
            clusters_of="groups",
        )
        for name, values in shares.items()
    ]
