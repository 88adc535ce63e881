"""Passes and a result with known figures."""

from __future__ import annotations

from collections.abc import Sequence

from streamer.benchmark.passes import Environment, Pass
from streamer.benchmark.result import BenchmarkClip, BenchmarkResult, Machine
from streamer.benchmark.summary import Measurements, result_of
from streamer.geometry import Box

BOX: Box = (10, 10, 30, 30)
FACTS = Environment(device="a device", precision="int8", threads=2, host_memory_mb=1000.0, device_memory_mb=None)
CLIP = BenchmarkClip(name="clip.mp4", width=64, height=48, frames_per_second=20, frames_looped=4)
MACHINE = Machine(cpu="a processor", cores=2, system="Linux", gpu=None, load_average_before=0.1, busy=False)


def done_pass(frames: int, seconds: float, boxes: Sequence[tuple[Box, ...]] | None = None) -> Pass:
    """A pass in which every frame took as long as the others and held one box."""
    return Pass(
        frames=frames,
        elapsed_s=seconds,
        stages_ms={"decode": [2.0] * frames, "detect": [float(number) for number in range(1, frames + 1)]},
        latency_ms=[50.0] * frames,
        boxes=[(BOX,)] * frames if boxes is None else boxes,
    )


def record(*passes: Pass, networks_ms: Sequence[dict[str, float]] = ()) -> Measurements:
    """What an implementation did."""
    return Measurements(passes=list(passes), networks_ms=list(networks_ms), environment=FACTS)


def example() -> BenchmarkResult:
    """Three rounds of ours, and of a baseline that is 4, 5 and 10 times slower."""
    own = record(
        done_pass(40, 1.0),
        done_pass(50, 1.0),
        done_pass(30, 1.0),
        networks_ms=[{"detector": 8.0, "classifier": 4.0}, {"detector": 9.0, "classifier": 6.0}],
    )
    slow = record(done_pass(10, 1.0), done_pass(5, 1.0), done_pass(6, 1.0))
    return result_of(
        own,
        {"naive": slow, "absent": Measurements()},
        clip=CLIP,
        machine=MACHINE,
        versions={"python": "3.11"},
        seconds=1.0,
        complete=True,
    )
