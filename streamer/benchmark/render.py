"""The figures of a benchmark as text: the same tables and notes in a terminal and on a Markdown page."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.resources import files
from string import Template

from streamer._format import TextTable
from streamer.benchmark.passes import PAPER_INPUT_PX, NetworkKind
from streamer.benchmark.result import BaselineFigures, BenchmarkResult, PeakMemory, StreamsFigures
from streamer.benchmark.times import Times
from streamer.benchmark.worker import OWN


def as_text(result: BenchmarkResult) -> str:
    """Tables and notes for a terminal."""
    return "\n\n".join([*(table.text() for table in _tables(result)), "\n".join(notes(result))])


def as_markdown(result: BenchmarkResult, plot: str) -> str:
    """The page; `plot` is the name of the picture beside it."""
    torch_names = [name for name in result.baselines if not name.endswith(f"-{NetworkKind.compiled.value}")]
    threads = ", ".join(f"{name} {result.baselines[name].threads}" for name in torch_names)
    page = (files("streamer.benchmark") / "performance.md").read_text(encoding="utf-8")
    return Template(page).substitute(
        date=datetime.now(UTC).date().isoformat(),
        notes="\n".join(f"- {line}" for line in notes(result)),
        plot=plot,
        tables="\n\n".join(table.markdown() for table in _tables(result)),
        threads=f": {threads}" if threads else "",
        versions=", ".join(f"{package} {version}" for package, version in result.versions.items()),
    )


def notes(result: BenchmarkResult) -> list[str]:
    """What a reader must know beside the tables, a line each."""
    machine, clip = result.machine, result.clip
    lines = [
        f"clip: {clip.name}, {clip.width}x{clip.height} at {clip.frames_per_second:g} fps, {clip.frames_looped} frames "
        f"of it looped, {result.candidates_per_frame:.1f} candidates per frame, of which tracks confirm "
        f"{result.characterised_per_frame:.1f}: streamer outlines and classifies those, the others all; "
        f"{result.rounds} x {result.seconds:g} s; frames dropped: {result.dropped_frames}",
        f"machine: {machine.cpu}, {machine.cores} cores{f', {machine.gpu}' if machine.gpu else ''}, {machine.system}",
    ]
    if result.floor_ratio is not None:
        lines.append(
            f"floor: the networks alone take {sum(result.networks_ms.values()):.1f} ms per frame ("
            + ", ".join(f"{role} {value:.1f}" for role, value in result.networks_ms.items())
            + f"); the whole analysis takes {result.floor_ratio:.2f} times that"
        )
    lines += [_agreement_line(name, figures) for name, figures in result.baselines.items()]
    if machine.busy:
        lines.append(
            f"the machine was busy before the start (load average {machine.load_average_before}): "
            "compare within these tables only"
        )
    if not result.complete:
        lines.append("stopped before the end: figures are of what was measured until then")
    return lines


def _agreement_line(name: str, figures: BaselineFigures) -> str:
    agreement = figures.agreement
    if name.endswith(NetworkKind.paper.value):
        return (
            f"{name} works at {PAPER_INPUT_PX} px, for which the weights were not trained, and saw "
            f"{figures.candidates_per_frame:.1f} candidates per frame: compare speed only"
        )
    if agreement.share is None:
        return f"boxes of {name}: no frame to compare"
    verdict = "the same as streamer's" if agreement.same_boxes else "NOT the same as streamer's: do not compare speed"
    return f"boxes of {name}: {verdict} (in {agreement.share:.0%} of {agreement.frames} frames)"


def _tables(result: BenchmarkResult) -> list[TextTable]:
    tables = [_candidates(result), _stages(result)]
    return tables if result.streams is None else [*tables, _streams(result.streams)]


def _candidates(result: BenchmarkResult) -> TextTable:
    own: tuple[str, BenchmarkResult | BaselineFigures, str] = (f"{OWN}, {result.precision}", result, "")
    others: list[tuple[str, BenchmarkResult | BaselineFigures, str]] = [
        (f"{name}, {figures.precision}", figures, f"{result.speedup_over_baseline[name]:.1f} x")
        for name, figures in result.baselines.items()
    ]
    return TextTable(
        title="The whole analysis, overlay video included",
        headings=("", "fps", "of rounds", "x real time", "streamer is", "latency ms p50/p95/p99", "memory MiB"),
        rows=[
            (
                name,
                f"{figures.frames_per_second:.1f}",
                _range(figures.frames_per_second_of_rounds),
                f"{figures.real_time_factor:.2f}",
                ratio,
                _latency(figures.latency_ms),
                _memory(figures.peak_memory_mb),
            )
            for name, figures, ratio in [own, *others]
        ],
    )


def _stages(result: BenchmarkResult) -> TextTable:
    stages = {**result.stages, "decoding to encoded": result.latency_ms}
    return TextTable(
        title=f"streamer on {result.device}: ms per frame",
        headings=("stage", "mean", "p50", "p95", "p99", "max"),
        rows=[
            (stage, *(f"{value:.1f}" for value in (times.mean, times.p50, times.p95, times.p99, times.max)))
            for stage, times in stages.items()
        ],
    )


def _streams(streams: StreamsFigures) -> TextTable:
    return TextTable(
        title=f"Live streams held: {streams.held}",
        headings=("streams", "processes", "fps of the slowest", "dropped", "latency ms p50/p95/p99", "held"),
        rows=[
            (
                str(trial.streams),
                str(trial.processes),
                f"{trial.frames_per_second:.1f} of {trial.pace:g}",
                str(trial.dropped_frames),
                _latency(trial.latency_ms),
                "yes" if trial.held else "no",
            )
            for trial in sorted(streams.trials, key=lambda trial: trial.streams)
        ],
    )


def _memory(memory: PeakMemory) -> str:
    return f"{memory.host:.0f}" + ("" if memory.device is None else f" + {memory.device:.0f} on the device")


def _range(values: Sequence[float]) -> str:
    return f"{min(values):.1f} to {max(values):.1f}"


def _latency(times: Times | None) -> str:
    return "not seen" if times is None else f"{times.p50:.0f} / {times.p95:.0f} / {times.p99:.0f}"
