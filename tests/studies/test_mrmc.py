"""The multi-reader multi-case analysis against published output, and against other ways to the same number."""

from __future__ import annotations

import csv

import numpy as np
import pytest

from streamer.errors import DataError
from streamer.metrics.classification import delong_test
from streamer.studies.areas import (
    clustered_covariance,
    delong_covariance,
    jackknife_covariance,
    placements,
    unbiased_covariance,
)
from streamer.studies.design import Ratings
from streamer.studies.mrmc import against_one, analyse
from streamer.studies.ratings import read_ratings
from tests.studies.van_dyke import van_dyke, van_dyke_path


def test_published_output_random_readers_and_cases() -> None:
    """MRMCaov 0.3.1: empirical AUC, DeLong."""
    outcome = analyse(van_dyke(), method="delong")
    parts = outcome.components
    assert parts is not None
    assert [mean.value for mean in outcome.means] == pytest.approx([0.8970370, 0.9408374], abs=5e-8)
    assert outcome.ms_treatment == pytest.approx(0.004796171, abs=5e-10)
    assert outcome.ms_interaction == pytest.approx(0.0005510306, abs=5e-11)
    assert parts.cov1 == pytest.approx(0.0003420090, abs=5e-11)
    assert parts.cov2 == pytest.approx(0.0003395265, abs=5e-11)
    assert parts.cov3 == pytest.approx(0.0002358497, abs=5e-11)
    assert parts.error == pytest.approx(0.0007921325, abs=5e-11)
    assert outcome.test is not None
    assert (outcome.test.name, outcome.test.df1) == ("F", 1.0)
    assert outcome.test.statistic == pytest.approx(4.484854, abs=5e-7)
    assert outcome.test.df2 == pytest.approx(15.06611, abs=5e-6)
    assert outcome.test.p_value == pytest.approx(0.05123303, abs=5e-9)
    difference = outcome.differences[0]
    assert difference.value == pytest.approx(-0.04380032, abs=5e-9)
    assert difference.standard_error == pytest.approx(0.0206825, abs=5e-8)
    assert (difference.low, difference.high) == pytest.approx((-0.0878671960, 0.0002665519), abs=5e-11)


def test_published_output_fixed_readers() -> None:
    outcome = analyse(van_dyke(), inference="cases", method="jackknife")
    assert outcome.test is not None
    assert outcome.test.name == "chi-squared"
    assert outcome.test.statistic == pytest.approx(5.475953, abs=5e-7)
    assert outcome.test.p_value == pytest.approx(0.01927984, abs=5e-9)


def test_fixed_cases_are_an_ordinary_paired_test() -> None:
    ratings = van_dyke()
    outcome = analyse(ratings, inference="readers")
    differences = outcome.areas[0] - outcome.areas[1]
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(5))
    assert outcome.differences[0].statistic == pytest.approx(t)
    assert outcome.differences[0].df == 4
    assert outcome.components is None


@pytest.mark.parametrize("column", ["case2", "case3"])
def test_nested_cases_have_no_covariance_through_common_cases(column: str) -> None:
    ratings = van_dyke(column)
    outcome = analyse(ratings, method="unbiased")
    parts, factorial = outcome.components, analyse(van_dyke(), method="unbiased").components
    assert parts is not None
    assert factorial is not None
    assert parts.error == pytest.approx(factorial.error)
    if column == "case2":
        assert ratings.design == "cases nested in readers"
        assert (parts.cov2, parts.cov3) == (0, 0)
        assert parts.cov1 == pytest.approx(factorial.cov1)
    else:
        assert ratings.design == "cases nested in treatments"
        assert (parts.cov1, parts.cov3) == (0, 0)
        assert parts.cov2 == pytest.approx(factorial.cov2)
    with pytest.raises(DataError, match="take the jackknife"):
        analyse(ratings, method="delong")
    assert analyse(ratings).method == "jackknife"


def random_scores(curves: int = 3, cases: int = 40) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(7)
    truth = np.arange(cases) % 5 < 2
    return truth, np.round(rng.normal(size=(curves, cases)) + truth, 1)


def test_jackknife_in_closed_form_is_leaving_out_one_by_one() -> None:
    truth, scores = random_scores()
    scores[0, 3] = scores[2, 10] = np.nan

    def areas(kept: np.ndarray) -> np.ndarray:
        return placements(truth[kept], scores[:, kept]).areas

    every = np.arange(len(truth))
    without = np.array([areas(every != case) for case in every])
    centred = without - without.mean(axis=0)
    expected = (len(truth) - 1) / len(truth) * centred.T @ centred
    assert jackknife_covariance(truth, scores) == pytest.approx(expected)


def test_delong_agrees_with_the_test_of_two_curves() -> None:
    truth, scores = random_scores()
    matrix = delong_covariance(truth, scores)
    test = delong_test(truth, scores[0], scores[1])
    variance = matrix[0, 0] + matrix[1, 1] - 2 * matrix[0, 1]
    assert test.z == pytest.approx(test.difference.value / np.sqrt(variance))


def test_unbiased_covariance_is_unbiased() -> None:
    """Over all samples of two malignant and two benign cases of a small population, its mean is the variance."""
    malignant, benign = np.array([1.0, 2.0, 4.0]), np.array([0.0, 2.0, 3.0])
    areas, estimates = [], []
    pairs = [(i, j) for i in range(3) for j in range(3)]
    truth = np.array([True, True, False, False])
    for first in pairs:
        for second in pairs:
            scores = np.array([*malignant[list(first)], *benign[list(second)]])[None]
            areas.append(placements(truth, scores).areas[0])
            estimates.append(unbiased_covariance(truth, scores)[0, 0])
    assert np.mean(estimates) == pytest.approx(np.var(areas))


def test_clustered_covariance_of_single_images_is_nearly_delongs() -> None:
    truth, scores = random_scores(cases=400)
    alone = clustered_covariance(truth, scores, np.arange(400))
    assert alone == pytest.approx(delong_covariance(truth, scores), rel=0.02)


def test_doubling_every_image_widens_nothing() -> None:
    """Two copies of each image carry no more than one; DeLong's would halve the variance."""
    truth, scores = random_scores(cases=200)
    once = clustered_covariance(truth, scores, np.arange(200))
    twice = clustered_covariance(np.tile(truth, 2), np.tile(scores, 2), np.tile(np.arange(200), 2))
    assert twice == pytest.approx(once)
    assert delong_covariance(np.tile(truth, 2), np.tile(scores, 2))[0, 0] < 0.6 * once[0, 0]


def test_partially_paired_with_all_ratings_is_the_factorial() -> None:
    ratings = van_dyke()
    holes = ratings.scores.copy()
    holes[0, 0, 5] = np.nan
    partial = Ratings(treatments=ratings.treatments, readers=ratings.readers, truth=ratings.truth, scores=holes)
    assert partial.design == "partially paired"
    whole, part = analyse(ratings, method="jackknife"), analyse(partial)
    assert part.method == "jackknife"
    assert part.differences[0].value == pytest.approx(whole.differences[0].value, abs=0.003)
    assert part.differences[0].standard_error == pytest.approx(whole.differences[0].standard_error, rel=0.05)


def test_three_treatments_are_compared_in_pairs() -> None:
    ratings = van_dyke()
    scores = np.concatenate([ratings.scores, ratings.scores[:1] + 0.5 * ratings.truth])
    three = Ratings(treatments=("1", "2", "3"), readers=ratings.readers, truth=ratings.truth, scores=scores)
    outcome = analyse(three)
    assert [difference.name for difference in outcome.differences] == ["1 - 2", "1 - 3", "2 - 3"]
    assert outcome.test is not None
    assert outcome.test.df1 == 2


def test_readers_against_one_curve() -> None:
    ratings = van_dyke()
    same = against_one(ratings, 0, ratings.scores[0].mean(axis=0))
    areas = analyse(ratings).areas[0]
    area = placements(ratings.truth, ratings.scores[0].mean(axis=0)[None]).areas[0]
    assert same.value == pytest.approx(areas.mean() - area)
    assert same.low < same.value < same.high
    assert 0 < same.p_value < 1


def test_one_reader_is_no_sample_of_readers() -> None:
    ratings = van_dyke()
    alone = Ratings(treatments=("1", "2"), readers=("1",), truth=ratings.truth, scores=ratings.scores[:, :1])
    with pytest.raises(DataError, match="fixed readers"):
        analyse(alone)
    outcome = analyse(alone, inference="cases")
    test = delong_test(ratings.truth, ratings.scores[0, 0], ratings.scores[1, 0])
    assert outcome.differences[0].p_value == pytest.approx(test.p_value)


def test_the_file_of_the_example_reads_as_it_is() -> None:
    data = read_ratings(van_dyke_path())
    with van_dyke_path().open() as stream:
        assert data.ratings.scores.size == len(list(csv.DictReader(stream)))
    assert analyse(data.ratings).differences[0].value == pytest.approx(-0.04380032, abs=5e-9)
