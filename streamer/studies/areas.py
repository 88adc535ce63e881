"""Areas under several ROC curves on the same cases, and how they vary together: DeLong, jackknife, U-statistics.

A curve is one reader in one scenario. Scores have the shape (curves, cases) and are NaN where a curve has no rating of
a case; truth has the shape (cases,), True for malignant; a higher score is more suspicious.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

from streamer.errors import DataError

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
CovarianceMethod = Literal["delong", "jackknife", "unbiased"]

COVARIANCE_METHODS: tuple[CovarianceMethod, ...] = ("delong", "jackknife", "unbiased")

_MIN_PER_CLASS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Placements:
    """Where each case lies among the cases of the other class.

    Attributes:
        truth: shape (n,).
        share: of a malignant case the share of benign ones it beats, of a benign case the share of malignant ones that
            beat it, ties half; shape (k, n), NaN where the curve has no rating.
        areas: area under each empirical curve (Mann and Whitney), shape (k,).
    """

    truth: Bools
    share: Floats
    areas: Floats

    @property
    def complete(self) -> bool:
        """Whether every curve rates every case."""
        return not bool(np.isnan(self.share).any())


def placements(truth: Bools, scores: Floats) -> Placements:
    """Place every case among those of the other class.

    Args:
        truth: shape (n,).
        scores: shape (k, n), NaN where there is no rating.

    Raises:
        DataError: a curve has fewer than two cases of a class.
    """
    share = np.full(scores.shape, np.nan)
    for curve, row in enumerate(scores):
        read = ~np.isnan(row)
        positive, negative = read & truth, read & ~truth
        counts = int(positive.sum()), int(negative.sum())
        if min(counts) < _MIN_PER_CLASS:
            raise DataError(
                f"an AUC needs at least {_MIN_PER_CLASS} malignant and {_MIN_PER_CLASS} benign cases, "
                f"got {counts[0]} and {counts[1]}"
            )
        # A case's rank among all less its rank in its own class counts the others below it (Sun and Xu, IEEE Signal
        # Process Lett 2014;21:1389-1393).
        among_all = np.full(len(truth), np.nan)
        among_all[read] = stats.rankdata(row[read])
        share[curve, positive] = (among_all[positive] - stats.rankdata(row[positive])) / counts[1]
        share[curve, negative] = 1 - (among_all[negative] - stats.rankdata(row[negative])) / counts[0]
    return Placements(truth=truth, share=share, areas=np.nanmean(share[:, truth], axis=1))


def covariance(truth: Bools, scores: Floats, method: CovarianceMethod) -> Floats:
    """Covariance matrix of the areas, shape (k, k), by the method named.

    Raises:
        DataError: DeLong's method is asked for where a rating is missing, or a curve lacks a class.
    """
    return _METHODS[method](truth, scores)


def delong_covariance(truth: Bools, scores: Floats) -> Floats:
    """DeLong's covariance of areas on the same cases (Biometrics 1988;44:837-845), shape (k, k).

    Raises:
        DataError: a rating is missing, or a curve has fewer than two cases of a class.
    """
    placed = placements(truth, scores)
    if not placed.complete:
        raise DataError("DeLong's covariance needs every case rated on every curve: take the jackknife")
    positive, negative = placed.share[:, truth], placed.share[:, ~truth]
    return np.asarray(
        np.atleast_2d(np.cov(positive)) / positive.shape[1] + np.atleast_2d(np.cov(negative)) / negative.shape[1]
    )


def clustered_covariance(truth: Bools, scores: Floats, clusters: npt.NDArray[np.int64]) -> Floats:
    """DeLong's covariance where cases come in clusters, such as images of one patient, shape (k, k).

    Obuchowski, Biometrics 1997;53:567-578, with the covariance of two curves in the place of the variance of one. With
    one case per cluster and many cases it agrees with `delong_covariance`.

    Args:
        truth: shape (n,).
        scores: shape (k, n), no NaN.
        clusters: number of each case's cluster, from 0, shape (n,).

    Raises:
        DataError: a rating is missing, or a class has fewer than two clusters.
    """
    placed = placements(truth, scores)
    if not placed.complete:
        raise DataError("the clustered covariance needs every case rated on every curve")
    deviation = placed.share - placed.areas[:, None]
    count = int(clusters.max()) + 1

    def sums(part: Bools) -> Floats:
        return np.stack([np.bincount(clusters[part], weights=row[part], minlength=count) for row in deviation])

    positives, negatives = int(truth.sum()), int((~truth).sum())
    with_positive, with_negative = len(np.unique(clusters[truth])), len(np.unique(clusters[~truth]))
    if min(with_positive, with_negative) < _MIN_PER_CLASS:
        raise DataError("a clustered interval needs two patients of each class")
    positive, negative = sums(truth), sums(~truth)
    within_positive = positive @ positive.T * with_positive / (with_positive - 1) / positives**2
    within_negative = negative @ negative.T * with_negative / (with_negative - 1) / negatives**2
    between = positive @ negative.T * count / (count - 1) / (positives * negatives)
    return np.asarray(within_positive + within_negative + between + between.T)


def jackknife_covariance(truth: Bools, scores: Floats) -> Floats:
    """Covariance by leaving out one case at a time (Efron 1982), shape (k, k).

    Where a curve has no rating of the case left out, its area stays: so it also serves partially paired designs.

    Raises:
        DataError: a curve has fewer than two cases of a class.
    """
    placed = placements(truth, scores)
    read = ~np.isnan(placed.share)
    positives, negatives = (read & truth).sum(axis=1), (read & ~truth).sum(axis=1)
    # Without a case its class's mean placement is the area, in closed form.
    size = np.where(truth, positives[:, None], negatives[:, None]).astype(np.float64)
    without = (size * placed.areas[:, None] - placed.share) / (size - 1)
    without = np.where(read, without, placed.areas[:, None])
    deviation = without - without.mean(axis=1, keepdims=True)
    cases = len(truth)
    return np.asarray((cases - 1) / cases * (deviation @ deviation.T))


def unbiased_covariance(truth: Bools, scores: Floats) -> Floats:
    """Unbiased covariance by U-statistics (Gallas, Pennello and Myers, J Opt Soc Am A 2007;24:B70-B80), shape (k, k).

    The product of two areas less its mean over pairs of pairs that share no case; serves partially paired designs.

    Raises:
        DataError: a curve has fewer than two cases of a class.
    """
    placed = placements(truth, scores)
    read = ~np.isnan(scores)
    above = scores[:, truth, None] - scores[:, None, ~truth]
    won = np.where(np.isnan(above), 0.0, (np.sign(above) + 1) / 2)
    by_positive, by_negative, total = won.sum(axis=2), won.sum(axis=1), won.sum(axis=(1, 2))
    flat = won.reshape(len(won), -1)
    apart = (
        np.outer(total, total) - by_positive @ by_positive.T - by_negative @ by_negative.T + flat @ flat.T
    )  # sums of products over two pairs without a case in common
    positive, negative = read[:, truth].astype(np.float64), read[:, ~truth].astype(np.float64)
    m, n = positive.sum(axis=1), negative.sum(axis=1)
    both_m, both_n = positive @ positive.T, negative @ negative.T
    pairs = np.outer(m * n, m * n) - both_m * np.outer(n, n) - both_n * np.outer(m, m) + both_m * both_n
    return np.asarray(np.outer(placed.areas, placed.areas) - apart / pairs)


_METHODS: dict[CovarianceMethod, Callable[[Bools, Floats], Floats]] = {
    "delong": delong_covariance,
    "jackknife": jackknife_covariance,
    "unbiased": unbiased_covariance,
}
