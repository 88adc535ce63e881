"""Kendall's W, weighted kappa."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import cohen_kappa_score

from streamer.metrics.estimate import Resampling
from streamer.studies.agreement import kendalls_w, reading_of, weighted_kappa

FEW = Resampling(resamples=50)


def test_w_without_ties_is_the_textbooks() -> None:
    ranks = np.array([[1, 6, 3, 2, 5, 4], [1, 5, 6, 2, 4, 3], [6, 3, 2, 5, 4, 1]], float)
    outcome = kendalls_w(ranks, resampling=FEW)
    assert outcome.w.value == pytest.approx(12 * 33.5 / (9 * 210))  # sums 8, 14, 11, 9, 13, 8
    assert outcome.chi_squared == pytest.approx(3 * 5 * outcome.w.value)
    assert outcome.p_value == pytest.approx(stats.chi2.sf(outcome.chi_squared, 5))


def test_w_with_ties_follows_from_friedmans_test() -> None:
    rng = np.random.default_rng(0)
    scores = np.round(rng.normal(size=(4, 30)) + np.linspace(0, 2, 30)).astype(float)
    outcome = kendalls_w(scores, resampling=FEW)
    friedman = stats.friedmanchisquare(*scores.T)  # cases are its treatments, readers its blocks
    assert outcome.w.value == pytest.approx(friedman.statistic / (4 * 29))
    assert outcome.w.low < outcome.w.value < outcome.w.high


def test_w_is_1_for_readers_of_one_mind_and_undefined_for_readers_without_one() -> None:
    assert kendalls_w(np.tile([1.0, 2.0, 2.0, 5.0], (3, 1)), resampling=FEW).w.value == pytest.approx(1)
    assert isnan(kendalls_w(np.ones((3, 4)), resampling=FEW).w.value)


@pytest.mark.parametrize(
    ("value", "word"),
    [
        (0.2, "poor"),
        (0.21, "fair"),
        (0.6, "moderate"),
        (0.61, "substantial"),
        (0.81, "excellent"),
        (nan, "not defined"),
    ],
)
def test_reading(value: float, word: str) -> None:
    assert reading_of(value) == word


@pytest.mark.parametrize("weights", ["linear", "quadratic"])
def test_kappa_is_scikit_learns(weights: str) -> None:
    rng = np.random.default_rng(1)
    first = rng.integers(0, 5, 60).astype(float)
    second = np.clip(first + rng.integers(-1, 2, 60), 0, 4)
    figure = weighted_kappa(first, second, 5, weights, np.arange(60), FEW)  # type: ignore[arg-type]
    assert figure.value == pytest.approx(cohen_kappa_score(first, second, weights=weights))
    assert figure.low < figure.value < figure.high
