"""How fast playback runs while the analysis goes on, asked of the page's own script."""

from __future__ import annotations

from typing import Any

import pytest

from streamer.app.page import _read

_FRAME_S = 1 / 30


@pytest.fixture(scope="module")
def ask(browser: Any) -> Any:
    """Runs a piece of script that knows the class `Pace`."""
    context = browser.new_context()
    page = context.new_page()
    yield lambda script: page.evaluate(f"() => {{ {_read('pace.js')}\nconst pace = new Pace(); {script} }}")
    context.close()


def frames(found_ms: list[float | None]) -> str:
    """Each frame with the moment at which the analysis had it."""
    calls = [
        f"pace.add({position}, {position * _FRAME_S}, {'null' if found is None else found});"
        for position, found in enumerate(found_ms)
    ]
    return "\n".join(calls)


@pytest.mark.parametrize(
    ("seconds", "now_ms", "more"),
    [
        (0.0, 1000.0, 0.0),  # frame 0 is due now and shown now
        (0.0, 1100.0, 0.02),  # 100 ms late: as much again as has passed
        (0.09, 1100.0, 0.01),  # 10 ms late, and no further
        (0.5, 1100.0, 0.0),  # ahead: never slower than the clip
    ],
)
def test_it_makes_up_for_what_it_is_late(ask: Any, seconds: float, now_ms: float, more: float) -> None:
    made_up = ask(f"{frames([1000.0, 1010.0, 1020.0])} return pace.makeUp({seconds}, 0.02, {now_ms});")
    assert made_up == pytest.approx(more, abs=1e-9)


def test_a_slow_analysis_is_not_the_players_delay(ask: Any) -> None:
    """Frame 2 came a second late: from then on it is the clock."""
    script = f"{frames([1000.0, 1010.0, 2000.0])} return [{2 * _FRAME_S}, 0].map((at) => pace.makeUp(at, 1, 2000));"
    assert ask(script) == pytest.approx([0, 2 * _FRAME_S])


def test_frames_that_were_ready_long_ago_keep_the_clips_pace(ask: Any) -> None:
    due = ask(f"{frames([1000.0, None, None, None])} return pace.due;")
    assert due == pytest.approx(1100)


def test_without_a_moment_there_is_no_hurry(ask: Any) -> None:
    assert ask(f"{frames([None, None])} return pace.makeUp(0, 1, 1e6);") == 0
    assert ask("pace.add(0, undefined, 5); return pace.position;") == -1


def test_a_reader_who_went_elsewhere_is_not_hurried(ask: Any) -> None:
    script = f"{frames([1000.0])} pace.following = false; const more = pace.makeUp(0, 1, 1e6); pace.reset(); "
    assert ask(script + "return [more, pace.following, pace.position];") == [0, True, -1]
