"""Calibration, checked against scikit-learn and on data whose calibration is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit
from sklearn.calibration import calibration_curve

from streamer.errors import DataError
from streamer.metrics.calibration import (
    Scaling,
    apply_scaling,
    calibration_error,
    fit_scaling,
    reliability_curve,
)
from streamer.metrics.estimate import Resampling

FEW = Resampling(resamples=50)


def drawn(count: int, temperature: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Labels drawn at their true risk, and log-odds that are `temperature` times too extreme."""
    generator = np.random.default_rng(seed)
    log_odds = generator.normal(0, 1.5, count)
    return generator.random(count) < expit(log_odds), temperature * log_odds


def test_curve_agrees_with_scikit_learn() -> None:
    labels, log_odds = drawn(1000, 1.5)
    observed, shown = calibration_curve(labels, expit(log_odds), n_bins=10)
    curve = reliability_curve(labels, expit(log_odds))
    assert [point.mean_probability for point in curve] == pytest.approx(shown.tolist())
    assert [point.observed.value for point in curve] == pytest.approx(observed.tolist())
    assert sum(point.observed.count for point in curve) == 1000


def test_error_by_hand() -> None:
    labels, shown = [0, 0, 1, 1, 1], [0.05, 0.15, 0.15, 0.85, 0.85]
    # Bins of one, two and two cases: gaps 0.05, 0.35 and 0.15.
    figure = calibration_error(labels, shown, np.arange(5), FEW)
    assert figure.value == pytest.approx((0.05 + 2 * 0.35 + 2 * 0.15) / 5)
    one = calibration_error(labels, shown, np.arange(5), FEW, bins=1)
    assert one.value == pytest.approx(abs(0.6 - np.mean(shown)))


def test_error_tells_calibrated_from_overconfident() -> None:
    labels, log_odds = drawn(4000, 3.0)
    groups = np.arange(4000)
    raw = calibration_error(labels, expit(log_odds), groups, FEW)
    mended = calibration_error(labels, apply_scaling(log_odds, Scaling(3.0)), groups, FEW)
    assert mended.value < 0.02 < 0.1 < raw.low < raw.value < raw.high


@given(
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), min_size=1, max_size=20),
    st.integers(1, 12),
)
@settings(max_examples=60, deadline=None)
def test_every_case_lands_in_one_bin(rows: list[tuple[bool, float]], bins: int) -> None:
    labels, shown = (np.array(column) for column in zip(*rows, strict=True))
    curve = reliability_curve(labels, shown, bins=bins)
    assert sum(point.observed.count for point in curve) == len(rows)
    assert len(curve) <= bins
    means = [point.mean_probability for point in curve]
    assert means == sorted(means)
    assert 0 <= calibration_error(labels, shown, np.arange(len(rows)), Resampling(resamples=2), bins=bins).value <= 1


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
@pytest.mark.parametrize("offset", [-1.5, 0.0, 0.4])
def test_fit_recovers_a_known_temperature_and_offset(temperature: float, offset: float) -> None:
    labels, log_odds = drawn(20_000, temperature)
    found = fit_scaling(labels, log_odds - temperature * offset)
    assert found.temperature == pytest.approx(temperature, rel=0.06)
    assert found.offset == pytest.approx(offset, abs=0.08)


def test_temperature_keeps_the_order_and_the_even_odds() -> None:
    log_odds = np.linspace(-8, 8, 33)
    shown = apply_scaling(log_odds, Scaling(2.5))
    assert (np.diff(shown) > 0).all()
    assert shown[16] == 0.5
    assert (np.abs(shown - 0.5) <= np.abs(expit(log_odds) - 0.5)).all()


def test_scaling_by_hand() -> None:
    # (0, 2, -4) / 2 - 1 = (-1, 0, -3), and 1 / 0.5 + 1 = 3
    assert apply_scaling([0, 2, -4], Scaling(2.0, -1.0)) == pytest.approx([0.268941, 0.5, 0.047426], abs=1e-6)
    assert apply_scaling([1], Scaling(0.5, 1.0)) == pytest.approx([0.952574], abs=1e-6)


def test_a_fit_stays_within_its_range_where_nothing_else_would_hold_it() -> None:
    apart = fit_scaling([0, 0, 1, 1], [-0.3, -0.2, 0.2, 0.3])  # separable: the likelihood grows without end
    assert apart.temperature == pytest.approx(0.05)
    shifted = fit_scaling([0, 1, 1, 1], [100.0, 100.0, 100.0, 100.0])
    assert 0.05 <= shifted.temperature <= 20.000001
    assert -10 <= shifted.offset <= 10


def test_a_wanted_resampling_is_the_one_that_is_done() -> None:
    figure = calibration_error([0, 1, 1, 0], [0.2, 0.7, 0.9, 0.4], list("abcd"), Resampling(resamples=7, unit="case"))
    assert figure.method == "bootstrap by case, 7 resamples, percentile"


def test_wrong_input_is_named() -> None:
    with pytest.raises(DataError, match="between 0 and 1"):
        reliability_curve([0, 1], [0.1, 1.2])
    with pytest.raises(DataError, match="at least one bin"):
        reliability_curve([0, 1], [0.1, 0.2], bins=0)
    with pytest.raises(DataError, match="group a case"):
        calibration_error([0, 1], [0.1, 0.2], ["a"])
    with pytest.raises(DataError, match="both malignant and benign"):
        fit_scaling([1, 1], [0.1, 0.2])
    with pytest.raises(DataError, match="positive"):
        apply_scaling([0.1], Scaling(0.0))
