"""Each figure against scikit-learn, statsmodels or a worked example."""

from __future__ import annotations

from math import comb, isnan
from typing import Any

import numpy as np
import pytest
from scipy import stats
from sklearn import metrics

from streamer.errors import DataError
from streamer.metrics.classification import auc_by_group
from streamer.metrics.estimate import Figure, Resampling
from streamer.metrics.multiclass import (
    Answers,
    answers,
    class_figures,
    compare_paired,
    confusion,
    overall_figures,
)


@pytest.fixture(scope="module")
def given() -> Answers:
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 120)
    raw = rng.random((120, 4)) + 0.5 * np.eye(4)[truth]
    return answers(truth.tolist(), raw / raw.sum(axis=1, keepdims=True), [str(number) for number in range(120)])


def test_confusion_has_the_truth_in_its_rows() -> None:
    one = answers([0, 0, 1], np.eye(3)[[0, 2, 1]], ["a", "b", "c"])
    assert confusion(one).tolist() == [[1, 0, 1], [0, 1, 0], [0, 0, 0]]


def test_a_classs_figures_are_those_of_the_library(given: Answers) -> None:
    for number in range(4):
        truth, said = given.truth == number, given.said == number
        figures = class_figures(given, number)
        assert given.probabilities is not None
        assert figures.accuracy.value == pytest.approx(metrics.accuracy_score(truth, said))
        assert figures.sensitivity.value == pytest.approx(metrics.recall_score(truth, said))
        assert figures.specificity.value == pytest.approx(metrics.recall_score(~truth, ~said))
        assert figures.ppv.value == pytest.approx(metrics.precision_score(truth, said))
        assert figures.npv.value == pytest.approx(metrics.precision_score(~truth, ~said))
        assert figures.f1.value == pytest.approx(metrics.f1_score(truth, said))
        assert figures.auc.value == pytest.approx(metrics.roc_auc_score(truth, given.probabilities[:, number]))
        assert figures.kappa.value == pytest.approx(metrics.cohen_kappa_score(truth, said))


def test_overall_figures_are_those_of_the_library(given: Answers) -> None:
    overall = overall_figures(given)
    assert overall.accuracy.value == pytest.approx(metrics.accuracy_score(given.truth, given.said))
    assert overall.sensitivity.value == pytest.approx(metrics.recall_score(given.truth, given.said, average="macro"))
    assert overall.ppv.value == pytest.approx(metrics.precision_score(given.truth, given.said, average="macro"))
    assert overall.f1.value == pytest.approx(metrics.f1_score(given.truth, given.said, average="macro"))
    assert overall.kappa.value == pytest.approx(metrics.cohen_kappa_score(given.truth, given.said))
    area = metrics.roc_auc_score(given.truth, given.probabilities, multi_class="ovr", average="macro")
    assert overall.auc.value == pytest.approx(area)


def test_every_figure_lies_in_its_interval(given: Answers) -> None:
    figures: list[Any] = [overall_figures(given), *(class_figures(given, number) for number in range(4))]
    for part in figures:
        for name in part.__dataclass_fields__:
            figure: Figure = getattr(part, name)
            assert figure.low <= figure.value <= figure.high, name
            assert figure.low < figure.high, name


def test_kappa_of_a_worked_example() -> None:
    """Cohen's kappa 0.4 of 20, 5, 10, 15 with standard error 0.127 (Fleiss's example form)."""
    truth = [0] * 25 + [1] * 25
    said = [0] * 20 + [1] * 5 + [0] * 10 + [1] * 15
    figure = overall_figures(answers(truth, np.eye(2)[said], [str(number) for number in range(50)])).kappa
    assert figure.value == pytest.approx(0.4)
    assert (figure.method, figure.count, figure.clusters) == ("asymptotic (Fleiss 1969)", 50, 50)
    assert figure.high - figure.low == pytest.approx(2 * 1.96 * 0.1265, rel=0.02)


def test_intervals_are_wider_where_patients_have_several_images(given: Answers) -> None:
    pairs = np.array([str(number // 4) for number in range(120)])
    order = np.argsort(given.right, kind="stable")  # a patient's images are alike
    grouped = Answers(
        truth=given.truth[order],
        said=given.said[order],
        patients=pairs,
        probabilities=None if given.probabilities is None else given.probabilities[order],
        classes=4,
    )
    one, other = overall_figures(given), overall_figures(grouped)
    for name in ("accuracy", "kappa"):
        narrow, wide = getattr(one, name), getattr(other, name)
        assert wide.value == pytest.approx(narrow.value)
        assert wide.high - wide.low > 1.3 * (narrow.high - narrow.low)


def test_a_class_that_is_never_named_has_no_ppv_and_no_macro_ppv() -> None:
    one = answers([0, 0, 1, 1, 2, 2], np.eye(3)[[0, 0, 1, 1, 0, 1]], list("abcdef"))
    assert isnan(class_figures(one, 2).ppv.value)
    assert isnan(overall_figures(one).ppv.value)


def test_paired_tests_of_a_worked_example() -> None:
    """Discordant pairs 15 and 5: McNemar's exact P is twice the binomial tail; chi-squared is scipy's of 85 and 75."""
    truth = [0] * 100
    first = [0] * 85 + [1] * 15  # 70 both right, 15 the first alone, 5 the second alone, 10 neither
    second = [0] * 70 + [1] * 15 + [0] * 5 + [1] * 10
    names = [str(number) for number in range(100)]
    found = compare_paired(answers(truth, np.eye(2)[first], names), answers(truth, np.eye(2)[second], names))
    assert (found.first_only, found.second_only) == (15, 5)
    assert found.mcnemar_p == pytest.approx(2 * sum(comb(20, k) for k in range(6)) / 2**20)
    squared = stats.chi2_contingency([[85, 15], [75, 25]], correction=False)
    assert found.chi_squared == pytest.approx(squared.statistic)
    assert found.chi_squared_p == pytest.approx(squared.pvalue)


def test_two_that_are_always_right_do_not_differ() -> None:
    one = answers([0, 1], np.eye(2)[[0, 1]], ["a", "b"])
    found = compare_paired(one, one)
    assert (found.mcnemar_p, found.chi_squared_p) == (1.0, 1.0)


def test_answers_on_other_images_are_not_compared(given: Answers) -> None:
    with pytest.raises(DataError, match="on the same images"):
        compare_paired(given, answers([0, 1], np.eye(4)[[0, 1]], ["a", "b"]))


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(DataError, match="row of probabilities"):
        answers([0, 1], [[0.5, 0.5]], ["a", "b"])
    with pytest.raises(DataError, match=r"^probabilities must be finite"):
        answers([0], [[float("nan"), 0.5]], ["a"])


def test_one_answer_for_all_images_agrees_by_chance_alone() -> None:
    figure = overall_figures(answers([0, 1, 2, 3], np.eye(4)[[0, 0, 0, 0]], list("abcd"))).kappa
    assert (figure.value, figure.low, figure.high) == pytest.approx((0, 0, 0))


def _doubled(given: Answers) -> Answers:
    """Each image twice, both of one patient."""
    return Answers(
        truth=np.repeat(given.truth, 2),
        said=np.repeat(given.said, 2),
        patients=np.repeat(given.patients, 2),
        probabilities=None if given.probabilities is None else np.repeat(given.probabilities, 2, axis=0),
        classes=given.classes,
    )


def test_an_image_twice_tells_no_more_than_once(given: Answers) -> None:
    """Whole patients are drawn, each image as often as its patient: the same draws, the same intervals."""
    one, two = overall_figures(given), overall_figures(_doubled(given))
    for name in ("sensitivity", "specificity", "ppv", "npv", "f1", "auc"):
        single, double = getattr(one, name), getattr(two, name)
        assert (double.value, double.low, double.high) == pytest.approx((single.value, single.low, single.high)), name
        assert (single.count, double.count, double.clusters) == (120, 240, 120)
    for name in ("accuracy", "kappa"):  # another method where images are each a patient's only one
        single, double = getattr(one, name), getattr(two, name)
        assert (double.value, double.low, double.high) == pytest.approx(
            (single.value, single.low, single.high), abs=0.03
        )


def test_a_classs_figures_where_patients_have_several_images(given: Answers) -> None:
    one, two = class_figures(given, 2), class_figures(_doubled(given), 2)
    for name in one.__dataclass_fields__:
        single, double = getattr(one, name), getattr(two, name)
        assert double.value == pytest.approx(single.value), name
        assert (double.low, double.high) == pytest.approx((single.low, single.high), abs=0.08), name
        assert "bootstrap by patient" in double.method, name


def test_means_over_classes(given: Answers) -> None:
    overall, parts = overall_figures(given), [class_figures(given, number) for number in range(4)]
    for name in ("sensitivity", "specificity", "ppv", "npv", "f1", "auc"):
        assert getattr(overall, name).value == pytest.approx(np.mean([getattr(part, name).value for part in parts]))


def test_a_physicians_area_is_the_mean_of_sensitivity_and_specificity(given: Answers) -> None:
    physician = Answers(
        truth=given.truth, said=given.said, patients=given.patients, probabilities=None, classes=given.classes
    )
    for number in range(4):
        figures = class_figures(physician, number)
        assert figures.auc.value == pytest.approx((figures.sensitivity.value + figures.specificity.value) / 2)
        assert figures.auc.method == "DeLong"


def test_of_two_classes_the_mean_area_is_the_area_drawn_alike() -> None:
    """Ties and several images of a patient included."""
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 2, 60)
    ill = np.round(0.3 * truth + 0.7 * rng.random(60), 1)
    given = answers(truth.tolist(), np.stack([1 - ill, ill], 1), [str(number // 3) for number in range(60)])
    area = overall_figures(given).auc
    expected = auc_by_group(truth, ill, given.patients, Resampling(resamples=1000, unit="patient"))
    assert (area.value, area.low, area.high) == pytest.approx((expected.value, expected.low, expected.high))
    assert area.method == expected.method


def test_what_is_not_defined_is_nan_and_says_why() -> None:
    alone = class_figures(answers([0, 0, 1], np.eye(2)[[0, 0, 1]], list("abc")), 1).auc
    assert (isnan(alone.value), isnan(alone.low), alone.count) == (True, True, 3)
    assert (alone.method, alone.clusters, isnan(alone.high)) == ("too few cases of a class", 0, True)
    assert isnan(class_figures(answers([1, 1, 0], np.eye(2)[[0, 0, 1]], list("abc")), 1).auc.value)
    perfect = overall_figures(answers([0, 1, 1, 0], np.eye(2)[[0, 1, 1, 0]], list("abcd"))).kappa
    assert (perfect.value, perfect.low, perfect.high, perfect.count) == (1.0, 1.0, 1.0, 4)
    assert (perfect.method, perfect.clusters) == ("asymptotic", 4)
    for patients in ("abc", "aab"):
        assert isnan(overall_figures(answers([1, 1, 1], np.eye(2)[[1, 1, 1]], list(patients))).kappa.value)
    with pytest.raises(DataError, match=r"row of probabilities.* \(got \(2, 2\)\)"):
        answers([0, 1], np.eye(2), ["a"])
