"""Holm's correction against statsmodels and a worked example."""

from __future__ import annotations

from math import isnan, nan

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from streamer.metrics.holm import holm


def test_it_steps_down_and_never_falls() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])


def test_it_is_statsmodels() -> None:
    p_values = np.random.default_rng(0).random(20) ** 3
    assert holm(p_values.tolist()) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_what_is_no_test_does_not_count() -> None:
    adjusted = holm([nan, 0.02, 0.03])
    assert isnan(adjusted[0])
    assert adjusted[1:] == pytest.approx([0.04, 0.04])
    assert holm([]) == []
