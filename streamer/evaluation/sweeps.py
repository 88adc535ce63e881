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
from streamer.evaluation.result import Evaluation, Result, Table
from streamer.metrics.estimate import Resampling, mean_figure
from streamer.models.sweep_point import SweepOperatingPoint, expected_rise
from streamer.models.weights_manifest import SweepSpread
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine

Floats = npt.NDArray[np.float64]
_LONGEST_CORRELATION = 100.0
_MIN_TRACKS = 10
_MIN_FRAMES = 5
_THRESHOLDS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.6)
_NOTES = (
    "No label was used: what is compared is how often nodules are called, not how often rightly.",
    "The sweep's own point of each nodule was fitted to the sweeps of other groups.",
)
CALLED = "nodules of sweeps called malignant, "
"""Begins the names of those figures."""


class Spread(NamedTuple):
    """How nodules' log-odds vary, see `SweepOperatingPoint`: within a sweep, and over the readings of all nodules."""

    deviation: float
    correlation_frames: float
    mean: float
    reading_deviation: float


def fit_spread(tracks: Sequence[Floats]) -> Spread:
    """The spread under which the maximum lies as far above the mean, by the number of frames, as in these tracks.

    `expected_rise` is fitted to the maximum of each whole track less its mean. (Windows within tracks would show
    less: a nodule's first and last frames, which vary most, lie in few of them.)

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
    rises = np.array([track.max() - track.mean() for track in counted])

    def misfit(parameters: Floats) -> Floats:
        deviation, correlation_frames = map(float, parameters)
        expected = [expected_rise(deviation, correlation_frames, len(track)) for track in counted]
        return np.asarray(np.array(expected) - rises)

    found = least_squares(misfit, [0.5, 3.0], bounds=([0.0, 1.0], [10.0, _LONGEST_CORRELATION]))
    means = np.array([track.mean() for track in counted])
    within = float(np.mean([track.var() for track in counted]))
    return Spread(
        deviation=round(float(found.x[0]), 4),
        correlation_frames=round(float(found.x[1]), 2),
        mean=round(float(means.mean()), 4),
        reading_deviation=round(max(1e-4, float(means.var(ddof=1) + within) ** 0.5), 4),
    )


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
        **spread._asdict(),
        source=f"{len(tracks)} tracks of {frames} frames in sweeps of {data}, labels not used",
    )


def evaluate_sweeps(tracks: Sequence[SweepTrack], threshold: float, data: str) -> Evaluation:
    """The operating point of sweeps, and which share of their nodules is called malignant at it and otherwise.

    Args:
        tracks: all nodules of unlabelled sweeps.
        threshold: operating point of a still.
        data: name of the data.

    Raises:
        DataError: they are too few, or of one group.
    """
    spread = fitted(tracks, data)
    others = _spreads_of_the_others(tracks)
    return Evaluation(
        subject="sweeps",
        results=tuple(calling_results(tracks, others, threshold, data)),
        plots={},
        settings={"operating point of a still": f"{threshold:.4g}"},
        notes=_NOTES,
        sweep=spread,
        tables=(_shares_table(tracks, others),),
    )


def _spreads_of_the_others(tracks: Sequence[SweepTrack]) -> list[Spread]:
    """For each track the spread of the tracks of other groups: nothing is judged by what it was fitted to."""
    groups = {track.group for track in tracks}
    spreads = {group: fit_spread([one.log_odds for one in tracks if one.group != group]) for group in groups}
    return [spreads[track.group] for track in tracks]


def calling_results(
    tracks: Sequence[SweepTrack], spreads: Sequence[Spread], threshold: float, data: str
) -> list[Result]:
    """Which share of the nodules is called malignant: by a frame of each, by their maximum, at the sweep's own point.

    Args:
        tracks: at least one.
        spreads: for each, what its operating point is made from.
        threshold: operating point of a still.
        data: name of the data.
    """
    by_median = [float(expit(np.median(track.log_odds)) >= threshold) for track in tracks]
    shares = {
        "by one of their frames": _by_a_frame(tracks, threshold),
        "by their maximum at the operating point of stills": _by_maximum(tracks, [threshold] * len(tracks)),
        "by their median at the operating point of stills": by_median,
        "by their maximum at the operating point of their number of frames": _by_maximum(
            tracks, _points(tracks, spreads, threshold)
        ),
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


def _by_a_frame(tracks: Sequence[SweepTrack], threshold: float) -> list[float]:
    return [float((expit(track.log_odds) >= threshold).mean()) for track in tracks]


def _by_maximum(tracks: Sequence[SweepTrack], points: Sequence[float]) -> list[float]:
    return [float(expit(track.log_odds.max()) >= point) for track, point in zip(tracks, points, strict=True)]


def _points(tracks: Sequence[SweepTrack], spreads: Sequence[Spread], threshold: float) -> list[float]:
    return [
        SweepOperatingPoint(threshold, *spread).over(len(track.log_odds))
        for track, spread in zip(tracks, spreads, strict=True)
    ]


def _shares_table(tracks: Sequence[SweepTrack], spreads: Sequence[Spread]) -> Table:
    rows = []
    for threshold in _THRESHOLDS:
        shares = (
            _by_a_frame(tracks, threshold),
            _by_maximum(tracks, [threshold] * len(tracks)),
            _by_maximum(tracks, _points(tracks, spreads, threshold)),
        )
        rows.append((f"{threshold:.2f}", *(f"{float(np.mean(share)):.2f}" for share in shares)))
    return Table(
        title="Share of nodules called malignant",
        caption=f"{len(tracks)} nodules. " + " ".join(_NOTES),
        columns=(
            "operating point of a still",
            "by one of their frames",
            "by their maximum",
            "at the sweep's own point",
        ),
        rows=tuple(rows),
    )
