"""Agreement of readers: Kendall's coefficient of concordance and weighted kappa, with intervals by patient."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from streamer.errors import DataError
from streamer.metrics.estimate import DEFAULT_RESAMPLING, Figure, Multiplicity, Resampling, bootstrap

Floats = npt.NDArray[np.float64]
KappaWeights = Literal["linear", "quadratic"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Concordance:
    """Kendall's W with its test.

    Attributes:
        w: 0 (none) to 1 (the same order), with a bootstrap interval.
        readers: number of readers.
        chi_squared, df, p_value: of the test that the orders have nothing in common; NaN where all is tied.
    """

    w: Figure
    readers: int
    chi_squared: float
    df: int
    p_value: float


def kendalls_w(
    scores: Floats, groups: npt.ArrayLike | None = None, resampling: Resampling = DEFAULT_RESAMPLING
) -> Concordance:
    """Kendall's coefficient of concordance, corrected for ties (Kendall and Gibbons, Rank Correlation Methods, 1990).

    Args:
        scores: shape (readers, cases), no NaN.
        groups: patient of each case for the interval, shape (cases,); default: each case its own.
        resampling: how the interval is drawn.

    Raises:
        DataError: fewer than two readers or cases.
    """
    readers, cases = scores.shape
    if min(readers, cases) < 2:
        raise DataError(f"concordance needs two readers and two cases, got {readers} and {cases}")
    levels = [np.unique(row, return_inverse=True) for row in scores]

    def statistic(multiplicity: Multiplicity) -> float:
        return _w(levels, np.asarray(multiplicity, np.float64))

    w = bootstrap(statistic, np.arange(cases) if groups is None else groups, resampling)
    chi_squared = readers * (cases - 1) * w.value
    return Concordance(
        w=w,
        readers=readers,
        chi_squared=chi_squared,
        df=cases - 1,
        p_value=float(stats.chi2.sf(chi_squared, cases - 1)),
    )


def reading_of(value: float) -> str:
    """What an agreement is called: the paper's words (Radiology 2023;307(5):e221157), after Landis and Koch."""
    if np.isnan(value):
        return "not defined"
    for bound, word in ((0.2, "poor"), (0.4, "fair"), (0.6, "moderate"), (0.8, "substantial")):
        if value <= bound:
            return word
    return "excellent"


def weighted_kappa(
    first: Floats,
    second: Floats,
    categories: int,
    weights: KappaWeights,
    groups: npt.ArrayLike,
    resampling: Resampling = DEFAULT_RESAMPLING,
) -> Figure:
    """Cohen's weighted kappa of two readers (Psychol Bull 1968;70:213-220).

    Args:
        first, second: categories from 0, shape (cases,).
        categories: how many there are, at least 2.
        weights: how disagreement grows with its distance.
        groups: patient of each case, shape (cases,).
        resampling: how the interval is drawn.
    """
    cells = first.astype(np.int64) * categories + second.astype(np.int64)
    step = np.abs(np.subtract.outer(np.arange(categories), np.arange(categories))) / (categories - 1)
    cost = step if weights == "linear" else step**2

    def statistic(multiplicity: Multiplicity) -> float:
        table = np.bincount(cells, weights=multiplicity, minlength=categories**2).reshape(categories, categories)
        expected = float((cost * np.outer(table.sum(axis=1), table.sum(axis=0))).sum() / table.sum())
        return 1 - float((cost * table).sum()) / expected if expected else nan

    return bootstrap(statistic, groups, resampling)


def _w(levels: list[tuple[Floats, npt.NDArray[np.int64]]], weights: Floats) -> float:
    """W of cases that count `weights` times each."""
    count, readers = weights.sum(), len(levels)
    total, ties = np.zeros_like(weights), 0.0
    for values, place in levels:
        size = np.bincount(place, weights=weights, minlength=len(values))
        total += (size.cumsum() - size + (size + 1) / 2)[place]
        ties += float((size**3 - size).sum())
    spread = float(weights @ (total - readers * (count + 1) / 2) ** 2)
    possible = readers**2 * (count**3 - count) - readers * ties
    return 12 * spread / possible if possible > 0 else nan
