"""Drawings of a reader study: ROC curves as in the paper's Figure 4, and every reader's AUC by scenario."""

from __future__ import annotations

from math import isnan

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot

from streamer.evaluation.fonts import fonts_for, labels_of
from streamer.metrics.classification import roc
from streamer.metrics.estimate import Figure
from streamer.studies.readers import AI, LevelStudy, ReaderStudy

_INK, _MUTED, _GRID = "#1b2733", "#5b6b7a", "#e3e8ec"
_REDS = ("#7f0f12", "#e0484c", "#b5202a", "#f08a80", "#9c3d54", "#d1625d")
_DASHES = ("-", "--", "-.", ":", (0, (6, 1, 1, 1, 1, 1)))
_SCENARIO_COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00")  # Okabe and Ito
_SCENARIO_MARKERS = ("o", "s", "^", "D", "v", "P")
_MAX_NAMED = 10


def roc_figure(study: ReaderStudy, scenario: str) -> Plot:
    """ROC curves of a scenario, a panel a level: the AI black with its operating point, each reader in a red."""
    count, ratings = len(study.levels), study.levels[0].data.ratings
    shown = scenario_labels(study.levels[0])[scenario]
    with fonts_for([*ratings.readers, *ratings.treatments]):
        plot = Plot(figsize=(5.6 * count, 5.4), layout="constrained")
        panels = plot.subplots(1, count, squeeze=False)[0]
        for letter, axes, level in zip("AB", panels, study.levels, strict=False):
            _roc_panel(axes, level, scenario)
            axes.set_title(f"{letter}   {level.level} level, {shown}", loc="left", fontsize=11, color=_INK)
    return plot


def areas_figure(level: LevelStudy) -> Plot:
    """AUC of each reader in each scenario with its interval, the AI's as a band; hollow without an interval."""
    with fonts_for([*level.data.ratings.readers, *level.data.ratings.treatments]):
        return _areas_plot(level)


def reader_labels(level: LevelStudy) -> dict[str, str]:
    """What stands for each reader in a figure."""
    labels = labels_of("reader", level.data.ratings.readers)
    return {name: f"reader {label}" if len(label) <= 2 else label for name, label in labels.items()}


def scenario_labels(level: LevelStudy) -> dict[str, str]:
    """What stands for each scenario in a figure."""
    return labels_of("scenario", level.data.ratings.treatments)


def _areas_plot(level: LevelStudy) -> Plot:
    ratings, names, scenarios = level.data.ratings, reader_labels(level), scenario_labels(level)
    plot = Plot(figsize=(8.6, 1.4 + 0.32 * len(ratings.readers) * max(1, len(ratings.treatments) * 0.75)))
    plot.set_layout_engine("constrained")
    axes = plot.subplots()
    _style(axes)
    steps = np.linspace(-0.27, 0.27, len(ratings.treatments)) if len(ratings.treatments) > 1 else np.zeros(1)
    figures = {(area.reader, area.scenario): area.delong for area in level.areas}
    for number, (scenario, step) in enumerate(zip(ratings.treatments, steps, strict=True)):
        rows = [figures[reader, scenario] for reader in ratings.readers]
        values, heights = np.array([row.value for row in rows]), np.arange(len(rows)) + step
        marker = _SCENARIO_MARKERS[number % len(_SCENARIO_MARKERS)]
        colour = _SCENARIO_COLOURS[number % len(_SCENARIO_COLOURS)]
        axes.errorbar(
            values,
            heights,
            xerr=[values - [row.low for row in rows], [row.high for row in rows] - values],
            fmt=marker,
            color=colour,
            markersize=5,
            elinewidth=1.2,
            capsize=2,
            label=scenarios[scenario],
        )
        unknown = np.array([isnan(row.low) for row in rows])
        axes.plot(values[unknown], heights[unknown], marker, mec=colour, mfc="#ffffff", markersize=5)
    if (ai := figures.get((AI, ""))) is not None:
        if not isnan(ai.low):
            axes.axvspan(ai.low, ai.high, color="#000000", alpha=0.07, linewidth=0)
        axes.axvline(ai.value, color="#000000", linewidth=1.1, label=AI)
    axes.set_yticks(range(len(ratings.readers)), [names[name] for name in ratings.readers])
    axes.invert_yaxis()
    axes.set_xlabel(f"AUC, {level.level} level (95 % interval)", color=_MUTED)
    axes.legend(fontsize=9, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1.0))
    return plot


def _roc_panel(axes: Axes, level: LevelStudy, scenario: str) -> None:
    _style(axes)
    ratings = level.data.ratings
    figures = {(area.reader, area.scenario): area.delong for area in level.areas}
    rows, names = ratings.scores[ratings.treatments.index(scenario)], reader_labels(level)
    for number, (reader, row) in enumerate(zip(ratings.readers, rows, strict=True)):
        read = ~np.isnan(row)
        curve, figure = roc(ratings.truth[read], row[read]), figures[reader, scenario]
        axes.plot(
            curve.false_positive_rate,
            curve.sensitivity,
            color=_REDS[number % len(_REDS)],
            linestyle=_DASHES[number % len(_DASHES)],
            linewidth=1.3,
            label=f"{names[reader]}: {_short(figure)}" if number < _MAX_NAMED else None,
        )
    if level.ai is not None and level.ai_point is not None:
        curve, figure = roc(ratings.truth, level.ai), figures[AI, ""]
        label = f"{AI}: {_short(figure)}"
        axes.plot(curve.false_positive_rate, curve.sensitivity, color="#000000", linewidth=1.8, label=label)
        point = level.ai_point
        axes.plot(1 - point.specificity.value, point.sensitivity.value, "^", color="#000000", markersize=9)
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.8)
    axes.set_xlim(-0.02, 1.02)
    axes.set_ylim(-0.02, 1.02)
    axes.set_aspect("equal")
    axes.set_xlabel("1 - specificity", color=_MUTED)
    axes.set_ylabel("sensitivity", color=_MUTED)
    axes.legend(fontsize=8.5, frameon=False, loc="lower right", title="AUC (95 % interval)", title_fontsize=8.5)


def _short(figure: Figure) -> str:
    return f"{figure.value:.2f} " + (
        "(no interval)" if isnan(figure.low) else f"({figure.low:.2f} to {figure.high:.2f})"
    )


def _style(axes: Axes) -> None:
    axes.tick_params(colors=_MUTED, labelsize=9, length=3)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b8c2cb")
