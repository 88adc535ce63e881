"""The three scenarios of Radiology 2023;307(5):e221157, and the one of them that is computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from streamer.errors import DataError
from streamer.metrics.holm import holm
from streamer.studies.areas import Bools, CovarianceMethod, Floats, clustered_covariance
from streamer.studies.design import Ratings
from streamer.studies.mrmc import Analysis, Estimate, Inference, analyse
from streamer.studies.ratings import ReaderRatings

WITHOUT, FREESTYLE, RULE_BASED = "without", "freestyle", "rule-based"
"""Without AI; with the AI's call in view; the first reading moved one category by the AI's call."""


def first_reading(data: ReaderRatings, name: str | None) -> int:
    """Number of the scenario without AI: the one named, else "without", else the first of the file.

    Raises:
        DataError: there is no such scenario.
    """
    scenarios = data.ratings.treatments
    if name is None:
        return scenarios.index(WITHOUT) if WITHOUT in scenarios else 0
    if name not in scenarios:
        raise DataError(f"there is no scenario {name!r}; the file has {', '.join(scenarios)}")
    return scenarios.index(name)


def rule_based(first: Floats, calls: Bools, low: float, high: float) -> Floats:
    """Readings moved one category up where the AI says malignant, one down where it says benign, within the scale.

    Args:
        first: categories of the first reading, shape (..., n); NaN stays.
        calls: the AI's calls, shape (n,).
        low, high: ends of the scale.

    Example:
        >>> import numpy as np
        >>> rule_based(np.array([1.0, 5.0, 3.0]), np.array([False, True, True]), 1.0, 5.0).tolist()
        [1.0, 5.0, 4.0]
    """
    return np.asarray(np.clip(first + np.where(calls, 1.0, -1.0), low, high))


def with_rule_based(data: ReaderRatings, calls: Bools, baseline: int) -> ReaderRatings:
    """The study with the rule-based scenario, computed image by image from the first reading.

    Raises:
        DataError: the scale has no categories, or the file already has a scenario of that name.
    """
    ratings, scale = data.ratings, data.scale
    if RULE_BASED in ratings.treatments:
        raise DataError(
            f"the scenario {RULE_BASED!r} is computed from the first reading: leave its rows out of the file"
        )
    if not scale.labels:
        raise DataError(
            f"the scale {scale.name} has no categories to move by one: leave out --ai, or rate in categories"
        )
    moved = rule_based(ratings.scores[baseline], calls, scale.low, scale.high)
    scores = np.concatenate([ratings.scores, moved[None]])
    return replace(data, ratings=replace(ratings, treatments=(*ratings.treatments, RULE_BASED), scores=scores))


def analyse_scenarios(
    ratings: Ratings, inference: Inference, method: CovarianceMethod | None, clusters: npt.NDArray[np.int64] | None
) -> Analysis:
    """The readers' own scenarios in one model, and the rule-based one against each of them in a model of two.

    P of the pairs is adjusted after Holm over all of them; the overall test is that of the readers' own scenarios.

    The rule-based scenario is a function of the first reading. As one more level of the model it would change
    variances, degrees of freedom and P of the comparisons between the others.

    Args:
        ratings: of all scenarios.
        inference: what is random.
        method: of the covariances; None for what suits the design.
        clusters: patient of each case, shape (n,), for clustered covariances; None for cases taken as independent.

    Raises:
        DataError: ratings and method do not fit.
    """

    def model(scenarios: Sequence[int]) -> Analysis:
        part = ratings.of(scenarios)
        matrix = None if clusters is None else clustered_covariance(part.truth, part.curves, clusters)
        return analyse(part, inference=inference, method=method, matrix=matrix)

    numbers = range(len(ratings.treatments))
    own = [number for number in numbers if ratings.treatments[number] != RULE_BASED]
    computed = [number for number in numbers if number not in own]
    found = model(own)
    pairs = [model([scenario, rule]) for rule in computed for scenario in own]
    return replace(
        found,
        means=found.means + tuple(pair.means[1] for pair in pairs[:1]),
        differences=with_holm([*found.differences, *(gap for pair in pairs for gap in pair.differences)]),
    )


def with_holm(estimates: Sequence[Estimate]) -> tuple[Estimate, ...]:
    """The comparisons with P adjusted after Holm over all of them."""
    adjusted = holm([estimate.p_value for estimate in estimates])
    return tuple(replace(estimate, p_holm=p) for estimate, p in zip(estimates, adjusted, strict=True))
