"""Figures of a classifier: ROC, AUC after DeLong, Youden operating point, sensitivity to NPV, patient-level maximum.

Labels are 1 or True for malignant and 0 or False for benign; a higher score is more suspicious; a case is called
malignant if its score is at least the threshold.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import roc_curve

from streamer.errors import DataError
from streamer.metrics.estimate import DEFAULT_RESAMPLING, Figure, Multiplicity, Resampling, bootstrap, proportion

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

_MIN_OF_A_CLASS = 2
# Below this a difference of AUCs or its variance is what rounding leaves of 0.
_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class RocCurve:
    """A receiver operating characteristic, from the highest threshold (infinity: nothing is called malignant) down.

    Attributes:
        threshold: shape (k,), falling.
        false_positive_rate: 1 - specificity, shape (k,).
        sensitivity: shape (k,).
    """

    threshold: Floats
    false_positive_rate: Floats
    sensitivity: Floats


@dataclass(frozen=True, slots=True, kw_only=True)
class DelongTest:
    """Comparison of two AUCs measured on the same cases.

    Attributes:
        first, second: the two AUCs.
        difference: first minus second, with its interval.
        z: test statistic; 0 for equal AUCs.
        p_value: two-sided.

    `z` and `p_value` are NaN where the AUCs differ but show no variance (both 0 or 1): no test is possible.
    """

    first: Figure
    second: Figure
    difference: Figure
    z: float
    p_value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassificationPoint:
    """Figures at one threshold, each with Wilson's interval."""

    threshold: float
    sensitivity: Figure
    specificity: Figure
    ppv: Figure
    npv: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class PatientScores:
    """One label and one score a patient, ordered by patient, shapes (p,)."""

    patients: npt.NDArray[np.str_]
    labels: Labels
    scores: Floats


def checked(labels: npt.ArrayLike, scores: npt.ArrayLike) -> tuple[Labels, Floats]:
    """Labels and scores as arrays, shapes (n,).

    Raises:
        DataError: shapes differ, a label is neither 0 nor 1, or a score is not finite.
    """
    truth, numbers = np.asarray(labels), np.asarray(scores, np.float64)
    if truth.ndim != 1 or truth.shape != numbers.shape:
        raise DataError(f"a label and a score a case are needed (got shapes {truth.shape} and {numbers.shape})")
    if not np.isin(truth, (0, 1)).all():
        raise DataError("labels must be 0 (benign) or 1 (malignant)")
    if not np.isfinite(numbers).all():
        raise DataError(f"scores must be finite numbers (case {int(np.argmin(np.isfinite(numbers)))} is not)")
    return truth.astype(np.bool_), numbers


def roc(labels: npt.ArrayLike, scores: npt.ArrayLike) -> RocCurve:
    """The ROC curve with a point for every score that occurs.

    Raises:
        DataError: bad labels or scores (see `checked`), or only one class.
    """
    truth, numbers = _both_classes(labels, scores)
    false_positive_rate, sensitivity, threshold = roc_curve(truth, numbers, drop_intermediate=False)
    return RocCurve(threshold=threshold, false_positive_rate=false_positive_rate, sensitivity=sensitivity)


def auc(labels: npt.ArrayLike, scores: npt.ArrayLike, *, level: float = 0.95) -> Figure:
    """Area under the ROC curve with DeLong's interval (Biometrics 1988;44:837-845), cut at 0 and 1.

    Takes the cases as independent; where a patient has several images, use `auc_by_group`. With an AUC of 0 or 1 the
    estimated variance is 0 and the interval has no width.

    Raises:
        DataError: bad labels or scores (see `checked`), or fewer than two cases of a class.
    """
    truth, numbers = _both_classes(labels, scores, least=_MIN_OF_A_CLASS)
    areas, covariance = _delong(truth, numbers[None, :])
    return _delong_figure(areas[0], covariance[0, 0], len(truth), level, bounds=(0.0, 1.0))


def auc_by_group(
    labels: npt.ArrayLike, scores: npt.ArrayLike, groups: npt.ArrayLike, resampling: Resampling = DEFAULT_RESAMPLING
) -> Figure:
    """Area under the ROC curve with a cluster-bootstrap interval, for several images a patient.

    Raises:
        DataError: bad labels or scores (see `checked`), only one class, or groups of another shape.
    """
    truth, numbers = _both_classes(labels, scores)
    if np.shape(groups) != truth.shape:
        raise DataError(f"a group a case is needed (got shape {np.shape(groups)} for {len(truth)} cases)")

    levels, place = np.unique(numbers, return_inverse=True)

    def statistic(multiplicity: Multiplicity) -> float:
        # Mann and Whitney's pairs, counted on the sorted scores: scikit-learn would sort them anew in every resample.
        malignant = np.bincount(place[truth], weights=multiplicity[truth], minlength=len(levels))
        benign = np.bincount(place[~truth], weights=multiplicity[~truth], minlength=len(levels))
        pairs = malignant.sum() * benign.sum()
        return float(malignant @ (benign.cumsum() - benign / 2) / pairs) if pairs else nan

    return bootstrap(statistic, groups, resampling)


def delong_test(
    labels: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, *, level: float = 0.95
) -> DelongTest:
    """DeLong's test of two AUCs on the same cases (Biometrics 1988;44:837-845).

    Raises:
        DataError: bad labels or scores (see `checked`), or fewer than two cases of a class.
    """
    truth, one = _both_classes(labels, first, least=_MIN_OF_A_CLASS)
    _, other = checked(labels, second)
    areas, covariance = _delong(truth, np.stack([one, other]))
    difference = float(areas[0] - areas[1])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    z = difference / variance**0.5 if variance > _ROUNDING else nan
    if abs(difference) < _ROUNDING:
        z = 0.0
    count = len(truth)
    return DelongTest(
        first=_delong_figure(areas[0], covariance[0, 0], count, level, bounds=(0.0, 1.0)),
        second=_delong_figure(areas[1], covariance[1, 1], count, level, bounds=(0.0, 1.0)),
        difference=_delong_figure(difference, variance, count, level, bounds=(-1.0, 1.0)),
        z=float(z),
        p_value=float(2 * stats.norm.sf(abs(z))),
    )


def youden_threshold(labels: npt.ArrayLike, scores: npt.ArrayLike) -> float:
    """The score at which sensitivity + specificity - 1 is greatest (Youden, Cancer 1950;3:32-35).

    If several are, the highest of them, which is the most specific.

    Raises:
        DataError: bad labels or scores (see `checked`), or only one class.
    """
    curve = roc(labels, scores)
    index = curve.sensitivity - curve.false_positive_rate
    # The first point has the threshold infinity: no operating point.
    return float(curve.threshold[1:][np.argmax(index[1:])])


def classification_point(labels: npt.ArrayLike, scores: npt.ArrayLike, threshold: float) -> ClassificationPoint:
    """Sensitivity, specificity, positive and negative predictive value at a threshold.

    Takes the cases as independent; each figure's count is its own denominator, and it is not defined where that is 0.

    Raises:
        DataError: bad labels or scores (see `checked`).
    """
    truth, numbers = checked(labels, scores)
    called = numbers >= threshold

    def share(part: Labels, whole: Labels) -> Figure:
        return proportion(int((part & whole).sum()), int(whole.sum()))

    return ClassificationPoint(
        threshold=threshold,
        sensitivity=share(called, truth),
        specificity=share(~called, ~truth),
        ppv=share(truth, called),
        npv=share(~truth, ~called),
    )


def patient_maximum(patients: npt.ArrayLike, labels: npt.ArrayLike, scores: npt.ArrayLike) -> PatientScores:
    """The greatest score of each patient's images (Radiology 2023;307(5):e221157); malignant if any image is.

    Raises:
        DataError: bad labels or scores (see `checked`), or patients of another shape.
    """
    truth, numbers = checked(labels, scores)
    if np.shape(patients) != truth.shape:
        raise DataError(f"a patient an image is needed (got shape {np.shape(patients)} for {len(truth)} images)")
    names, member = np.unique(np.asarray(patients, np.str_), return_inverse=True)
    greatest, malignant = np.full(len(names), -np.inf), np.zeros(len(names), np.bool_)
    np.maximum.at(greatest, member, numbers)
    np.logical_or.at(malignant, member, truth)
    return PatientScores(patients=names, labels=malignant, scores=greatest)


def has_both(labels: Labels) -> bool:
    """Whether there are cases enough of both classes for an AUC with its interval."""
    return bool(min(labels.sum(), (~labels).sum()) >= _MIN_OF_A_CLASS)


def _both_classes(labels: npt.ArrayLike, scores: npt.ArrayLike, *, least: int = 1) -> tuple[Labels, Floats]:
    truth, numbers = checked(labels, scores)
    malignant = int(truth.sum())
    if min(malignant, len(truth) - malignant) < least:
        raise DataError(
            f"at least {least} malignant and {least} benign are needed (got {malignant} and {len(truth) - malignant})"
        )
    return truth, numbers


def _delong(truth: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """AUCs, shape (k,), and their covariance, shape (k, k), of scores, shape (k, n).

    Sun and Xu's algorithm (IEEE Signal Process Lett 2014;21:1389-1393): the share of the other class that a case beats
    is the difference of two midranks.
    """
    positive, negative = scores[:, truth], scores[:, ~truth]
    joint = stats.rankdata(scores, axis=1)
    positives, negatives = positive.shape[1], negative.shape[1]
    beaten = (joint[:, truth] - stats.rankdata(positive, axis=1)) / negatives
    beating = 1 - (joint[:, ~truth] - stats.rankdata(negative, axis=1)) / positives
    covariance = np.atleast_2d(np.cov(beaten)) / positives + np.atleast_2d(np.cov(beating)) / negatives
    return beaten.mean(axis=1), covariance


def _delong_figure(value: float, variance: float, count: int, level: float, *, bounds: tuple[float, float]) -> Figure:
    half = float(stats.norm.ppf(0.5 + level / 2)) * float(np.sqrt(max(variance, 0.0)))
    low, high = max(bounds[0], float(value) - half), min(bounds[1], float(value) + half)
    return Figure(value=float(value), low=low, high=high, count=count, clusters=count, method="DeLong")
