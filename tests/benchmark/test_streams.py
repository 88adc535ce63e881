"""The search for the largest number of streams, and when a number is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.benchmark.streams import judge, largest_held, try_streams
from streamer.errors import InputError
from streamer.records import Finding
from streamer.serving import StreamFigures
from tests.command_line import clip_in
from tests.fakes import FakeEngine


@pytest.mark.parametrize("limit", [0, 1, 2, 3, 4, 7, 12, 63, 64])
def test_the_largest_number_is_found_with_few_trials(limit: int) -> None:
    asked: list[int] = []

    def holds(count: int) -> bool:
        asked.append(count)
        return count <= limit

    assert largest_held(holds, most=64) == limit
    assert len(asked) == len(set(asked)) <= 13
    assert max(asked) <= 64


def figures(frames: int, dropped: int = 0) -> StreamFigures:
    return StreamFigures(frames=frames, dropped_frames=dropped, undelivered_results=0, live=None)


def test_streams_that_keep_their_pace_without_a_drop_are_held() -> None:
    trial = judge((figures(30), figures(29, 5)), (figures(90), figures(88, 5)), 2.0, 30.0, [10.0, 20.0])
    assert (trial.streams, trial.dropped_frames, trial.frames_per_second) == (2, 0, 29.5)
    assert trial.held
    assert trial.latency_ms is not None
    assert trial.latency_ms.p50 == 15


@pytest.mark.parametrize("late", [figures(90, 1), figures(80)])
def test_a_drop_or_a_slow_stream_is_not_held(late: StreamFigures) -> None:
    assert not judge((figures(30), figures(30)), (figures(90), late), 2.0, 30.0, []).held


def test_live_copies_of_a_clip_on_one_engine(tmp_path: Path) -> None:
    trial = try_streams(FakeEngine().as_engine(), clip_in(tmp_path, frames=20), 2, 1.0)
    assert (trial.streams, trial.pace) == (2, 25)
    assert trial.frames_per_second + trial.dropped_frames > 0


def test_a_stream_that_fails_ends_the_trial(tmp_path: Path) -> None:
    def fail(_: int) -> tuple[Finding, ...]:
        raise InputError("no more")

    with pytest.raises(InputError, match="a stream failed: no more"):
        try_streams(FakeEngine(fail).as_engine(), clip_in(tmp_path, frames=20), 2, 0.2)
