"""The search for the largest number of streams, and when a number is held."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.benchmark.streams import StreamsObservation, judge, largest_held, observe_streams, shares
from streamer.errors import InputError
from streamer.types import Finding
from tests.cli.command_line import clip_in
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


def watch(*frames: int, dropped: int = 0, latencies_ms: tuple[float, ...] = ()) -> StreamsObservation:
    return StreamsObservation(
        frames=frames, dropped_frames=dropped, elapsed_s=2.0, pace=30.0, latencies_ms=latencies_ms
    )


def test_streams_that_keep_their_pace_without_a_drop_are_held() -> None:
    trial = judge([watch(60, 59, latencies_ms=(10.0, 20.0))])
    assert (trial.streams, trial.processes, trial.dropped_frames, trial.frames_per_second) == (2, 1, 0, 29.5)
    assert trial.held
    assert trial.latency_ms is not None
    assert trial.latency_ms.p50 == 15


def test_streams_in_several_processes_are_judged_together() -> None:
    trial = judge([watch(60, 60, latencies_ms=(10.0, 10.0)), watch(59, latencies_ms=(40.0,))])
    assert (trial.streams, trial.processes, trial.frames_per_second, trial.held) == (3, 2, 29.5, True)
    assert trial.latency_ms is not None
    assert trial.latency_ms.max == 40


@pytest.mark.parametrize("late", [watch(60, dropped=1), watch(50)])
def test_a_drop_or_a_slow_stream_is_not_held(late: StreamsObservation) -> None:
    assert not judge([watch(60, 60), late]).held


@pytest.mark.parametrize(
    ("streams", "processes", "expected"), [(5, 2, [2, 3]), (64, 8, 8 * [8]), (2, 4, [1, 1]), (1, 1, [1])]
)
def test_processes_share_streams_evenly(streams: int, processes: int, expected: list[int]) -> None:
    assert shares(streams, processes) == expected


def test_live_copies_of_a_clip_on_one_engine(tmp_path: Path) -> None:
    seen = observe_streams(FakeEngine().as_engine(), clip_in(tmp_path, frames=20), 2, 1.0)
    assert (len(seen.frames), seen.pace) == (2, 25)
    assert sum(seen.frames) + seen.dropped_frames > 0


def test_a_stream_that_fails_ends_the_trial(tmp_path: Path) -> None:
    def fail(_: int) -> tuple[Finding, ...]:
        raise InputError("no more")

    with pytest.raises(InputError, match="a stream failed: no more"):
        observe_streams(FakeEngine(fail).as_engine(), clip_in(tmp_path, frames=20), 2, 0.2)
