"""Does the AI help a reader? The study of Radiology 2023;307(5):e221157 with a multi-reader multi-case analysis."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import combinations
from math import isfinite, isnan, nan, sqrt

import numpy as np
from scipy import stats

from streamer.errors import DataError
from streamer.metrics.classification import DelongTest, auc, delong_test, patient_maximum, youden_threshold
from streamer.metrics.estimate import Figure, Resampling, proportion, without_empty_interval
from streamer.metrics.holm import holm
from streamer.studies.areas import CovarianceMethod, Floats, clustered_covariance
from streamer.studies.mrmc import Analysis, Estimate, Inference, against_one
from streamer.studies.ratings import Predictions, ReaderRatings, for_cases
from streamer.studies.readers_agreement import GroupConcordance, PairKappa, concordances, kappas
from streamer.studies.scenarios import analyse_scenarios, first_reading, with_holm, with_rule_based

IMAGE, PATIENT = "image", "patient"
AI = "AI"
INFERENCES: tuple[Inference, ...] = ("both", "cases", "readers")

_ROUNDING = 1e-12  # below it a variance of an AUC is what rounding leaves of 0

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderArea:
    """A reader's AUC in a scenario.

    Attributes:
        reader, scenario: who and where; the AI has no scenario.
        delong: AUC with DeLong's interval, cases taken as independent.
        clustered: bounds of the interval that takes a patient's images as one cluster; None where it is the same.

    Bounds are NaN where the ratings have no variance: an AUC of exactly 0 or 1, or all ratings equal.
    """

    reader: str
    scenario: str
    delong: Figure
    clustered: tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AreaTest:
    """DeLong's test of a reader's AUC in two scenarios, or against the AI.

    Attributes:
        reader: whose AUC.
        first, second: scenarios; the second may be "AI".
        test: outcome; its difference is first minus second; without interval and P where the ratings have no variance.
        p_clustered: P that takes a patient's images as one cluster; NaN where it is the same.
        p_holm: P of `test` after Holm, over the readers of this comparison.
    """

    reader: str
    first: str
    second: str
    test: DelongTest
    p_clustered: float
    p_holm: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CategoryPoint:
    """Sensitivity and specificity where a category and all above it count as malignant."""

    reader: str
    scenario: str
    category: str
    sensitivity: Figure
    specificity: Figure


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelStudy:
    """All figures of one level.

    Attributes:
        level: "image" or "patient".
        data: ratings at this level, the rule-based scenario among them.
        ai: the AI's scores, shape (n,); None without predictions.
        ai_point: the AI's sensitivity and specificity at its operating point; None without predictions.
        areas: the AI first, then scenario by scenario.
        tests: each pair of scenarios, the one without AI first, then each scenario against the AI.
        points, concordances, kappas: see their types.
        analyses: multi-reader multi-case analyses, by what is random; empty with one reader. The readers' own scenarios
            are one model; the rule-based one is compared with each of them in a model of these two alone.
        against_ai: mean of the readers less the AI, a scenario each; empty without predictions or with gaps.
    """

    level: str
    data: ReaderRatings
    ai: Floats | None
    ai_point: CategoryPoint | None
    areas: tuple[ReaderArea, ...]
    tests: tuple[AreaTest, ...]
    points: tuple[CategoryPoint, ...]
    concordances: tuple[GroupConcordance, ...]
    kappas: tuple[PairKappa, ...]
    analyses: tuple[Analysis, ...]
    against_ai: tuple[Estimate, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderStudy:
    """Outcome of a reader study.

    Attributes:
        baseline: name of the scenario without AI.
        threshold: from which score the AI says malignant; None where the predictions file has its calls, or without.
        threshold_chosen: whether it was chosen on these very cases.
        levels: image level, and patient level where a patient has several images.
    """

    baseline: str
    threshold: float | None
    threshold_chosen: bool
    levels: tuple[LevelStudy, ...]


def study_readers(
    data: ReaderRatings,
    predictions: Predictions | None = None,
    *,
    baseline: str | None = None,
    threshold: float | None = None,
    method: CovarianceMethod | None = None,
    resampling: Resampling | None = None,
    progress: Progress = lambda _: None,
) -> ReaderStudy:
    """Analyse a reader study.

    Args:
        data: all ratings.
        predictions: of every rated case.
        baseline: scenario without AI; default: "without", else the first.
        threshold: from which score the AI says malignant; default: the file's calls, else the maximum of the Youden
            index on these cases.
        method: covariances of the multi-reader multi-case analysis.
        resampling: of the agreement's intervals.
        progress: told what is being worked out.

    Raises:
        DataError: a case has no prediction, or ratings and method do not fit.
    """
    if threshold is not None and predictions is None:
        raise DataError("a threshold is of the AI's scores: give its predictions too (--ai)")
    if threshold is not None and not isfinite(threshold):
        raise DataError(f"a threshold is a finite number, got {threshold}")
    resampling = resampling or Resampling()
    number = first_reading(data, baseline)
    scores, called, chosen = None, None, False
    if predictions is not None:
        scores = for_cases(predictions.scores, data.cases)
        if threshold is not None or not predictions.calls:
            chosen = threshold is None
            threshold = youden_threshold(data.ratings.truth, scores) if threshold is None else threshold
            called = (scores >= threshold).astype(np.float64)
        else:
            called = for_cases({case: float(call) for case, call in predictions.calls.items()}, data.cases)
        data = with_rule_based(data, called > 0, number)
    levels = [(IMAGE, data)] + ([(PATIENT, data.by_patient())] if data.has_patients else [])
    found = []
    for level, part in levels:
        progress(f"{level} level")
        ai = point = None
        if scores is not None and called is not None:
            ai = scores if level == IMAGE else _maximum(data, part, scores)
            point = _point(part, ai=called if level == IMAGE else _maximum(data, part, called))
        found.append(_level(level, part, ai, point, number, method, resampling))
    return ReaderStudy(
        baseline=data.ratings.treatments[number], threshold=threshold, threshold_chosen=chosen, levels=tuple(found)
    )


def _maximum(images: ReaderRatings, patients: ReaderRatings, scores: Floats) -> Floats:
    """The greatest score of each patient's images, in the order of `patients`."""
    grouped = patient_maximum(images.patients, images.ratings.truth, scores)
    by_name = dict(zip(grouped.patients.tolist(), grouped.scores.tolist(), strict=True))
    return np.array([by_name[name] for name in patients.patients], np.float64)


def _level(
    level: str,
    data: ReaderRatings,
    ai: Floats | None,
    point: CategoryPoint | None,
    baseline: int,
    method: CovarianceMethod | None,
    resampling: Resampling,
) -> LevelStudy:
    clusters = data.clusters if data.has_patients else None
    complete = data.ratings.design == "factorial"
    analyses: list[Analysis] = []
    if len(data.ratings.readers) > 1:
        together = clusters if complete and method is None else None
        analyses = [analyse_scenarios(data.ratings, kind, method, together) for kind in INFERENCES]
    versus = range(len(data.ratings.treatments)) if ai is not None and analyses and complete else range(0)
    return LevelStudy(
        level=level,
        data=data,
        ai=ai,
        ai_point=point,
        areas=_areas(data, ai),
        tests=_tests(data, ai, baseline),
        points=_points(data),
        concordances=concordances(data, resampling),
        kappas=kappas(data, resampling),
        analyses=tuple(analyses),
        against_ai=with_holm([against_one(data.ratings, scenario, ai) for scenario in versus if ai is not None]),
    )


def _areas(data: ReaderRatings, ai: Floats | None) -> tuple[ReaderArea, ...]:
    found = [] if ai is None else [_area(data, AI, "", ai)]
    for scenario, rows in zip(data.ratings.treatments, data.ratings.scores, strict=True):
        found += [_area(data, reader, scenario, row) for reader, row in zip(data.ratings.readers, rows, strict=True)]
    return tuple(found)


def _area(data: ReaderRatings, reader: str, scenario: str, scores: Floats) -> ReaderArea:
    read = ~np.isnan(scores)
    truth = data.ratings.truth[read]
    figure = without_empty_interval(auc(truth, scores[read]))
    bounds: tuple[float, float] | None = None
    if data.has_patients:
        matrix, bounds = _clustered(data, scores[None]), (nan, nan)
        if matrix is not None and matrix[0, 0] > _ROUNDING:
            half = float(stats.norm.ppf(0.975)) * sqrt(float(matrix[0, 0]))
            bounds = max(0.0, figure.value - half), min(1.0, figure.value + half)
    return ReaderArea(reader=reader, scenario=scenario, delong=figure, clustered=bounds)


def _clustered(data: ReaderRatings, scores: Floats) -> Floats | None:
    """Clustered covariance over the cases that all these curves have; None where a class has one patient."""
    read = ~np.isnan(scores).any(axis=0)
    clusters = np.unique(data.clusters[read], return_inverse=True)[1].astype(np.int64)
    try:
        return clustered_covariance(data.ratings.truth[read], scores[:, read], clusters)
    except DataError:
        return None


def _tests(data: ReaderRatings, ai: Floats | None, baseline: int) -> tuple[AreaTest, ...]:
    ratings = data.ratings
    others = [number for number in range(len(ratings.treatments)) if number != baseline]
    pairs = combinations([baseline, *others], 2)
    families = [
        [
            _test(data, reader, (first, ratings.scores[first, j]), (second, ratings.scores[second, j]))
            for j, reader in enumerate(ratings.readers)
        ]
        for first, second in pairs
    ]
    if ai is not None:
        families += [
            [
                _test(data, reader, (scenario, ratings.scores[scenario, j]), (None, ai))
                for j, reader in enumerate(ratings.readers)
            ]
            for scenario in range(len(ratings.treatments))
        ]
    found = []
    for family in families:
        adjusted = holm([entry.test.p_value for entry in family])
        found += [
            AreaTest(
                reader=entry.reader,
                first=entry.first,
                second=entry.second,
                test=entry.test,
                p_clustered=entry.p_clustered,
                p_holm=p,
            )
            for entry, p in zip(family, adjusted, strict=True)
        ]
    return tuple(found)


def _test(data: ReaderRatings, reader: str, first: tuple[int, Floats], second: tuple[int | None, Floats]) -> AreaTest:
    """DeLong's test on the cases that both curves have."""
    curves = np.stack([first[1], second[1]])
    read = ~np.isnan(curves).any(axis=0)
    names = data.ratings.treatments
    try:
        test = delong_test(data.ratings.truth[read], curves[0, read], curves[1, read])
        if isnan((difference := without_empty_interval(test.difference)).low):
            test = replace(test, difference=difference, z=nan, p_value=nan)
    except DataError as error:
        raise DataError(f"reader {reader!r}: too few cases were rated in both scenarios: {error}") from error
    p_clustered = nan
    if data.has_patients:
        matrix = _clustered(data, curves)
        variance = nan if matrix is None else float(matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1])
        if variance > _ROUNDING:
            p_clustered = float(2 * stats.norm.sf(abs(test.difference.value) / sqrt(variance)))
    return AreaTest(
        reader=reader,
        first=names[first[0]],
        second=AI if second[0] is None else names[second[0]],
        test=test,
        p_clustered=p_clustered,
        p_holm=nan,
    )


def _points(data: ReaderRatings) -> tuple[CategoryPoint, ...]:
    """From each category but the lowest on; none where the scale has no categories."""
    ratings, scale = data.ratings, data.scale
    found = []
    for scenario, rows in zip(ratings.treatments, ratings.scores, strict=True):
        for reader, row in zip(ratings.readers, rows, strict=True):
            read = ~np.isnan(row)
            truth, scores = ratings.truth[read], row[read]
            for step, label in enumerate(scale.labels[1:], start=1):
                called = scores >= scale.low + step
                found.append(
                    CategoryPoint(
                        reader=reader,
                        scenario=scenario,
                        category=label,
                        sensitivity=proportion(int((called & truth).sum()), int(truth.sum())),
                        specificity=proportion(int((~called & ~truth).sum()), int((~truth).sum())),
                    )
                )
    return tuple(found)


def _point(data: ReaderRatings, *, ai: Floats) -> CategoryPoint:
    called, truth = ai > 0, data.ratings.truth
    return CategoryPoint(
        reader=AI,
        scenario="",
        category="malignant",
        sensitivity=proportion(int((called & truth).sum()), int(truth.sum())),
        specificity=proportion(int((~called & ~truth).sum()), int((~truth).sum())),
    )
