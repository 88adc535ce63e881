from fractions import Fraction

import pytest

from streamer.sources._timestamps import Clock


def _times(clock: Clock, *timestamps: Fraction | None) -> list[float]:
    return [clock.stamp(timestamp, Fraction(0)) for timestamp in timestamps]


def test_times_count_from_the_first_frame() -> None:
    clock = Clock(fps=25)
    assert _times(clock, Fraction(7, 2), Fraction(18, 5), Fraction(5)) == pytest.approx([0, 0.1, 1.5])
    assert clock.repaired == 0
    assert clock.end_s == pytest.approx(1.5 + 0.04)


def test_stated_duration_sets_the_end() -> None:
    clock = Clock(fps=25)
    clock.stamp(Fraction(1), Fraction(1, 2))
    assert clock.end_s == 0.5


def test_missing_times_follow_the_nominal_rate() -> None:
    clock = Clock(fps=10)
    assert _times(clock, None, None, Fraction(9), None) == pytest.approx([0, 0.1, 0.2, 0.3])
    assert clock.repaired == 3


def test_repeated_and_backward_times_are_pushed_forward() -> None:
    clock = Clock(fps=10)
    times = _times(clock, *(Fraction(tick, 10) for tick in (0, 1, 1, 0, 1, 6)))
    assert times == pytest.approx([0, 0.1, 0.2, 0.3, 0.4, 0.6])
    assert clock.repaired == 3


def test_a_clip_without_frames_has_no_length() -> None:
    clock = Clock(fps=25)
    assert (clock.end_s, clock.repaired) == (0.0, 0)
