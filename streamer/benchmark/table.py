"""The figures in a terminal."""

from __future__ import annotations

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from streamer.benchmark.peer_networks import PAPER_INPUT_PX, NetworkKind
from streamer.benchmark.result import BaselineFigures, BenchmarkResult, PeakMemory, StreamsFigures
from streamer.benchmark.times import Times
from streamer.benchmark.worker import OWN


def tables(result: BenchmarkResult) -> RenderableType:
    """All figures, fit for a terminal of 100 columns."""
    parts: list[RenderableType] = [_contenders(result), _stages(result), Text("\n".join(notes(result)))]
    if result.streams is not None:
        parts.insert(2, _streams(result.streams))
    return Group(*parts)


def notes(result: BenchmarkResult) -> list[str]:
    """What a reader must know beside the tables, a line each."""
    machine, clip = result.machine, result.clip
    lines = [
        f"clip: {clip.name}, {clip.width}x{clip.height} at {clip.frames_per_second:g} fps, {clip.frames_looped} frames "
        f"of it looped, {result.nodules_per_frame:.1f} nodules a frame; {result.rounds} x {result.seconds:g} s",
        f"machine: {machine.cpu}, {machine.cores} cores{f', {machine.gpu}' if machine.gpu else ''}, {machine.system}",
    ]
    if result.floor_ratio is not None:
        lines.append(
            f"floor: the networks alone take {sum(result.networks_ms.values()):.1f} ms a frame ("
            + ", ".join(f"{role} {value:.1f}" for role, value in result.networks_ms.items())
            + f"); the whole analysis takes {result.floor_ratio:.2f} times that"
        )
    lines += [_agreement_line(name, figures) for name, figures in result.baselines.items()]
    if machine.busy:
        lines.append(
            f"the machine was busy before the start (load average {machine.load_average_before}): "
            "compare within this table only"
        )
    if not result.complete:
        lines.append("stopped before the end: figures are of what was measured until then")
    return lines


def _agreement_line(name: str, figures: BaselineFigures) -> str:
    agreement = figures.agreement
    if name.endswith(NetworkKind.paper.value):
        return (
            f"{name} works at {PAPER_INPUT_PX} px, for which the weights were not trained, and saw "
            f"{figures.nodules_per_frame:.1f} nodules a frame: compare speed only"
        )
    if agreement.share is None:
        return f"boxes of {name}: no frame to compare"
    verdict = "the same as streamer's" if agreement.same_boxes else "NOT the same as streamer's: do not compare speed"
    return f"boxes of {name}: {verdict} (in {agreement.share:.0%} of {agreement.frames} frames)"


def _contenders(result: BenchmarkResult) -> Table:
    table = Table(title="the whole analysis, overlay video included", title_justify="left")
    for heading in (
        "",
        "frames/s",
        "of rounds",
        "x real time",
        "streamer is",
        "latency p50 / p95 / p99",
        "memory, MiB",
    ):
        table.add_column(heading, justify="left" if not heading else "right")
    table.add_row(
        f"{OWN} ({result.precision})",
        f"{result.frames_per_second:.1f}",
        _range(result.frames_per_second_of_rounds),
        f"{result.real_time_factor:.2f}",
        "",
        _latency(result.latency_ms),
        memory_text(result.peak_memory_mb),
    )
    for name, figures in result.baselines.items():
        table.add_row(
            f"{name} ({figures.precision})",
            f"{figures.frames_per_second:.1f}",
            _range(figures.frames_per_second_of_rounds),
            f"{figures.real_time_factor:.2f}",
            f"{result.speedup_over_baseline[name]:.1f} x",
            _latency(figures.latency_ms),
            memory_text(figures.peak_memory_mb),
        )
    return table


def _stages(result: BenchmarkResult) -> Table:
    table = Table(title=f"streamer on {result.device}: ms a frame", title_justify="left")
    for heading in ("stage", "mean", "p50", "p95", "p99", "max"):
        table.add_column(heading, justify="left" if heading == "stage" else "right")
    for stage, times in {**result.stages, "decoding to encoded": result.latency_ms}.items():
        table.add_row(
            stage, *(f"{value:.1f}" for value in (times.mean, times.p50, times.p95, times.p99, times.max))
        )  # fmt: skip
    return table


def _streams(streams: StreamsFigures) -> Table:
    table = Table(title=f"live streams held: {streams.held}", title_justify="left")
    for heading in ("streams", "processes", "frames/s of the slowest", "dropped", "latency p50 / p95 / p99", "held"):
        table.add_column(heading, justify="right")
    for trial in sorted(streams.trials, key=lambda trial: trial.streams):
        table.add_row(
            str(trial.streams),
            str(trial.processes),
            f"{trial.frames_per_second:.1f} of {trial.pace:g}",
            str(trial.dropped_frames),
            _latency(trial.latency_ms),
            "yes" if trial.held else "no",
        )
    return table


def memory_text(memory: PeakMemory) -> str:
    """Host memory, and the device's where one was used."""
    return f"{memory.host:.0f}" + ("" if memory.device is None else f" + {memory.device:.0f} on the device")


def _range(values: tuple[float, ...]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def _latency(times: Times | None) -> str:
    return "-" if times is None else f"{times.p50:.0f} / {times.p95:.0f} / {times.p99:.0f} ms"
