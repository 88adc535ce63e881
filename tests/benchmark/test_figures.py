"""Figures of a viewing whose times are known."""

from __future__ import annotations

import pytest

from streamer.benchmark.browser import Shown, Viewing
from streamer.benchmark.figures import Answered, figures, first_shown, perfect_viewer


def viewing(*shown: tuple[int, int, float]) -> Viewing:
    return Viewing(
        clicked_s=99.5, shown=tuple(Shown(*item) for item in shown), cpu_share=1.25, clock_error_s=0.001, browser="1"
    )


def test_only_new_pixels_count_and_each_position_once() -> None:
    seen = viewing((0, 0, 1.0), (1, 7, 1.1), (2, 7, 1.2), (3, 8, 1.3), (1, 9, 1.4))
    assert first_shown(seen) == {1: 1.1, 3: 1.3}


def test_perfect_viewer_follows_a_slow_analysis_and_the_pace_of_the_clip() -> None:
    answered = {
        2: Answered(10.30, 0.08),  # slow: shown when it is there
        0: Answered(10.00, 0.00),
        1: Answered(10.01, 0.04),  # ahead: shown when it is due
        3: Answered(10.31, 0.12),
    }
    assert perfect_viewer(answered) == pytest.approx({0: 10.0, 1: 10.04, 2: 10.30, 3: 10.34})


def test_figures() -> None:
    answered = {number: Answered(100 + number / 20, number / 25) for number in range(5)}
    seen = viewing((0, 1, 100.02), (1, 2, 100.07), (2, 3, 100.12), (4, 4, 100.26))
    found = figures(seen, answered, frames=5, seconds=0.2)
    assert found.distinct_frames_shown == 4
    assert found.frames_shown_per_second == pytest.approx(3 / 0.24, abs=0.01)
    assert found.analysed_per_second == pytest.approx(20)
    assert found.first_overlay_ms == pytest.approx(520)
    assert found.latency_ms.p50 == pytest.approx(20)
    assert found.latency_ms.p95 == pytest.approx(54)  # 20, 20, 20, 60: 85 % of the way from the third to the last
    assert found.answer_to_screen_ms == found.latency_ms  # the analysis is the slower
    assert (found.server_cpu_percent, found.clip_fps) == (125, 25)


def test_nothing_shown() -> None:
    found = figures(viewing(), {0: Answered(100, 0)}, frames=1, seconds=1)
    assert (found.distinct_frames_shown, found.frames_shown_per_second) == (0, 0)
    assert (found.first_overlay_ms, found.latency_ms.p95) == (None, None)
