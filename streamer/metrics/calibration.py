"""Calibration of the shown probability: reliability curve, expected calibration error, Platt scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import optimize, special

from streamer.errors import DataError
from streamer.metrics.classification import Floats, Labels, checked
from streamer.metrics.estimate import DEFAULT_RESAMPLING, Figure, Multiplicity, Resampling, bootstrap, proportion

# Ten bins, as in Naeini et al., AAAI 2015. More bins add noise: see `calibration_error`.
DEFAULT_BINS = 10

# Bounds of the search, far wider than needed: a fit that ends near one of them has failed.
_TEMPERATURE_RANGE = (0.05, 20.0)
_OFFSET_RANGE = (-10.0, 10.0)


class Scaling(NamedTuple):
    """What turns log-odds into a probability: they are divided by `temperature`, then `offset` is added."""

    temperature: float = 1.0
    offset: float = 0.0


IDENTITY = Scaling()
"""What the network says itself."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReliabilityBin:
    """One point of a reliability curve: mean probability shown, and share that was malignant (Wilson's interval)."""

    mean_probability: float
    observed: Figure


def reliability_curve(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    *,
    bins: int = DEFAULT_BINS,
) -> tuple[ReliabilityBin, ...]:
    """Shown against observed risk, a point for each bin that holds a case, by rising probability.

    Raises:
        DataError: bad labels, a probability outside 0 to 1, or no bin.
    """
    truth, shown = _checked_probabilities(labels, probabilities, bins)
    count, mean, observed = _binned(truth, shown, bins)
    return tuple(
        ReliabilityBin(mean_probability=float(m), observed=proportion(round(n * o), int(n)))
        for n, m, o in zip(count, mean, observed, strict=True)
    )


def calibration_error(
    labels: npt.ArrayLike,
    probabilities: npt.ArrayLike,
    groups: npt.ArrayLike,
    resampling: Resampling = DEFAULT_RESAMPLING,
    *,
    bins: int = DEFAULT_BINS,
) -> Figure:
    """Expected calibration error: mean over cases of the gap between shown and observed risk of their bin.

    After Naeini et al., AAAI 2015. Chance alone gives a perfectly calibrated model up to about 0.4 sqrt(bins / cases)
    (0.026 for 10 bins and 2,400 cases), and resampling adds that noise once more: the interval errs upward and may even
    lie above the value.

    Raises:
        DataError: bad labels, a probability outside 0 to 1, no bin, or groups of another shape.
    """
    truth, shown = _checked_probabilities(labels, probabilities, bins)
    if np.shape(groups) != truth.shape:
        raise DataError(f"a group a case is needed (got shape {np.shape(groups)} for {len(truth)} cases)")

    def statistic(multiplicity: Multiplicity) -> float:
        rows = np.repeat(np.arange(len(truth)), multiplicity)
        count, mean, observed = _binned(truth[rows], shown[rows], bins)
        return float(count @ np.abs(mean - observed) / count.sum())

    return bootstrap(statistic, groups, resampling)


def fit_scaling(labels: npt.ArrayLike, log_odds: npt.ArrayLike) -> Scaling:
    """The scaling that minimises the negative log-likelihood (Platt 1999; Guo et al., ICML 2017, section 4.1).

    Fit it on cases that the network was not trained on. A temperature alone cannot mend a network that was trained with
    both classes equally often and is used where one of them is rarer; the offset can.

    Args:
        labels: 0 or 1, shape (n,).
        log_odds: malignant logit minus benign logit, shape (n,).

    Returns:
        A temperature between 0.05 and 20, above 1 where the network was too sure; an offset between -10 and 10.

    Raises:
        DataError: bad labels or log-odds, or only one class.
    """
    truth, raw = checked(labels, log_odds)
    if truth.all() or not truth.any():
        raise DataError("calibration needs both malignant and benign cases")
    sign = np.where(truth, 1.0, -1.0)

    def loss(parameters: Floats) -> float:
        return float(np.logaddexp(0.0, -sign * (raw / np.exp(parameters[0]) + parameters[1])).mean())

    bounds = (tuple(np.log(_TEMPERATURE_RANGE)), _OFFSET_RANGE)
    log_temperature, offset = optimize.minimize(loss, np.zeros(2), method="L-BFGS-B", bounds=bounds).x
    return Scaling(float(np.exp(log_temperature)), float(offset))


def apply_scaling(log_odds: npt.ArrayLike, scaling: Scaling) -> Floats:
    """Probability of malignancy, 0 to 1, of log-odds (malignant minus benign logit).

    Raises:
        DataError: the temperature is not positive.
    """
    if not scaling.temperature > 0:
        raise DataError(f"a temperature is positive (got {scaling.temperature})")
    odds = np.asarray(log_odds, np.float64) / scaling.temperature + scaling.offset
    return np.asarray(special.expit(odds), np.float64)


def _checked_probabilities(labels: npt.ArrayLike, probabilities: npt.ArrayLike, bins: int) -> tuple[Labels, Floats]:
    truth, shown = checked(labels, probabilities)
    if ((shown < 0) | (shown > 1)).any():
        raise DataError("probabilities must lie between 0 and 1: apply the scaling to log-odds first")
    if bins < 1:
        raise DataError(f"at least one bin is needed (got {bins})")
    return truth, shown


def _binned(truth: Labels, shown: Floats, bins: int) -> tuple[Floats, Floats, Floats]:
    """Count, mean probability and observed share of each bin that holds a case, by rising probability.

    The bins are (0, 1/bins], (1/bins, 2/bins], ..., with 0 in the first.
    """
    place = np.clip(np.ceil(shown * bins).astype(np.int64) - 1, 0, bins - 1)
    count = np.bincount(place, minlength=bins).astype(np.float64)
    held = count > 0
    count = count[held]
    mean = np.bincount(place, weights=shown, minlength=bins)[held] / count
    observed = np.bincount(place, weights=truth, minlength=bins)[held] / count
    return count, mean, observed
