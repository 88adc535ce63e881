"""ROC figures, checked against what pROC (R) prints for its example data, and against scikit-learn."""

from math import isnan
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from streamer.errors import DataError
from streamer.metrics.classification import (
    auc,
    auc_by_group,
    classification_point,
    delong_test,
    has_both,
    patient_maximum,
    roc,
    youden_threshold,
)
from streamer.metrics.estimate import Resampling

Column = npt.NDArray[np.float64]


@pytest.fixture(scope="module")
def asah() -> dict[str, Column]:
    table = np.loadtxt(Path(__file__).with_name("asah.csv"), delimiter=",", skiprows=3)
    return dict(zip(("labels", "wfns", "s100b", "ndka"), table.T, strict=True))


@pytest.mark.parametrize(
    ("marker", "value", "low", "high", "tolerance"),
    [
        # tests/testthat/test-ci.auc.R of pROC.
        ("ndka", 0.611957994579946, 0.501244999271703, 0.722670989888189, 1e-12),
        # Printed by pROC as "95% CI: 0.6301-0.8326 (DeLong)"; area from its helper-deLongPlacementsCpp-expected.R.
        ("s100b", 0.731368563685637, 0.6301, 0.8326, 5e-5),
    ],
)
def test_delong_interval_as_published(
    asah: dict[str, Column], marker: str, value: float, low: float, high: float, tolerance: float
) -> None:
    figure = auc(asah["labels"], asah[marker])
    assert figure.value == pytest.approx(value, abs=1e-12)
    assert (figure.low, figure.high) == pytest.approx((low, high), abs=tolerance)
    assert (figure.count, figure.method) == (113, "DeLong")


@pytest.mark.parametrize(
    ("first", "second", "z", "p_value", "low", "high"),
    [
        # tests/testthat/test-roc.test.R of pROC, paired curves.
        ("wfns", "s100b", 2.20898359144091, 0.0271757822291882, 0.0104061769564846, 0.174214419249478),
        ("wfns", "ndka", 2.79777591868904, 0.00514557970691098, 0.0634011709339876, 0.3600405634833566),
        ("ndka", "s100b", -1.39077002573558, 0.164295175223054, -0.2876917446341914, 0.0488706064228094),
    ],
)
def test_delong_test_as_published(
    asah: dict[str, Column], first: str, second: str, z: float, p_value: float, low: float, high: float
) -> None:
    test = delong_test(asah["labels"], asah[first], asah[second])
    assert (test.z, test.p_value) == pytest.approx((z, p_value), rel=1e-9)
    assert (test.difference.low, test.difference.high) == pytest.approx((low, high), rel=1e-9)
    assert test.first == auc(asah["labels"], asah[first])
    assert test.second == auc(asah["labels"], asah[second])
    assert (test.difference.count, test.difference.clusters) == (113, 113)


def test_delong_test_of_equal_and_of_perfect_scores(asah: dict[str, Column]) -> None:
    same = delong_test(asah["labels"], asah["ndka"], np.log(asah["ndka"]))
    assert (same.z, same.p_value) == (0.0, 1.0)
    opposite = delong_test([0, 0, 1, 1], [1, 2, 3, 4], [4, 3, 2, 1])
    assert opposite.difference.value == 1.0
    assert isnan(opposite.z)
    assert isnan(opposite.p_value)


def test_delong_intervals_end_where_areas_and_their_differences_do() -> None:
    labels, good, bad = [0, 0, 0, 1, 1, 1], [1, 2, 4, 3, 5, 6], [6, 5, 3, 4, 2, 1]
    test = delong_test(labels, good, bad)
    assert (test.first.high, test.second.low, test.difference.high) == (1.0, 0.0, 1.0)
    turned = delong_test(labels, bad, good)
    assert (turned.first.low, turned.second.high, turned.difference.low) == (0.0, 1.0, -1.0)


def test_the_bootstrap_draws_whole_groups_as_often_as_it_says() -> None:
    """Two groups: a resample is one of them twice, or both; its benign images count as often as its malignant ones."""
    labels, scores, groups = [0, 1, 0, 1], [0.5, 0.9, 0.6, 0.55], ["a", "a", "b", "b"]
    figure = auc_by_group(labels, scores, groups, Resampling(resamples=200, level=0.9, unit="clip"))
    assert figure.value == 0.75
    assert (figure.low, figure.high) == (0.0, 1.0)  # b twice: 0 of 1 pairs; a twice: 1 of 1
    assert "bootstrap by clip, 200 resamples" in figure.method


def test_bootstrap_by_group_agrees_with_delong_where_cases_are_independent(asah: dict[str, Column]) -> None:
    figure = auc_by_group(asah["labels"], asah["ndka"], np.arange(113), Resampling(resamples=300))
    exact = auc(asah["labels"], asah["ndka"])
    assert figure.value == pytest.approx(exact.value)
    assert (figure.low, figure.high) == pytest.approx((exact.low, exact.high), abs=0.03)


def test_bootstrap_leaves_out_resamples_with_one_class() -> None:
    figure = auc_by_group([0, 1, 0], [0.1, 0.9, 0.2], ["a", "b", "c"], Resampling(resamples=100))
    assert (figure.low, figure.high) == (1.0, 1.0)
    assert "undefined left out" in figure.method


cases = st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=4, max_size=30).filter(
    lambda rows: 2 <= sum(label for label, _ in rows) <= len(rows) - 2
)


@given(cases)
@settings(max_examples=60, deadline=None)
def test_auc_agrees_with_scikit_learn_and_ignores_scale(rows: list[tuple[bool, int]]) -> None:
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))
    figure = auc(labels, scores)
    assert figure.value == pytest.approx(roc_auc_score(labels, scores))
    assert auc_by_group(labels, scores, labels, Resampling(resamples=1)).value == pytest.approx(figure.value)
    assert 0 <= figure.low <= figure.value <= figure.high <= 1
    stretched = auc(labels, 3.0 * scores - 7)
    assert (stretched.low, stretched.high) == pytest.approx((figure.low, figure.high))
    turned = auc(labels, -scores)
    assert (turned.low, turned.high) == pytest.approx((1 - figure.high, 1 - figure.low))


@given(cases)
@settings(max_examples=60, deadline=None)
def test_no_threshold_beats_youden(rows: list[tuple[bool, int]]) -> None:
    labels, scores = (np.array(column) for column in zip(*rows, strict=True))

    def index(threshold: float) -> float:
        point = classification_point(labels, scores, threshold)
        return point.sensitivity.value + point.specificity.value - 1

    best = youden_threshold(labels, scores)
    assert best in scores
    assert index(best) == pytest.approx(max(index(score) for score in scores))


def test_roc_runs_from_corner_to_corner() -> None:
    curve = roc([0, 1, 0, 1], [0.1, 0.4, 0.4, 0.9])
    assert curve.threshold.tolist() == [np.inf, 0.9, 0.4, 0.1]
    assert curve.sensitivity.tolist() == [0.0, 0.5, 1.0, 1.0]
    assert curve.false_positive_rate.tolist() == [0.0, 0.0, 0.5, 1.0]
    on_a_line = roc([0, 0, 0, 1], ["0.1", "0.2", "0.3", "0.4"])  # no point is left out
    assert on_a_line.threshold.tolist() == [np.inf, 0.4, 0.3, 0.2, 0.1]


def test_operating_point_by_hand() -> None:
    point = classification_point([1, 1, 1, 0, 0, 0, 0], [0.9, 0.65, 0.2, 0.7, 0.3, 0.2, 0.1], 0.65)
    assert point.threshold == 0.65
    assert point.sensitivity.value == pytest.approx(2 / 3)
    assert point.specificity.value == pytest.approx(3 / 4)
    assert (point.ppv.value, point.ppv.count) == pytest.approx((2 / 3, 3))
    assert (point.npv.value, point.npv.count) == pytest.approx((3 / 4, 4))
    assert isnan(classification_point([1, 0], [0.1, 0.2], 0.5).ppv.value)


@pytest.mark.parametrize(
    ("labels", "enough"), [([0, 0, 1, 1], True), ([0, 1, 1, 1], False), ([0, 0, 0, 1], False), ([1, 1], False)]
)
def test_an_interval_of_an_auc_needs_two_cases_of_each_class(labels: list[int], enough: bool) -> None:
    assert has_both(np.array(labels, np.bool_)) is enough


def test_patient_is_the_maximum_of_the_images() -> None:
    result = patient_maximum(["b", "a", "b", "a"], [0, 0, 1, 0], [0.2, 0.3, 0.1, 0.4])
    assert result.patients.tolist() == ["a", "b"]
    assert result.labels.tolist() == [False, True]
    assert result.scores.tolist() == [0.4, 0.2]


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match=r"^labels must be 0 \(benign\) or 1"):
        roc([0, 2], [0.1, 0.2])
    with pytest.raises(DataError, match="case 1 is not"):
        roc([0, 1], [0.1, np.nan])
    with pytest.raises(DataError, match="shapes"):
        roc([0, 1], [0.1])
    with pytest.raises(DataError, match="at least 1 malignant"):
        youden_threshold([0, 0], [0.1, 0.2])
    with pytest.raises(DataError, match="at least 2 malignant"):
        auc([0, 1, 0], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match="at least 2 malignant"):
        delong_test([0, 1, 0], [0.1, 0.2, 0.3], [0.1, 0.2, 0.3])
    with pytest.raises(DataError, match=r"group a case is needed \(got shape \(1,\) for 2 cases"):
        auc_by_group([0, 1], [0.1, 0.2], ["a"])
    with pytest.raises(DataError, match="patient an image"):
        patient_maximum(["a"], [0, 1], [0.1, 0.2])
