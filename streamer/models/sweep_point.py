"""The operating point of a sweep: how far the maximum of a nodule's frames lies above one of them, by their number.

The classifier's operating point was chosen on stills: one picture of each nodule. A sweep shows a nodule in 20 to 100
frames, and the largest of as many readings of one and the same thing is larger, and varies less. Both can be read off
sweeps that nobody labelled. The operating point of a sweep is the one that its maxima reach as often as one of their
frames reaches that of a still.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from streamer.models.log_odds import expit, logit

_NORMAL = NormalDist()
_VARIANCES = {1: 1.0, 1.5: 0.7935, 2: 0.6817, 3: 0.5595, 5: 0.4475, 10: 0.3443, 20: 0.2757, 50: 0.2157, 100: 0.1844}
"""Variance of the largest of k independent standard normal readings, by numerical integration of its density."""


def expected_rise(deviation: float, correlation_frames: float, frames: int) -> float:
    """By how much the maximum of a nodule's log-odds is expected to exceed their mean.

    Neighbouring frames tell nearly the same, so `frames` of them are as good as `1 + (frames - 1) /
    correlation_frames` that tell something new each; the expected maximum of k independent normal readings is Blom's
    (Statistical Estimates and Transformed Beta-Variables, 1958): the quantile of (k - 0.375) / (k + 0.25).

    Args:
        deviation: standard deviation of a nodule's log-odds within a sweep, 0 or more.
        correlation_frames: frames after which a reading is a new one, at least 1.
        frames: frames that support the nodule, at least 1.

    Returns:
        A difference of log-odds: 0 for one frame, rising with their number.
    """
    independent = _independent(correlation_frames, frames)
    return deviation * _NORMAL.inv_cdf((independent - 0.375) / (independent + 0.25))


def variance_of_maximum(correlation_frames: float, frames: int) -> float:
    """Variance of the maximum of a nodule's log-odds about its expectation, as a share of that of one reading.

    Args:
        correlation_frames: frames after which a reading is a new one, at least 1.
        frames: frames that support the nodule, at least 1.

    Returns:
        1 for one frame, falling with their number.
    """
    independent = _independent(correlation_frames, frames)
    return float(np.interp(np.log(independent), np.log(list(_VARIANCES)), list(_VARIANCES.values())))


def _independent(correlation_frames: float, frames: int) -> float:
    return 1 + (frames - 1) / correlation_frames


@dataclass(frozen=True, slots=True)
class SweepOperatingPoint:
    """From which maximum on a nodule is called malignant, by the number of frames that it was taken over.

    Let one reading of any nodule be normal about `mean` with deviation `reading_deviation`, and within a nodule with
    `deviation`. Then the maximum over n frames is about normal with a mean that is higher by `expected_rise` and a
    variance less `deviation` squared times what `variance_of_maximum` takes off. Both are cut at the same quantile.

    Example: with a deviation of 0.5 and readings that are new every 4 frames, 0.34 on a still is 0.49 over 20 frames.

    Attributes:
        threshold: probability on a still, 0 to 1.
        deviation, correlation_frames: see `expected_rise`; with a deviation of 0 one frame is as good as many.
        mean: of the log-odds of nodules.
        reading_deviation: of the log-odds of single readings of any nodule; None to let maxima vary as readings do.
    """

    threshold: float
    deviation: float = 0.0
    correlation_frames: float = 1.0
    mean: float = 0.0
    reading_deviation: float | None = None

    def over(self, frames: int) -> float:
        """The operating point for the maximum over so many frames, at least one; 0 to 1."""
        if self.threshold in (0.0, 1.0) or self.deviation == 0:
            return self.threshold
        rise = expected_rise(self.deviation, self.correlation_frames, frames)
        off_mean = (logit(self.threshold) - self.mean) * self._narrowing(frames)
        return expit(self.mean + off_mean + rise)

    def _narrowing(self, frames: int) -> float:
        """Deviation of the maxima over so many frames as a share of that of single readings, 0 to 1."""
        if self.reading_deviation is None:
            return 1.0
        taken_off = 1 - variance_of_maximum(self.correlation_frames, frames)
        share = min(1.0, (self.deviation / self.reading_deviation) ** 2)
        return float((1 - share * taken_off) ** 0.5)


def prior_shift(trained: float, wanted: float) -> float:
    """What is added to the log-odds where malignancy is as common as `wanted` instead of as `trained`.

    Bayes' rule for a change of the classes' shares alone (Saerens, Latinne and Decaestecker, Neural Computation
    2002;14:21-41): the odds change by the ratio of the prior odds.

    Args:
        trained: share of malignant nodules at which the probability was calibrated, above 0 and below 1.
        wanted: the share where it is used, above 0 and below 1.
    """
    return logit(wanted) - logit(trained)
