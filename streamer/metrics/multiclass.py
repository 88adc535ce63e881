"""Figures of a classifier of several classes, by class (one against the rest) and in all, with 95 % intervals.

Shares have Wilson's interval where each patient has one image and a cluster bootstrap where not; AUCs have DeLong's;
kappa has its asymptotic one (Fleiss, Cohen and Everitt, Psychol Bull 1969;72:323-327, from statsmodels); F1 and means
over classes have a bootstrap by patient.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy import stats
from sklearn.metrics import confusion_matrix
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa

from streamer.errors import DataError
from streamer.metrics.classification import auc, auc_by_group
from streamer.metrics.estimate import Figure, Multiplicity, bootstrap, mean_figure, proportion

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """What was said of each image.

    Attributes:
        truth: class numbers, shape (n,).
        said: class numbers, shape (n,).
        patients: shape (n,).
        probabilities: shape (n, classes); None for a physician.
        classes: number of classes.
    """

    truth: Integers
    said: Integers
    patients: npt.NDArray[np.str_]
    probabilities: Floats | None
    classes: int

    def scores(self, number: int) -> Floats:
        """The probability of a class; of a physician 1 or 0."""
        if self.probabilities is None:
            return np.asarray(self.said == number, np.float64)
        return np.asarray(self.probabilities[:, number], np.float64)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is right, shape (n,)."""
        return np.asarray(self.truth == self.said, np.bool_)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassFigures:
    """Figures of one class against the rest."""

    accuracy: Figure
    sensitivity: Figure
    specificity: Figure
    ppv: Figure
    npv: Figure
    f1: Figure
    auc: Figure
    kappa: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class OverallFigures:
    """Figures of all classes together; sensitivity and the like are means over classes (macro)."""

    accuracy: Figure
    sensitivity: Figure
    specificity: Figure
    ppv: Figure
    npv: Figure
    f1: Figure
    auc: Figure
    kappa: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedComparison:
    """Two answerers on the same images.

    Attributes:
        first_only, second_only: images that only the first, or only the second, got right.
        chi_squared, chi_squared_p: the paper's test of the two accuracies, which takes them as independent.
        mcnemar_p: McNemar's exact test, the right one for paired answers.
    """

    first_only: int
    second_only: int
    chi_squared: float
    chi_squared_p: float
    mcnemar_p: float


def answers(truth: Sequence[int], probabilities: npt.ArrayLike, patients: Sequence[str]) -> Answers:
    """A network's answers: its most probable class.

    Raises:
        DataError: shapes differ or a probability is not finite.
    """
    numbers = np.asarray(probabilities, np.float64)
    if numbers.ndim != 2 or len(numbers) != len(truth) or len(truth) != len(patients):
        raise DataError(f"a row of probabilities, a class and a patient an image are needed (got {numbers.shape})")
    if not np.isfinite(numbers).all():
        raise DataError("probabilities must be finite numbers")
    return Answers(
        truth=np.asarray(truth, np.int64),
        said=numbers.argmax(axis=1).astype(np.int64),
        patients=np.asarray(patients, np.str_),
        probabilities=numbers,
        classes=numbers.shape[1],
    )


def confusion(given: Answers, weights: npt.ArrayLike | None = None) -> Integers:
    """Confusion matrix, rows the truth, columns what was said, shape (classes, classes)."""
    matrix = confusion_matrix(given.truth, given.said, labels=np.arange(given.classes), sample_weight=weights)
    return np.asarray(matrix, np.int64)


def class_figures(given: Answers, number: int) -> ClassFigures:
    """Figures of one class against the rest."""
    truth, said = given.truth == number, given.said == number
    independent = len(np.unique(given.patients)) == len(given.patients)

    def share(part: npt.NDArray[np.bool_], whole: npt.NDArray[np.bool_]) -> Figure:
        if independent:
            return proportion(int((part & whole).sum()), int(whole.sum()))
        return mean_figure(part[whole].astype(np.float64), given.patients[whole])

    against_rest = Answers(
        truth=truth.astype(np.int64), said=said.astype(np.int64), patients=given.patients, probabilities=None, classes=2
    )
    everything = np.ones_like(truth)
    return ClassFigures(
        accuracy=share(truth == said, everything),
        sensitivity=share(said, truth),
        specificity=share(~said, ~truth),
        ppv=share(truth, said),
        npv=share(~truth, ~said),
        f1=_bootstrapped(given, lambda matrix: float(_f1(matrix)[number])),
        auc=_class_auc(given, number, independent),
        kappa=_kappa(against_rest) if independent else _bootstrapped(against_rest, _kappa_of),
    )


def overall_figures(given: Answers) -> OverallFigures:
    """Figures of all classes together."""
    independent = len(np.unique(given.patients)) == len(given.patients)
    right = given.right
    accuracy = (
        proportion(int(right.sum()), len(right))
        if independent
        else mean_figure(right.astype(np.float64), given.patients)
    )
    return OverallFigures(
        accuracy=accuracy,
        sensitivity=_bootstrapped(given, lambda matrix: _mean(_shares(matrix)[0])),
        specificity=_bootstrapped(given, lambda matrix: _mean(_shares(matrix)[1])),
        ppv=_bootstrapped(given, lambda matrix: _mean(_shares(matrix)[2])),
        npv=_bootstrapped(given, lambda matrix: _mean(_shares(matrix)[3])),
        f1=_bootstrapped(given, lambda matrix: _mean(_f1(matrix))),
        auc=_macro_auc(given),
        kappa=_kappa(given) if independent else _bootstrapped(given, _kappa_of),
    )


def compare_paired(first: Answers, second: Answers) -> PairedComparison:
    """McNemar's exact test and the paper's chi-squared of two answerers on the same images.

    Raises:
        DataError: they answered for different images.
    """
    if len(first.truth) != len(second.truth) or (first.truth != second.truth).any():
        raise DataError("answers are compared on the same images only")
    one, other = first.right, second.right
    table = np.array([[(one & other).sum(), (one & ~other).sum()], [(~one & other).sum(), (~one & ~other).sum()]])
    counts = np.array([[one.sum(), (~one).sum()], [other.sum(), (~other).sum()]])
    statistic, p_value = 0.0, 1.0
    if (counts.sum(axis=0) > 0).all():
        test: Any = stats.chi2_contingency(counts, correction=False)
        statistic, p_value = float(test.statistic), float(test.pvalue)
    return PairedComparison(
        first_only=int(table[0, 1]),
        second_only=int(table[1, 0]),
        chi_squared=statistic,
        chi_squared_p=p_value,
        mcnemar_p=float(mcnemar(table, exact=True).pvalue),
    )


def _class_auc(given: Answers, number: int, independent: bool) -> Figure:
    truth = (given.truth == number).astype(np.int64)
    if min(truth.sum(), len(truth) - truth.sum()) < 2:
        return Figure(value=nan, low=nan, high=nan, count=len(truth), clusters=0, method="too few cases of a class")
    scores = given.scores(number)
    return auc(truth, scores) if independent else auc_by_group(truth, scores, given.patients)


def _macro_auc(given: Answers) -> Figure:
    """Mean over classes of the AUC of one against the rest."""
    parts = [_ranked(given, number) for number in range(given.classes)]
    return bootstrap(lambda drawn: _mean([part(drawn) for part in parts]), given.patients)


def _ranked(given: Answers, number: int) -> Callable[[Multiplicity], float]:
    """The AUC of a class as a function of how often each image was drawn (Mann and Whitney's pairs)."""
    truth = given.truth == number
    levels, place = np.unique(given.scores(number), return_inverse=True)

    def area(drawn: Multiplicity) -> float:
        ill = np.bincount(place[truth], weights=drawn[truth], minlength=len(levels))
        well = np.bincount(place[~truth], weights=drawn[~truth], minlength=len(levels))
        pairs = ill.sum() * well.sum()
        return float(ill @ (well.cumsum() - well / 2) / pairs) if pairs else nan

    return area


def _bootstrapped(given: Answers, statistic: Callable[[Floats], float]) -> Figure:
    cell = given.truth * given.classes + given.said
    size = given.classes**2

    def of(drawn: Multiplicity) -> float:
        matrix = np.bincount(cell, weights=drawn, minlength=size).astype(np.float64)
        return statistic(matrix.reshape(given.classes, given.classes))

    return bootstrap(of, given.patients)


def _shares(matrix: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    """Sensitivity, specificity, PPV and NPV of each class; NaN where not defined."""
    hit = np.diag(matrix)
    truth, said, total = matrix.sum(axis=1), matrix.sum(axis=0), matrix.sum()
    correctly_not = total - truth - said + hit
    return (
        _divided(hit, truth),
        _divided(correctly_not, total - truth),
        _divided(hit, said),
        _divided(correctly_not, total - said),
    )


def _f1(matrix: Floats) -> Floats:
    return _divided(2 * np.diag(matrix), matrix.sum(axis=1) + matrix.sum(axis=0))


def _divided(above: Floats, below: Floats) -> Floats:
    return np.asarray(np.divide(above, below, out=np.full(len(above), nan), where=below > 0), np.float64)


def _mean(values: npt.ArrayLike) -> float:
    numbers = np.asarray(values, np.float64)
    return float(numbers.mean()) if len(numbers) else nan  # NaN where a class has none: macro is not defined then


def _kappa_of(matrix: Floats) -> float:
    """Cohen's kappa of a confusion matrix."""
    total = matrix.sum()
    by_chance = float(matrix.sum(axis=0) @ matrix.sum(axis=1)) / total**2
    return (float(np.trace(matrix)) / total - by_chance) / (1 - by_chance) if by_chance < 1 else nan


def _kappa(given: Answers) -> Figure:
    matrix, count = confusion(given), len(given.truth)
    agreed = int(np.trace(matrix))
    if agreed == count:
        one_class = (matrix.sum(axis=1) == count).any()
        value = nan if one_class else 1.0
        return Figure(value=value, low=value, high=value, count=count, clusters=count, method="asymptotic")
    with np.errstate(invalid="ignore"):  # one answer for all: rounding leaves a variance just below 0
        found: Any = cohens_kappa(matrix)
    bounds = np.nan_to_num([found.kappa_low, found.kappa_upp], nan=float(found.kappa))
    low, high = max(-1.0, float(bounds[0])), min(1.0, float(bounds[1]))
    return Figure(
        value=float(found.kappa), low=low, high=high, count=count, clusters=count, method="asymptotic (Fleiss 1969)"
    )
