"""The drawings of an evaluation, all in one style. Drawn on the caller's own figure: no global state of matplotlib."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot

from streamer.metrics.calibration import ReliabilityBin

_INK = "#1b2733"
_MUTED = "#5b6b7a"
# Okabe and Ito's palette, which colour-blind readers can tell apart.
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")
_LABEL_WIDTH = 40


@dataclass(frozen=True, slots=True)
class Line:
    """A named curve: x and y, shapes (n,)."""

    name: str
    x: npt.NDArray[np.float64]
    y: npt.NDArray[np.float64]


def draw_lines(
    lines: Sequence[Line],
    *,
    x: str,
    y: str,
    x_range: tuple[float, float] = (0.0, 1.0),
    mark_x: float | None = None,
    diagonal: bool = False,
) -> Plot:
    """Curves over one another; `mark_x` draws an upright line, `diagonal` that of pure chance."""
    plot, axes = _axes(x, y)
    for number, line in enumerate(lines):
        axes.plot(line.x, line.y, label=line.name, linewidth=1.8, **_style(number))  # type: ignore[arg-type]
    if diagonal:
        axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8)
    if mark_x is not None:
        axes.axvline(mark_x, color=_MUTED, linewidth=0.9, linestyle=(0, (5, 3)))
    margin = 0.02 * (x_range[1] - x_range[0])
    axes.set_xlim(x_range[0] - margin, x_range[1] + margin)
    axes.set_ylim(-0.02, 1.02)
    _legend(axes)
    return plot


def draw_calibration(curves: Mapping[str, Sequence[ReliabilityBin]]) -> Plot:
    """Observed share of malignant cases, with Wilson's interval, against the probability shown."""
    plot, axes = _axes("probability shown", "observed share malignant")
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8)
    for number, (name, bins) in enumerate(curves.items()):
        shown = [point.mean_probability for point in bins]
        observed = [point.observed.value for point in bins]
        below = [point.observed.value - point.observed.low for point in bins]
        above = [point.observed.high - point.observed.value for point in bins]
        axes.errorbar(
            shown,
            observed,
            yerr=[below, above],
            label=name,
            marker=_MARKERS[number % len(_MARKERS)],
            markersize=4,
            capsize=2,
            linewidth=1.3,
            elinewidth=0.7,
            **_style(number),  # type: ignore[arg-type]
        )
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    _legend(axes)
    return plot


def draw_boxes(groups: Mapping[str, Sequence[float]], *, x: str) -> Plot:
    """Median, quartiles and outliers of each group, from top to bottom; NaN values are left out."""
    plot, axes = _axes(x, "", height=1.2 + 0.55 * len(groups))
    values = [np.asarray(group, np.float64) for group in groups.values()]
    axes.boxplot(
        [group[~np.isnan(group)] for group in values],
        orientation="horizontal",
        tick_labels=[textwrap.fill(name.replace("\n", ": "), _LABEL_WIDTH) for name in groups],
        widths=0.6,
        flierprops={"marker": ".", "markersize": 3, "markeredgecolor": _MUTED},
        medianprops={"color": _COLOURS[1], "linewidth": 1.8},
    )
    axes.set_xlim(-0.02, 1.02)
    axes.invert_yaxis()
    return plot


def draw_points(points: Mapping[str, Sequence[tuple[float, float]]], *, x: str, y: str) -> Plot:
    """A cloud of points a name, on a logarithmic x axis."""
    plot, axes = _axes(x, y)
    for number, (name, cloud) in enumerate(points.items()):
        across, up = zip(*cloud, strict=True)
        axes.scatter(
            across,
            up,
            s=11,
            alpha=0.6,
            linewidths=0,
            marker=_MARKERS[number % len(_MARKERS)],
            color=_COLOURS[number % len(_COLOURS)],
            label=name,
        )
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylim(-0.02, 1.02)
    _legend(axes)
    return plot


def draw_bars(values: Sequence[tuple[str, float]], *, x: str, mark: float) -> Plot:
    """A named bar a value, from top to bottom, with an upright line at `mark`."""
    plot, axes = _axes(x, "", height=1.2 + 0.3 * len(values))
    axes.barh(range(len(values)), [value for _, value in values], color=_COLOURS[0], height=0.7)
    axes.set_yticks(range(len(values)), [name for name, _ in values])
    axes.axvline(mark, color=_INK, linewidth=0.9, linestyle=(0, (5, 3)))
    axes.set_xlim(0, 1.02)
    axes.invert_yaxis()
    return plot


def _axes(x: str, y: str, *, height: float = 4.6) -> tuple[Plot, Axes]:
    plot = Plot(figsize=(7, height), layout="constrained")
    axes = plot.subplots()
    axes.set_xlabel(x, color=_MUTED)
    axes.set_ylabel(y, color=_MUTED)
    axes.tick_params(colors=_MUTED, labelsize=9, length=3)
    axes.grid(color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b8c2cb")
    return plot, axes


def _style(number: int) -> dict[str, str]:
    return {"color": _COLOURS[number % len(_COLOURS)], "linestyle": _DASHES[number % len(_DASHES)]}


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8.5, frameon=False, loc="best")
