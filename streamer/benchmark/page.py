"""`docs/performance-measured.md` and its plot, made from the figures."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from streamer.benchmark.render import as_markdown
from streamer.benchmark.result import BenchmarkResult
from streamer.outputs.folder import output_errors

_COLOURS = {  # Okabe and Ito 2008; a network has the colour of its stage
    "decode": "#0072b2",
    "detect": "#56b4e9", "detector": "#56b4e9",
    "segment": "#009e73", "segmenter": "#009e73",
    "classify": "#e69f00", "classifier": "#e69f00",
    "segment, classify": "#009e73", "segmenter, classifier": "#009e73",
    "track": "#cc79a7",
    "draw": "#d55e00",
    "encode": "#f0e442",
}  # fmt: skip

_CHARACTERS = 95
"""Of the smallest lettering, across the plot."""


def write_page(result: BenchmarkResult, path: Path) -> None:
    """Write the page, and the plot beside it under the same name as PNG.

    Raises:
        OutputError: a file cannot be written.
    """
    plot = path.with_suffix(".png")
    with output_errors(path):
        path.write_text(as_markdown(result, plot.name), encoding="utf-8")
    with output_errors(plot):
        _draw(result).savefig(plot, dpi=120, metadata={"Software": None})


def _draw(result: BenchmarkResult) -> Figure:
    """Stage times, the networks' own times and the time between frames, each a horizontal bar."""
    stages = {stage: times.mean for stage, times in result.stages.items()}
    between_ms = 1000 / result.frames_per_second
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        figure = Figure(figsize=(8, 2.9), layout="constrained")
        axes = figure.subplots()
        widest_ms = max(sum(stages.values()), between_ms)
        _stack(axes, 2, stages, widest_ms)
        _stack(axes, 1, result.networks_ms, widest_ms)
        axes.barh(0, between_ms, color="#999999", height=0.6)
        axes.text(between_ms, 0, f" {between_ms:.1f} ms: {result.frames_per_second:.1f} fps", va="center")
        axes.axvline(1000 / result.clip.frames_per_second, color="black", linewidth=0.8, linestyle="--")
        axes.set_yticks([2, 1, 0], ["stages, mean", "floor: networks alone", "one frame per"])
        axes.set_ylim(-0.6, 2.6)
        axes.set_xlabel(f"ms per frame; dashed: the clip's pace, {result.clip.frames_per_second:g} fps")
        axes.set_title(f"{result.device}, {result.precision}; stages run side by side", loc="left", fontsize=9)
    return figure


def _stack(axes: mpl.axes.Axes, row: int, parts: dict[str, float], widest_ms: float) -> None:
    """One bar; a part is named where its name has room, else behind the bar where that has."""
    left, total = 0.0, sum(parts.values())
    unnamed = []
    for name, value in parts.items():
        axes.barh(row, value, left=left, height=0.6, color=_COLOURS.get(name, "#999999"))
        if value / widest_ms * _CHARACTERS > len(name):
            axes.text(left + value / 2, row, f"{name}\n{value:.1f}", ha="center", va="center", fontsize=7)
        else:
            unnamed.append(f"{name} {value:.1f}")
        left += value
    behind = f": {', '.join(unnamed)}" if unnamed and total < widest_ms / 2 else ""
    axes.text(left, row, f" {total:.1f}{behind}", va="center")
