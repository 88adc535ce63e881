"""How much the classifier's reading of one nodule varies within a sweep: from unlabelled tracks to two numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.optimize import least_squares

from streamer.errors import DataError
from streamer.models.sweep_point import expected_rise

Floats = npt.NDArray[np.float64]

_LONGEST = 45
"""Frames a window at most; beyond it too few tracks are left to average over."""
_LONGEST_CORRELATION = 100.0
_LEAST_TRACKS = 10
_LEAST_FRAMES = 5


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
    counted = [np.asarray(track, np.float64) for track in tracks if len(track) >= _LEAST_FRAMES]
    if len(counted) < _LEAST_TRACKS:
        raise DataError(
            f"the spread within sweeps needs at least {_LEAST_TRACKS} tracks of {_LEAST_FRAMES} frames or more, "
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
        if len(long_enough) < _LEAST_TRACKS:
            break
        windows = [np.lib.stride_tricks.sliding_window_view(track, number).max(axis=1).mean() for track in long_enough]
        means = [track.mean() for track in long_enough]
        numbers.append(number)
        rises.append(float(np.mean(np.subtract(windows, means))))
        weights.append(len(long_enough) ** 0.5)
    return np.array(numbers, np.int64), np.array(rises), np.array(weights)
