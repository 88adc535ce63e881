"""From the passes of all rounds to the figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from streamer.benchmark.agreement import agreement
from streamer.benchmark.passes import Environment, Pass
from streamer.benchmark.result import BaselineFigures, BenchmarkClip, BenchmarkResult, Machine, PeakMemory
from streamer.benchmark.streams import StreamsTrial
from streamer.benchmark.times import Times, times_of

PER_FRAME_NETWORK = "detector"
"""The one network that runs once a frame; the others run once a nodule."""


@dataclass(slots=True)
class Measurements:
    """What an implementation has done so far: a pass a round, and its environment once it is over."""

    passes: list[Pass] = field(default_factory=list)
    networks_ms: list[Mapping[str, float]] = field(default_factory=list)
    environment: Environment | None = None

    @property
    def rates(self) -> tuple[float, ...]:
        """Frames per second of each round."""
        return tuple(done.frames_per_second for done in self.passes)

    @property
    def candidates_per_frame(self) -> float:
        """Mean number of boxes."""
        frames = sum(done.frames for done in self.passes)
        return sum(len(boxes) for done in self.passes for boxes in done.boxes) / max(frames, 1)

    @property
    def characterised_per_frame(self) -> float:
        """Mean number of boxes that were outlined and classified."""
        frames = sum(done.frames for done in self.passes)
        return sum(done.characterised_boxes for done in self.passes) / max(frames, 1)

    @property
    def memory(self) -> PeakMemory:
        """Peak memory; zero where it is not known."""
        if self.environment is None:
            return PeakMemory(host=0.0, device=None)
        return PeakMemory(host=self.environment.host_memory_mb, device=self.environment.device_memory_mb)


def result_of(
    own: Measurements,
    baselines: Mapping[str, Measurements],
    *,
    clip: BenchmarkClip,
    machine: Machine,
    versions: Mapping[str, str],
    seconds: float,
    complete: bool,
) -> BenchmarkResult:
    """Figures of our record, which holds a pass with a frame, beside those of baselines that have one, too."""
    rate = median(own.rates)
    networks_ms = own_time(own)
    floor_ms = sum(networks_ms.values())
    counted = {name: record for name, record in baselines.items() if any(done.frames for done in record.passes)}
    return BenchmarkResult(
        frames_per_second=rate,
        frames_per_second_of_rounds=own.rates,
        real_time_factor=rate / clip.frames_per_second,
        speedup_over_baseline={name: speedup(own.rates, record.rates) for name, record in counted.items()},
        latency_ms=times_of([value for done in own.passes for value in done.latency_ms]),
        stages=stages_of(own.passes),
        networks_ms=networks_ms,
        floor_ratio=1000 / rate / floor_ms if floor_ms else None,
        candidates_per_frame=own.candidates_per_frame,
        characterised_per_frame=own.characterised_per_frame,
        dropped_frames=sum(done.dropped_frames for done in own.passes),
        peak_memory_mb=own.memory,
        device=own.environment.device if own.environment else "unknown",
        precision=own.environment.precision if own.environment else "unknown",
        versions=dict(versions),
        baselines={name: _baseline(record, own, clip) for name, record in counted.items()},
        machine=machine,
        clip=clip,
        seconds=seconds,
        rounds=len(own.passes),
        complete=complete,
    )


def speedup(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the rounds' ratios: a neighbour that slows one round slows both in it."""
    return median(one / other for one, other in zip(ours, theirs, strict=False) if other > 0)


def stages_of(passes: Sequence[Pass]) -> dict[str, Times]:
    """Times of each stage over all passes, in the order in which stages were first seen."""
    values: dict[str, list[float]] = {}
    for done in passes:
        for stage, times_ms in done.stages_ms.items():
            values.setdefault(stage, []).extend(times_ms)
    return {stage: times_of(times_ms) for stage, times_ms in values.items() if times_ms}


def own_time(own: Measurements) -> dict[str, float]:
    """Each network's own time a frame: the median of the rounds an image, times its images a frame."""
    roles = own.networks_ms[0] if own.networks_ms else {}
    images = {role: 1.0 if role == PER_FRAME_NETWORK else own.characterised_per_frame for role in roles}
    return {role: images[role] * median(round_ms[role] for round_ms in own.networks_ms) for role in roles}


def max_held(trials: Sequence[StreamsTrial]) -> int:
    """The largest number of streams that was held."""
    return max((trial.streams for trial in trials if trial.held), default=0)


def _baseline(record: Measurements, own: Measurements, clip: BenchmarkClip) -> BaselineFigures:
    rate = median(record.rates)
    latencies = [value for done in record.passes for value in done.latency_ms]
    longest = max(record.passes, key=lambda done: done.frames)
    ours = max(own.passes, key=lambda done: done.frames)
    return BaselineFigures(
        frames_per_second=rate,
        frames_per_second_of_rounds=record.rates,
        real_time_factor=rate / clip.frames_per_second,
        latency_ms=times_of(latencies) if latencies else None,
        stages=stages_of(record.passes),
        dropped_frames=sum(done.dropped_frames for done in record.passes),
        peak_memory_mb=record.memory,
        device=record.environment.device if record.environment else "unknown",
        precision=record.environment.precision if record.environment else "unknown",
        threads=record.environment.threads if record.environment else 0,
        candidates_per_frame=record.candidates_per_frame,
        agreement=agreement(ours.boxes, longest.boxes),
    )
