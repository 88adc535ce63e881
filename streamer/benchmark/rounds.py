"""A benchmark run: all candidates load and warm up, then take turns, round after round."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from streamer.backends.select import has_nvidia_driver
from streamer.benchmark.baselines import BaselineName
from streamer.benchmark.clip import write_looped
from streamer.benchmark.machine import describe_machine, describe_versions
from streamer.benchmark.passes import NetworkKind
from streamer.benchmark.result import BenchmarkClip, BenchmarkResult, Machine, StreamsFigures
from streamer.benchmark.streams import StreamsTrial, judge, largest_held, shares
from streamer.benchmark.summary import Measurements, max_held, result_of
from streamer.benchmark.worker import Candidate, CandidateProcess
from streamer.errors import SettingsError, StreamerError
from streamer.settings import Settings
from streamer.sources import open_source

PACKAGES = (
    "torch", "openvino", "ultralytics", "supervision", "trackers", "segmentation-models-pytorch", "av",
    "opencv-python", "numpy",
)  # fmt: skip
_WARM_UP_SHARE = 0.4
_MIN_FRAMES = 10  # looped, however slow a candidate is
_MAX_FRAMES = 20_000  # of the clip: two minutes to write; a pass may then end before its time
_MAX_PROCESSES = 16  # each with networks and a device context of its own
_BUSY_LOAD = 0.2
"""Load average per core from which a machine counts as busy: the benchmark itself has not begun then."""

OnProgress = Callable[[str, float], None]
"""Called with what is being done and how many seconds of measuring are over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundPlan:
    """What to measure.

    Attributes:
        settings: of the analysis.
        recording: clip, still or folder of stills.
        seconds: longest time of one pass.
        rounds: number of rounds.
        baselines: what to compare with.
        kinds: what runs the baselines' networks.
        needed: whether a baseline that cannot be loaded is an error; else it is left out.
        streams: number of live streams to try, "auto" for as many as are held; None for none.
        processes: number of processes that share them; 0 for what suits the device.
    """

    settings: Settings
    recording: Path
    seconds: float
    rounds: int = 3
    baselines: Sequence[BaselineName] = ()
    kinds: Sequence[NetworkKind] = (NetworkKind.torch,)
    needed: bool = True
    streams: int | Literal["auto"] | None = None
    processes: int = 0

    def candidates(self) -> list[Candidate]:
        """The candidates, streamer first."""
        weights = self.settings.weights
        settings = self.settings if weights is None else self.settings.model_copy(update={"weights": weights.resolve()})
        return [
            Candidate(settings),
            *(Candidate(settings, name, kind) for kind in self.kinds for name in self.baselines),
        ]

    def on(self, recording: Path) -> RoundPlan:
        """The same plan for another recording."""
        return replace(self, recording=recording)

    @property
    def measured_s(self) -> float:
        """About how many seconds the rounds take."""
        return self.seconds * self.rounds * (1 + len(self.baselines) * len(self.kinds))


@dataclass(slots=True)
class BenchmarkRun:
    """A benchmark; `result` gives what was measured so far at any time."""

    plan: RoundPlan
    folder: Path
    on_progress: OnProgress
    left_out: list[str] = field(default_factory=list)
    interrupted: bool = False
    _records: dict[str, Measurements] = field(default_factory=dict)
    _trials: list[StreamsTrial] = field(default_factory=list)
    _clip: BenchmarkClip | None = None
    _machine: Machine | None = None

    def run(self) -> None:
        """Measure; returns early, `interrupted`, on Ctrl-C.

        Raises:
            StreamerError: the clip, the weights, the device or a candidate is not usable.
        """
        self._machine = _machine()
        with ExitStack() as stack:
            workers: list[CandidateProcess] = []
            try:
                for candidate in self.plan.candidates():
                    self._load(candidate, stack, workers)
                clip = self._prepare_clip(workers)
                for number in range(self.plan.rounds):
                    self._round(workers, clip, f"round {number + 1} of {self.plan.rounds}")
                for worker in workers:
                    self._records[worker.candidate.name].environment = worker.environment()
                if self.plan.streams is not None:
                    self._try_live(workers[0], stack, clip, self.plan.streams)
            except KeyboardInterrupt:
                self.interrupted = True

    def result(self) -> BenchmarkResult | None:
        """Figures of what was measured; None where streamer has not done a frame."""
        own, *others = (self._records.get(candidate.name, Measurements()) for candidate in self.plan.candidates())
        own.passes = [done for done in own.passes if done.frames]
        if not own.passes or self._clip is None or self._machine is None:
            return None
        names = [candidate.name for candidate in self.plan.candidates()[1:]]
        result = result_of(
            own,
            dict(zip(names, others, strict=True)),
            clip=self._clip,
            machine=self._machine,
            versions=describe_versions(PACKAGES),
            seconds=self.plan.seconds,
            complete=not self.interrupted,
        )
        if self._trials:
            streams = StreamsFigures(held=max_held(self._trials), trials=tuple(self._trials))
            result = result.model_copy(update={"streams": streams})
        return result

    def _load(self, candidate: Candidate, stack: ExitStack, workers: list[CandidateProcess]) -> None:
        self.on_progress(f"loading {candidate.name}", 0)
        worker = CandidateProcess(candidate, self.folder)
        with ExitStack() as attempt:
            attempt.enter_context(worker)
            try:
                worker.wait_until_loaded()
            except SettingsError as error:
                if self.plan.needed or candidate.baseline is None:
                    raise
                self.left_out.append(str(error))
                return
            stack.enter_context(attempt.pop_all())
        workers.append(worker)
        self._records[candidate.name] = Measurements()

    def _prepare_clip(self, workers: Sequence[CandidateProcess]) -> Path:
        """Warm up on the recording itself, then make the clip.

        Only so much of the recording is looped as the slowest candidate gets through in its time: all see the same
        frames, whether or not a nodule is in them.
        """
        original = self.folder / "recording.mp4"
        with open_source(self.plan.recording) as source:
            size_wh, rate, name = (source.info.width, source.info.height), source.info.fps, source.info.name
        frames = write_looped(self.plan.recording, original, seconds=self.plan.seconds, repeat=False)
        rates = []
        for worker in workers:
            self.on_progress(f"warming up {worker.candidate.name}", 0)
            done = worker.analyse(original, _WARM_UP_SHARE * self.plan.seconds)
            rates.append(done.frames_per_second)
        frames = min(frames, max(_MIN_FRAMES, int(min(rates) * self.plan.seconds)))
        clip = self.folder / "clip.mp4"
        self.on_progress("writing the clip", 0)
        length_s = min(self.plan.seconds * max(1.0, 1.2 * max(rates) / rate), _MAX_FRAMES / rate)
        write_looped(original, clip, seconds=length_s, at_most=frames)  # long enough for the fastest
        self._clip = BenchmarkClip(
            name=name, width=size_wh[0], height=size_wh[1], frames_per_second=rate, frames_looped=frames
        )
        return clip

    def _round(self, workers: list[CandidateProcess], clip: Path, title: str) -> None:
        for worker in tuple(workers):
            name = worker.candidate.name
            done_s = self.plan.seconds * sum(len(record.passes) for record in self._records.values())
            self.on_progress(f"{title}: {name}", done_s)
            try:
                done = worker.analyse(clip, self.plan.seconds)
            except KeyboardInterrupt:
                done_so_far = worker.cancel()
                if done_so_far is not None:
                    self._records[name].passes.append(done_so_far)
                    self._records[name].environment = worker.environment()
                raise
            except StreamerError as error:
                if worker.candidate.baseline is None:
                    raise
                self.left_out.append(f"{name} from {title} on: {error}")
                workers.remove(worker)
                continue
            self._records[name].passes.append(done)
            if worker.candidate.baseline is None:
                self._records[name].networks_ms.append(worker.networks_ms())

    def _try_live(self, own: CandidateProcess, stack: ExitStack, clip: Path, streams: int | Literal["auto"]) -> None:
        """Try live streams; where that fails, what was measured before is kept."""
        try:
            self._try_streams(self._more_of(own, stack), clip, streams)
        except StreamerError as error:
            self.left_out.append(f"live streams beyond those in the table: {error}")

    def _more_of(self, own: CandidateProcess, stack: ExitStack) -> list[CandidateProcess]:
        """As many processes with streamer's networks as are to share the live streams, loaded side by side."""
        environment, machine = self._records[own.candidate.name].environment, self._machine
        # Where networks cost nothing, two processes of four streams keep pace on two cores, one of eight does not.
        on_gpu = environment is not None and environment.device_memory_mb is not None
        suited = min(machine.cores, _MAX_PROCESSES) if on_gpu and machine is not None else 1
        wanted = self.plan.processes or suited
        if isinstance(self.plan.streams, int):
            wanted = min(wanted, self.plan.streams)
        if wanted > 1:
            self.on_progress(f"loading {wanted - 1} more processes", self.plan.measured_s)
        more = [stack.enter_context(CandidateProcess(own.candidate, self.folder)) for _ in range(wanted - 1)]
        for worker in more:
            worker.wait_until_loaded()
        return [own, *more]

    def _try_streams(self, workers: Sequence[CandidateProcess], clip: Path, streams: int | Literal["auto"]) -> None:
        def holds(count: int) -> bool:
            self.on_progress(f"{count} live streams", self.plan.measured_s)
            busy = list(zip(workers, shares(count, len(workers)), strict=False))
            for worker, share in busy:
                worker.start_streams(clip, share, self.plan.seconds)
            trial = judge([worker.observed() for worker, _ in busy])
            self._trials.append(trial)
            return trial.held

        if streams == "auto":
            largest_held(holds)
        else:
            holds(streams)


def _machine() -> Machine:
    described = describe_machine()
    load = round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None
    cores = int(described["cores"])
    return Machine(
        cpu=str(described["cpu"]),
        cores=cores,
        system=str(described["system"]),
        gpu=_gpu_name(),
        load_average_before=load,
        busy=load is not None and load > _BUSY_LOAD * cores,
    )


def _gpu_name() -> str | None:
    if not has_nvidia_driver() or find_spec("torch") is None:
        return None
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else None
