"""From unlabelled sweeps to the operating point of a sweep: how readings vary in a track, and how many are called."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from streamer.evaluation.result import Result
from streamer.evaluation.sweep_spread import Spread, fit_spread
from streamer.metrics.estimate import Resampling, mean_figure
from streamer.models.sweep_point import SweepOperatingPoint
from streamer.models.weights_manifest import SweepSpread
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine

_LEAST_FRAMES = 5
CALLED = "nodules of sweeps called malignant, "
"""Begins the names of those figures."""


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
            SweepTrack(group=group, log_odds=np.array(values))
            for values in seen.values()
            if len(values) >= _LEAST_FRAMES
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
