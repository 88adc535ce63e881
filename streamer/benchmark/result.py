"""What a benchmark gives, as it stands in the JSON file."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from streamer.benchmark.agreement import Agreement
from streamer.benchmark.streams import StreamsTrial
from streamer.benchmark.times import Times


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PeakMemory(_Part):
    """The most memory of an implementation's process in MiB; `device` is None where no CUDA device was used."""

    host: float
    device: float | None


class BaselineFigures(_Part):
    """A baseline's figures; see `BenchmarkResult` for those of the same name.

    Attributes:
        latency_ms: None where the library reads and writes behind the loop's back.
        threads: of torch.
        agreement: its boxes compared with streamer's.
    """

    frames_per_second: float
    frames_per_second_of_rounds: tuple[float, ...]
    real_time_factor: float
    latency_ms: Times | None
    stages: dict[str, Times]
    dropped_frames: int
    peak_memory_mb: PeakMemory
    device: str
    precision: str
    threads: int
    candidates_per_frame: float
    agreement: Agreement


class Machine(_Part):
    """Where it was measured; `busy` if others used more than a fifth of a core a core just before."""

    cpu: str
    cores: int
    system: str
    gpu: str | None
    load_average_before: float | None
    busy: bool


class BenchmarkClip(_Part):
    """What was analysed, over and over: `frames_looped` frames of it."""

    name: str
    width: int
    height: int
    frames_per_second: float
    frames_looped: int


class StreamsFigures(_Part):
    """Live streams: the most that were held (of those tried), and every trial in turn."""

    held: int
    trials: tuple[StreamsTrial, ...]


class BenchmarkResult(_Part):
    """Everything that was measured.

    Attributes:
        frames_per_second: frames over wall-clock time, everything included, the median of the rounds.
        frames_per_second_of_rounds: that of each round.
        real_time_factor: `frames_per_second` over the clip's own.
        speedup_over_baseline: baseline -> how many times its frames per second ours are: the median of the rounds, in
            each of which all implementations have their turn.
        latency_ms: from the start of a frame's decoding until it was encoded, over all rounds.
        stages: stage -> its time a frame, over all rounds. They run side by side, so they add up to more than
            1000 / `frames_per_second`; and a stage waits for a core like any other thread.
        networks_ms: network -> its own time a frame of this clip, where nothing else runs.
        floor_ratio: time a frame over the sum of `networks_ms`; None where nothing was found to run them on.
        candidates_per_frame: mean number of boxes before tracks confirm any; the other tools outline and classify all.
        characterised_per_frame: mean number of nodules that tracks confirm, which alone are outlined and classified.
        dropped_frames: frames that were read and not analysed; a recording loses none.
        peak_memory_mb: of streamer's process.
        device, precision: as in a study's report.
        versions: of Python, streamer and the packages that matter.
        baselines: what a user would take instead.
        machine, clip: what it was measured on.
        seconds: longest time of one pass.
        rounds: number of rounds that count.
        complete: False if it was stopped before the end.
        streams: live streams; None if not asked for.
    """

    frames_per_second: float
    frames_per_second_of_rounds: tuple[float, ...]
    real_time_factor: float
    speedup_over_baseline: dict[str, float]
    latency_ms: Times
    stages: dict[str, Times]
    networks_ms: dict[str, float]
    floor_ratio: float | None
    candidates_per_frame: float
    characterised_per_frame: float
    dropped_frames: int
    peak_memory_mb: PeakMemory
    device: str
    precision: str
    versions: dict[str, str]
    baselines: dict[str, BaselineFigures]
    machine: Machine
    clip: BenchmarkClip
    seconds: float
    rounds: int
    complete: bool
    streams: StreamsFigures | None = None
