"""The operating point of a sweep, against simulated tracks whose answer is known; and the shift of the prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from streamer.evaluation.sweeps import fit_spread
from streamer.models.sweep_point import (
    SweepOperatingPoint,
    expected_rise,
    prior_shift,
    variance_of_maximum,
)
from streamer.models.weights_manifest import SweepSpread

DEVIATION, CORRELATION = 0.5, 0.8


def simulated(seed: int, tracks: int, *, shortest: int = 5, longest: int = 60) -> list[np.ndarray]:
    """Log-odds within tracks: each has a level of its own, about which neighbouring frames wander together."""
    rng = np.random.default_rng(seed)
    made = []
    for frames in rng.integers(shortest, longest, tracks):
        noise = np.empty(frames)
        noise[0] = rng.normal()
        for index in range(1, frames):
            noise[index] = CORRELATION * noise[index - 1] + (1 - CORRELATION**2) ** 0.5 * rng.normal()
        made.append(rng.normal(-0.6, 0.8) + DEVIATION * noise)
    return made


@pytest.mark.parametrize("threshold", [0.12, 0.2, 0.34, 0.5, 0.7])
def test_as_many_nodules_are_called_on_sweeps_as_on_stills(threshold: float) -> None:
    """At any operating point, not only where most nodules lie."""
    spread = fit_spread(simulated(0, 200))
    tracks = simulated(1, 600)
    on_stills = np.mean([(track >= logit(threshold)).mean() for track in tracks])
    by_maximum = np.mean([track.max() >= logit(threshold) for track in tracks])
    point = SweepOperatingPoint(threshold, *spread)
    called = np.mean([expit(track.max()) >= point.over(len(track)) for track in tracks])
    assert by_maximum > on_stills + 0.05  # what it is for
    assert called == pytest.approx(on_stills, abs=0.05)


def test_a_nodules_first_and_last_frames_count() -> None:
    """Most of the spread of these tracks lies in their ends, which few windows within them would hold."""
    rng = np.random.default_rng(5)
    tracks = []
    for frames in rng.integers(20, 50, 300):
        track = rng.normal(-0.6, 0.8) + rng.normal(0, 0.2, frames)
        track[:3] += rng.normal(0, 0.6)
        track[-3:] += rng.normal(0, 0.6)
        tracks.append(track)
    point = SweepOperatingPoint(0.34, *fit_spread(tracks))
    on_stills = np.mean([(track >= logit(0.34)).mean() for track in tracks])
    called = np.mean([expit(track.max()) >= point.over(len(track)) for track in tracks])
    assert called == pytest.approx(on_stills, abs=0.05)


def test_the_spread_of_readings_that_do_not_hang_together() -> None:
    rng = np.random.default_rng(3)
    spread = fit_spread([rng.normal(-1, 0.7, frames) for frames in rng.integers(5, 90, 400)])
    assert spread.deviation == pytest.approx(0.7, rel=0.1)
    assert spread.correlation_frames == pytest.approx(1, abs=0.4)
    assert spread.mean == pytest.approx(-1, abs=0.05)
    assert spread.reading_deviation == pytest.approx(0.7, abs=0.05)
    flat = fit_spread([np.full(30, level) for level in np.linspace(-2, 1, 20)])
    assert SweepOperatingPoint(0.4, *flat).over(30) == pytest.approx(0.4, abs=1e-3)


@pytest.mark.parametrize("independent", [1, 2, 4, 7, 15, 35, 80])
def test_the_maximum_of_many_readings_varies_less(independent: int) -> None:
    largest = np.random.default_rng(0).normal(size=(20_000, independent)).max(axis=1)
    assert variance_of_maximum(1.0, independent) == pytest.approx(largest.var(), abs=0.02)


def test_the_sweeps_point_moves_with_the_prevalence() -> None:
    """A shift of all log-odds calls the same nodules."""
    spread = SweepSpread(deviation=0.6, correlation_frames=4, mean=-0.6, reading_deviation=0.9, source="")
    before = logit(spread.operating_point(0.3).over(30))
    after = logit(spread.operating_point(float(expit(logit(0.3) + 0.8)), 0.8).over(30))
    assert after - before == pytest.approx(0.8)


@given(st.floats(0, 2), st.floats(1, 30), st.integers(1, 2000))
def test_the_rise_grows_with_the_frames_and_is_nothing_for_one(deviation: float, correlation: float, n: int) -> None:
    assert expected_rise(deviation, correlation, 1) == 0
    assert expected_rise(deviation, correlation, n + 1) >= expected_rise(deviation, correlation, n)


def test_thresholds_at_the_ends_stay() -> None:
    assert [SweepOperatingPoint(value, 0.5, 4).over(50) for value in (0.0, 1.0)] == [0.0, 1.0]


def test_the_example_of_the_documentation() -> None:
    assert SweepOperatingPoint(0.34, 0.5, 4).over(20) == pytest.approx(0.49, abs=0.005)


@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.floats(0.01, 0.99))
def test_a_prior_shift_is_bayes_rule(trained: float, wanted: float, posterior: float) -> None:
    """The likelihood ratio is what stays: posterior odds over prior odds."""
    shifted = expit(logit(posterior) + prior_shift(trained, wanted))
    ratio = posterior / (1 - posterior) / (trained / (1 - trained))
    expected = ratio * wanted / (ratio * wanted + 1 - wanted)
    assert shifted == pytest.approx(expected, abs=1e-9)
    assert prior_shift(trained, trained) == 0
