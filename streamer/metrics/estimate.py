"""A figure with its 95 % confidence interval, and the two ways to get one: cluster bootstrap and Wilson's interval.

Frames of one clip, and clips of one patient, resemble each other, so the unit that is resampled is the patient (or the
smallest group known), not the frame.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
import numpy.typing as npt
from scipy import stats

from streamer.errors import DataError

Multiplicity = npt.NDArray[np.int64]
"""How often each observation is in a sample, shape (n,): all ones for the data as they are."""

Statistic = Callable[[Multiplicity], float]
"""A statistic of a sample given by multiplicities; NaN where it is not defined."""

# Below this share of resamples with a defined statistic, percentiles would describe the lucky ones only.
_MIN_DEFINED_SHARE = 0.5

_NO_WIDTH = 1e-5
"""Below it an interval is what rounding leaves of a standard error of 0."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """A measured value with its confidence interval.

    Attributes:
        value: the estimate; NaN where it is not defined (for example a sensitivity without a positive).
        low, high: bounds of the interval; NaN where none can be given.
        count: observations behind the value (frames, images, nodules or patients).
        clusters: units that were resampled (patients or groups); equals `count` for methods that take every observation
            as independent.
        method: how the interval was made, for example "bootstrap by patient, 1000 resamples, percentile" or "DeLong".
    """

    value: float
    low: float
    high: float
    count: int
    clusters: int
    method: str


def without_empty_interval(figure: Figure) -> Figure:
    """The figure, its bounds NaN where the interval has no width.

    A sample without spread (an AUC of exactly 0 or 1, equal ratings throughout) does not tell how far another sample
    would differ: an interval of no width would read as certainty.

    Example:
        >>> perfect = Figure(value=1.0, low=1.0, high=1.0, count=8, clusters=8, method="DeLong")
        >>> without_empty_interval(perfect).low
        nan
    """
    return replace(figure, low=nan, high=nan) if figure.high - figure.low < _NO_WIDTH else figure


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampling:
    """How a bootstrap is drawn.

    Attributes:
        resamples: number of resamples, at least 1.
        seed: seed of the random generator; the same seed gives the same interval.
        level: coverage of the interval, between 0 and 1.
        unit: what a group is called in the method text.
    """

    resamples: int = 1000
    seed: int = 0
    level: float = 0.95
    unit: str = "patient"

    def __post_init__(self) -> None:
        """Refuse settings that make no interval."""
        if self.resamples < 1:
            raise DataError(f"a bootstrap needs at least 1 resample (got {self.resamples})")
        if not 0 < self.level < 1:
            raise DataError(f"the level of an interval lies between 0 and 1 (got {self.level})")


DEFAULT_RESAMPLING = Resampling()


def bootstrap(statistic: Statistic, groups: npt.ArrayLike, resampling: Resampling = DEFAULT_RESAMPLING) -> Figure:
    """The statistic of the data with the percentile interval of a cluster bootstrap.

    Whole groups are drawn with replacement (Davison and Hinkley, Bootstrap Methods, 1997, section 3.8). A resample is
    handed over as multiplicities rather than as rows, so that sorting and matching are done once for all resamples.
    Resamples in which the statistic is not defined are left out and counted in the method text. With few groups
    (about ten) percentile intervals are too narrow.

    Args:
        statistic: function of the multiplicities, shape (n,).
        groups: group of each observation, shape (n,).
        resampling: number of resamples, seed, level and the name of a group.

    Returns:
        The figure; without an interval if there are fewer than two groups or the statistic is rarely defined.

    Raises:
        DataError: `groups` is not one-dimensional.
    """
    names = np.asarray(groups)
    if names.ndim != 1:
        raise DataError(f"groups must be one-dimensional, one entry an observation (got shape {names.shape})")
    count = len(names)
    if count == 0:
        return Figure(value=nan, low=nan, high=nan, count=0, clusters=0, method="no observation")
    member = np.unique(names, return_inverse=True)[1]
    clusters = int(member.max()) + 1
    value = float(statistic(np.ones(count, np.int64)))
    if clusters < 2:
        method = f"no interval: one {resampling.unit}"
        return Figure(value=value, low=nan, high=nan, count=count, clusters=clusters, method=method)
    generator = np.random.default_rng(resampling.seed)
    draws = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=resampling.resamples)
    replicates = np.array([statistic(draw[member]) for draw in draws], np.float64)
    defined = replicates[np.isfinite(replicates)]
    method = f"bootstrap by {resampling.unit}, {resampling.resamples} resamples, percentile"
    if len(defined) < len(replicates):
        method += f", {len(replicates) - len(defined)} undefined left out"
    low, high = nan, nan
    if not isnan(value) and len(defined) >= _MIN_DEFINED_SHARE * len(replicates):
        tail = (1 - resampling.level) / 2
        low, high = (float(bound) for bound in np.quantile(defined, [tail, 1 - tail]))
    return Figure(value=value, low=low, high=high, count=count, clusters=clusters, method=method)


def mean_figure(values: npt.ArrayLike, groups: npt.ArrayLike, resampling: Resampling = DEFAULT_RESAMPLING) -> Figure:
    """The mean over observations with a cluster-bootstrap interval; NaN values are left out and not counted.

    Args:
        values: one value an observation, shape (n,).
        groups: group of each observation, shape (n,).
        resampling: number of resamples, seed, level and the name of a group.

    Raises:
        DataError: the shapes differ.
    """
    numbers, names = np.asarray(values, np.float64), np.asarray(groups)
    if numbers.ndim != 1 or numbers.shape != names.shape:
        raise DataError(f"a value and a group an observation are needed (got shapes {numbers.shape}, {names.shape})")
    kept = ~np.isnan(numbers)
    numbers, names = numbers[kept], names[kept]
    # A resample holds whole groups, none of them empty, so its size is never zero.
    return bootstrap(lambda multiplicity: float(multiplicity @ numbers / multiplicity.sum()), names, resampling)


def proportion(successes: int, total: int, *, level: float = 0.95) -> Figure:
    """A share of independent observations with Wilson's score interval (J Am Stat Assoc 1927;22:209-212).

    Returns:
        The figure; not defined where `total` is 0.

    Raises:
        DataError: `successes` is not between 0 and `total`.
    """
    if not 0 <= successes <= total:
        raise DataError(f"successes must lie between 0 and the total {total} (got {successes})")
    if total == 0:
        return Figure(value=nan, low=nan, high=nan, count=0, clusters=0, method="no observation")
    interval = stats.binomtest(successes, total).proportion_ci(confidence_level=level, method="wilson")
    return Figure(
        value=successes / total,
        low=float(interval.low),
        high=float(interval.high),
        count=total,
        clusters=total,
        method="Wilson",
    )
