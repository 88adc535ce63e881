"""The operating point of a sweep, against simulated tracks whose answer is known; and the shift of the prior."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit

from streamer.evaluation.sweeps import fit_spread
from streamer.models.sweep_point import SweepOperatingPoint, expected_rise, prior_shift

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


def test_as_many_nodules_are_called_on_sweeps_as_on_stills() -> None:
    spread = fit_spread(simulated(0, 200))
    threshold = 0.34
    tracks = simulated(1, 400)
    on_stills = np.mean([(track >= logit(threshold)).mean() for track in tracks])
    by_maximum = np.mean([track.max() >= logit(threshold) for track in tracks])
    point = SweepOperatingPoint(threshold, *spread)
    called = np.mean([expit(track.max()) >= point.over(len(track)) for track in tracks])
    assert by_maximum - on_stills > 0.15  # what it is for
    assert called == pytest.approx(on_stills, abs=0.05)


def test_the_spread_of_readings_that_do_not_hang_together() -> None:
    rng = np.random.default_rng(3)
    spread = fit_spread([rng.normal(0, 0.7, 50) for _ in range(150)])
    assert spread.deviation == pytest.approx(0.7, rel=0.1)
    assert spread.correlation_frames == pytest.approx(1, abs=0.3)
    flat = fit_spread([np.full(30, -1.0)] * 20)
    assert SweepOperatingPoint(0.4, *flat).over(30) == pytest.approx(0.4, abs=1e-6)


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
