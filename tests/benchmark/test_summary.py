"""Figures of passes that are known."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from streamer.benchmark.result import BenchmarkResult
from streamer.benchmark.summary import result_of, speedup
from streamer.benchmark.times import times_of
from tests.benchmark.results import BOX, CLIP, MACHINE, done_pass, example, record

PROMISED = {
    "frames_per_second", "real_time_factor", "speedup_over_baseline", "latency_ms", "stages", "dropped_frames",
    "peak_memory_mb", "device", "precision", "versions", "baselines", "networks_ms", "floor_ratio", "machine", "clip",
    "seconds", "streams",
}  # fmt: skip


def test_times() -> None:
    found = times_of([4.0, 1.0, 2.0, 3.0, 10.0])
    assert [found.mean, found.p50, found.max] == [4.0, 3.0, 10.0]
    assert found.p95 == pytest.approx(8.8)  # 80 % of the way from 4 to 10
    assert found.p99 == pytest.approx(9.76)


def test_rates_are_medians_of_the_rounds_and_speedups_of_their_ratios() -> None:
    result = example()
    assert result.frames_per_second == 40
    assert list(result.frames_per_second_of_rounds) == [40, 50, 30]
    assert result.real_time_factor == 2
    assert result.speedup_over_baseline == {"naive": 5}  # of 4, 10 and 5
    assert result.baselines["naive"].frames_per_second == 6


def test_a_round_that_was_broken_off_has_no_partner() -> None:
    assert speedup((40, 30), (10,)) == 4


def test_stages_and_latency_are_over_all_rounds() -> None:
    result = example()
    assert list(result.stages) == ["decode", "detect"]
    assert result.stages["detect"].max == 50
    assert result.stages["detect"].mean == pytest.approx(np.mean([*range(1, 41), *range(1, 51), *range(1, 31)]))
    assert result.latency_ms.p99 == 50


def test_the_floor_counts_a_network_as_often_as_it_runs() -> None:
    result = example()  # one nodule a frame; medians of 8 and 9, of 4 and 6
    assert result.networks_ms == {"detector": 8.5, "classifier": 5.0}
    assert result.floor_ratio == pytest.approx(25 / 13.5)


def test_the_floor_counts_only_the_nodules_that_are_outlined_and_classified() -> None:
    networks_ms = [{"detector": 8.0, "classifier": 4.0}]
    own = record(replace(done_pass(4, 1.0, [(BOX, BOX)] * 4), characterised=2), networks_ms=networks_ms)
    result = result_of(own, {}, clip=CLIP, machine=MACHINE, versions={}, seconds=1, complete=False)
    assert (result.candidates_per_frame, result.characterised_per_frame) == (2, 0.5)
    assert result.networks_ms == {"detector": 8.0, "classifier": 2.0}


def test_dropped_frames_are_added_up() -> None:
    own = record(replace(done_pass(4, 1.0), dropped_frames=2), replace(done_pass(4, 1.0), dropped_frames=1))
    result = result_of(own, {}, clip=CLIP, machine=MACHINE, versions={}, seconds=1, complete=False)
    assert result.dropped_frames == 3
    assert (result.floor_ratio, result.speedup_over_baseline, result.baselines) == (None, {}, {})


def test_json_holds_what_is_promised_and_is_read_back() -> None:
    result = example()
    text = result.model_dump_json()
    assert set(json.loads(text)) >= PROMISED
    assert set(json.loads(text)["latency_ms"]) == {"mean", "p50", "p95", "p99", "max"}
    assert set(json.loads(text)["stages"]["decode"]) == {"mean", "p50", "p95", "p99", "max"}
    assert BenchmarkResult.model_validate_json(text) == result
