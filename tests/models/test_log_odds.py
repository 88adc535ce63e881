"""Log-odds are those of scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import special

from streamer.models.log_odds import expit, expit_each, logit


def test_probabilities_and_log_odds_are_those_of_scipy() -> None:
    odds = np.random.default_rng(0).normal(0, 4, 2000)
    assert [expit(value) for value in odds] == special.expit(odds).tolist()
    shares = np.random.default_rng(1).uniform(0, 1, 2000)
    assert [logit(value) for value in shares] == special.logit(shares).tolist()


def test_of_float32_numbers_too() -> None:
    odds = np.random.default_rng(2).normal(0, 4, 2000).astype(np.float32)
    np.testing.assert_allclose(expit_each(odds), special.expit(odds), rtol=2e-7)
    same = np.array(expit_each(odds), np.float32) == special.expit(odds)
    assert same.mean() > 0.99  # of the others the last bit differs


@pytest.mark.parametrize("extreme", [1000.0, -1000.0, math.inf, -math.inf])
def test_extremes(extreme: float) -> None:
    assert expit(extreme) == (extreme > 0)
    assert expit_each(np.array([extreme], np.float32)) == [float(extreme > 0)]
    assert (logit(0.0), logit(1.0)) == (-math.inf, math.inf)
