"""Figures, cluster bootstrap and Wilson's interval."""

from collections.abc import Callable
from math import isnan, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.errors import DataError
from streamer.metrics.estimate import (
    Figure,
    Multiplicity,
    Resampling,
    bootstrap,
    mean_figure,
    proportion,
    without_empty_interval,
)


def test_one_group_has_no_interval() -> None:
    single = mean_figure([0.5, 0.7], ["a", "a"])
    assert single.value == 0.6
    assert isnan(single.low)
    assert single.method == "no interval: one patient"


def test_bootstrap_is_seeded_and_says_how_it_was_made() -> None:
    values, groups = np.arange(20.0), np.arange(20) % 5
    first = mean_figure(values, groups, Resampling(resamples=200, seed=3, unit="group"))
    assert first == mean_figure(values, groups, Resampling(resamples=200, seed=3, unit="group"))
    assert first != mean_figure(values, groups, Resampling(resamples=200, seed=4, unit="group"))
    assert first.method == "bootstrap by group, 200 resamples, percentile"
    assert (first.value, first.count, first.clusters) == (9.5, 20, 5)


def test_interval_of_a_mean_agrees_with_theory() -> None:
    values = np.random.default_rng(0).normal(size=400)
    figure = mean_figure(values, np.arange(400), Resampling(resamples=2000))
    half = 1.96 * values.std() / np.sqrt(400)
    assert figure.low == pytest.approx(values.mean() - half, abs=0.01)
    assert figure.high == pytest.approx(values.mean() + half, abs=0.01)


def test_alike_observations_of_a_group_do_not_narrow_the_interval() -> None:
    values = np.random.default_rng(1).normal(size=30)
    alone = mean_figure(values, np.arange(30))
    copied = mean_figure(np.repeat(values, 10), np.repeat(np.arange(30), 10))
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))
    naive = mean_figure(np.repeat(values, 10), np.arange(300))
    assert copied.high - copied.low > 2 * (naive.high - naive.low)


def test_undefined_resamples_are_left_out_and_counted() -> None:
    wanted = np.array([True, False, False, False])

    def statistic(multiplicity: np.ndarray) -> float:
        return 1.0 if multiplicity[wanted].any() else nan

    figure = bootstrap(statistic, np.arange(4), Resampling(resamples=100))
    assert (figure.low, figure.high) == (1.0, 1.0)
    assert "undefined left out" in figure.method
    never = bootstrap(lambda multiplicity: nan, np.arange(4), Resampling(resamples=10))
    assert isnan(never.value)
    assert isnan(never.low)


def test_mean_leaves_out_what_is_not_defined() -> None:
    figure = mean_figure([1.0, nan, 3.0], ["a", "b", "c"])
    assert (figure.value, figure.count, figure.clusters) == (2.0, 2, 2)
    assert mean_figure([nan], ["a"]).count == 0


def test_wilson_worked_example() -> None:
    # 81 of 263: Newcombe, Stat Med 1998;17:857-872, table I, method 3.
    figure = proportion(81, 263)
    assert (figure.low, figure.high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert (figure.count, figure.clusters, figure.method) == (263, 263, "Wilson")
    nothing = proportion(0, 0)
    assert (isnan(nothing.value), isnan(nothing.low), isnan(nothing.high)) == (True, True, True)
    assert (nothing.count, nothing.clusters, nothing.method) == (0, 0, "no observation")


def test_wilson_at_another_level_is_wilsons_formula() -> None:
    # (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n) with z = 1.281552, p = 0.5, n = 10
    figure = proportion(5, 10, level=0.8)
    assert (figure.low, figure.high) == pytest.approx((0.312204, 0.687796), abs=5e-6)


@given(st.integers(0, 50), st.integers(0, 50))
@settings(max_examples=50, deadline=None)
def test_wilson_holds_the_share_and_stays_within_0_and_1(successes: int, failures: int) -> None:
    figure = proportion(successes, successes + failures)
    if successes + failures:
        # At 0 and 1 the bound is the share itself, but for rounding.
        assert -1e-9 <= figure.low <= figure.value + 1e-9
        assert figure.value - 1e-9 <= figure.high <= 1 + 1e-9


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match="between 0 and the total 3"):
        proportion(4, 3)
    with pytest.raises(DataError, match="shapes"):
        mean_figure([1.0, 2.0], ["a"])
    with pytest.raises(DataError, match="one-dimensional"):
        bootstrap(lambda multiplicity: 0.0, [["a"]])
    with pytest.raises(DataError, match="at least 1 resample"):
        Resampling(resamples=0)
    with pytest.raises(DataError, match="between 0 and 1"):
        Resampling(level=1.0)


def of_calls(*values: float) -> Callable[[Multiplicity], float]:
    """A statistic that gives these, one a call: of the data first, then of the resamples."""
    given = iter(values)
    return lambda _: next(given)


def test_the_least_that_a_bootstrap_can_be() -> None:
    figure = bootstrap(of_calls(1.0, 2.0), ["a", "b"], Resampling(resamples=1))
    assert figure == Figure(
        value=1.0, low=2.0, high=2.0, count=2, clusters=2, method="bootstrap by patient, 1 resamples, percentile"
    )
    for wrong in ({"resamples": 0}, {"level": 0.0}, {"level": 1.0}):
        with pytest.raises(DataError):
            Resampling(**wrong)


def test_nothing_and_a_single_group_have_no_interval() -> None:
    nothing = bootstrap(lambda _: 0.5, [])
    assert (isnan(nothing.value), isnan(nothing.low), isnan(nothing.high)) == (True, True, True)
    assert (nothing.count, nothing.clusters, nothing.method) == (0, 0, "no observation")
    one = bootstrap(lambda _: 0.5, ["a", "a", "a"])
    assert (one.value, isnan(one.low), isnan(one.high)) == (0.5, True, True)
    assert (one.count, one.clusters, one.method) == (3, 1, "no interval: one patient")


@pytest.mark.parametrize(("undefined", "has_interval"), [(5, True), (6, False)])
def test_half_of_the_resamples_must_be_defined(undefined: int, has_interval: bool) -> None:
    values = [nan] * undefined + [0.25] * (10 - undefined)
    figure = bootstrap(of_calls(0.5, *values), ["a", "b"], Resampling(resamples=10))
    assert isnan(figure.low) is not has_interval
    assert figure.method == f"bootstrap by patient, 10 resamples, percentile, {undefined} undefined left out"


def test_what_is_not_defined_for_the_data_has_no_interval() -> None:
    figure = bootstrap(of_calls(nan, *[0.25] * 10), ["a", "b"], Resampling(resamples=10))
    assert isnan(figure.low)
    assert isnan(figure.high)


@pytest.mark.parametrize(("low", "high", "kept"), [(0.9, 0.9, False), (0.9, 0.900009, False), (-0.5, 0.5, True)])
def test_an_interval_of_no_width_is_none(low: float, high: float, kept: bool) -> None:
    figure = Figure(value=0.9, low=low, high=high, count=8, clusters=4, method="DeLong")
    found = without_empty_interval(figure)
    if kept:
        assert found == figure
    else:
        assert (isnan(found.low), isnan(found.high)) == (True, True)
        assert (found.value, found.count, found.clusters, found.method) == (0.9, 8, 4, "DeLong")
