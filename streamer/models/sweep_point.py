"""The operating point of a sweep: how far the maximum of a nodule's frames lies above one of them, by their number.

The classifier's operating point was chosen on stills: one picture of each nodule. A sweep shows a nodule in 20 to 100
frames, and the largest of as many readings of one and the same thing is larger. That rise is the spread's alone, so it
can be read off sweeps that nobody labelled; a sweep's nodule is called malignant where its maximum lies above the
stills' operating point by more than the rise.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

from scipy.special import expit, logit

_NORMAL = NormalDist()


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
    independent = 1 + (frames - 1) / correlation_frames
    return deviation * _NORMAL.inv_cdf((independent - 0.375) / (independent + 0.25))


@dataclass(frozen=True, slots=True)
class SweepOperatingPoint:
    """From which maximum on a nodule is called malignant, by the number of frames that it was taken over.

    Example: with a deviation of 0.5 and readings that are new every 4 frames, 0.34 on a still is 0.49 over 20 frames.

    Attributes:
        threshold: probability on a still, 0 to 1.
        deviation, correlation_frames: see `expected_rise`; with a deviation of 0 one frame is as good as many.
    """

    threshold: float
    deviation: float = 0.0
    correlation_frames: float = 1.0

    def over(self, frames: int) -> float:
        """The operating point for the maximum over so many frames, at least one; 0 to 1."""
        if self.threshold in (0.0, 1.0) or self.deviation == 0:
            return self.threshold
        rise = expected_rise(self.deviation, self.correlation_frames, frames)
        return float(expit(logit(self.threshold) + rise))


def prior_shift(trained: float, wanted: float) -> float:
    """What is added to the log-odds where malignancy is as common as `wanted` instead of as `trained`.

    Bayes' rule for a change of the classes' shares alone (Saerens, Latinne and Decaestecker, Neural Computation
    2002;14:21-41): the odds change by the ratio of the prior odds.

    Args:
        trained: share of malignant nodules at which the probability was calibrated, above 0 and below 1.
        wanted: the share where it is used, above 0 and below 1.
    """
    return float(logit(wanted) - logit(trained))
