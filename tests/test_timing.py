"""Percentiles from a histogram agree with those from all values."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer._timing import StageClock


@given(st.lists(st.floats(1e-3, 1e6), min_size=1, max_size=300))
def test_percentiles_agree_with_numpy(values: list[float]) -> None:
    clock = StageClock()
    for value in values:
        clock.add({"detect": value})
    found = clock.summary()["detect"]
    for name, share in (("p50", 50), ("p95", 95), ("p99", 99)):
        expected = np.percentile(values, share, method="inverted_cdf")
        assert getattr(found, name) == pytest.approx(expected, rel=0.011)
    assert found.max == max(values)
    assert found.p50 <= found.p95 <= found.p99 <= found.max


def test_stages_are_kept_apart_and_in_order() -> None:
    clock = StageClock()
    clock.add({"decode": 2.0, "detect": 30.0})
    clock.add({"decode": 4.0})
    summary = clock.summary()
    assert list(summary) == ["decode", "detect"]
    assert summary["decode"].max == 4.0
    assert summary["detect"].p50 == pytest.approx(30, rel=0.01)


@pytest.mark.parametrize("value", [0.0, 1e-9, 1e12])
def test_values_beyond_the_histogram_do_no_harm(value: float) -> None:
    clock = StageClock()
    clock.add({"decode": value})
    summary = clock.summary()["decode"]
    assert summary.max == value
    assert 0 <= summary.p50 <= value


def test_nothing_measured() -> None:
    assert StageClock().summary() == {}
