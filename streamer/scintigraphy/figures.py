"""The paper's Figures 4 to 6 and its supplementary ones, drawn on figures of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Plot

from streamer.metrics.classification import roc
from streamer.metrics.multiclass import Answers, confusion
from streamer.scintigraphy.answers import Said, SetName
from streamer.scintigraphy.classes import CLASSES, TITLES

_INK, _MUTED = "#1b2733", "#5b6b7a"
_COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""Okabe and Ito's palette."""
_DASHES = ("-", "--", "-.", ":")
_MARKERS = ("o", "s", "^", "D")

CAPTIONS: Mapping[str, str] = {
    "figure-4a-networks": "Figure 4A. Accuracy of each network on the internal validation set",
    "figure-4b-readers": "Figure 4B. Accuracy of the network and of each reader",
    "figure-5-roc": "Figure 5. ROC curves of the network, one class against the rest; a reader is one point",
    "figure-s2-confusion": "Supplementary Figure S2. Confusion matrices of the network",
    "figure-s3-roc-networks": "Supplementary Figure S3. ROC curve of each network on the internal validation set, mean "
    "over classes",
    "figure-6-and-s1-heat-maps": "Figure 6 and Supplementary Figure S1. Tumours, and over them each network's heat map",
}
"""What stands below each figure, by the name of its file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatExample:
    """A picture with the heat map of a class over it.

    Attributes:
        title: what it shows.
        grey: shape (side, side).
        heat: shape (side, side), 0 to 1.
        lesion: a phantom's true region, shape (side, side); None where there is none.
    """

    title: str
    grey: npt.NDArray[np.uint8]
    heat: npt.NDArray[np.float32]
    lesion: npt.NDArray[np.bool_] | None = None


def accuracy_bars(groups: Mapping[SetName, Sequence[Said]], mark: str) -> Plot:
    """Figure 4: accuracies with 95 % intervals, a group of bars a set."""
    names = list(dict.fromkeys(one.name for part in groups.values() for one in part))
    plot, axes = _plot(mark, width=1.6 + 1.35 * len(groups) * max(1, len(names) / 2))
    width = 0.8 / max(len(names), 1)
    for number, name in enumerate(names):
        for place, part in enumerate(groups.values()):
            for one in part:
                if one.name != name:
                    continue
                figure = one.overall.accuracy
                x = place + (number - (len(names) - 1) / 2) * width
                error = [[figure.value - figure.low], [figure.high - figure.value]]
                axes.bar(x, figure.value, width * 0.92, color=_COLOURS[number % len(_COLOURS)],
                         label=name if place == 0 else None, yerr=error, capsize=3, ecolor=_INK)  # fmt: skip
                axes.text(x, 0.02, f"{figure.value:.3f}", ha="center", va="bottom", color="white", fontsize=8)
    axes.set_xticks(range(len(groups)), list(groups))
    axes.set_ylim(0, 1.02)
    axes.set_ylabel("accuracy (95 % interval)", color=_MUTED)
    axes.legend(fontsize=8.5, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.08), ncols=3)
    return plot


def roc_panels(sets: Mapping[SetName, tuple[Said, Sequence[Said]]], mark: str) -> Plot:
    """Figure 5: ROC of the model by class with each reader's point, a row a set."""
    plot = Plot(figsize=(3.1 * len(CLASSES), 3.3 * len(sets) + 0.4), layout="constrained")
    panels: Any = plot.subplots(len(sets), len(CLASSES), squeeze=False, sharex=True, sharey=True)
    for row, (set_name, (model, readers)) in zip(panels, sets.items(), strict=True):
        for number, (axes, label) in enumerate(zip(row, CLASSES, strict=True)):
            _style(axes)
            _roc_line(axes, model.answers, number, 0, f"{model.name}, AUC {_auc(model, number)}")
            for place, reader in enumerate(readers, start=1):
                figures = reader.by_class[number]
                x, y = 1 - figures.specificity.value, figures.sensitivity.value
                colour = _COLOURS[place % len(_COLOURS)]
                axes.plot([0, x, 1], [0, y, 1], color=colour, linewidth=0.9, linestyle=":")
                axes.plot([x], [y], marker=_MARKERS[place % len(_MARKERS)], color=colour, linestyle="none",
                          label=f"{reader.name}, AUC {_auc(reader, number)}")  # fmt: skip
            axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.6)
            axes.set_title(f"{TITLES[label]}, {set_name.split()[0]}", fontsize=9, color=_INK)
            if axes.get_legend_handles_labels()[0]:  # a class that a set lacks has no curve
                axes.legend(fontsize=7, frameon=False, loc="lower right")
    return _labelled(plot, "1 - specificity", "sensitivity", mark)


def macro_roc(models: Sequence[Said], mark: str) -> Plot:
    """Supplementary Figure S3: ROC of each network, the mean over classes."""
    plot, axes = _plot(mark)
    steps = np.linspace(0, 1, 201)
    for number, model in enumerate(models):
        curves = [
            roc((model.answers.truth == index).astype(np.int64), model.answers.scores(index)) for index in range(4)
        ]
        mean = np.mean([np.interp(steps, curve.false_positive_rate, curve.sensitivity) for curve in curves], axis=0)
        mean[0] = 0.0
        area = model.overall.auc
        axes.plot(steps, mean, color=_COLOURS[number % len(_COLOURS)], linestyle=_DASHES[number % len(_DASHES)],
                  label=f"{model.name}, AUC {area.value:.3f} ({area.low:.3f}-{area.high:.3f})")  # fmt: skip
    axes.plot([0, 1], [0, 1], color=_MUTED, linewidth=0.6)
    axes.set_xlabel("1 - specificity", color=_MUTED)
    axes.set_ylabel("sensitivity, mean over classes", color=_MUTED)
    axes.legend(fontsize=8.5, frameon=False, loc="lower right")
    return plot


def confusion_panels(sets: Mapping[SetName, Said], mark: str) -> Plot:
    """Supplementary Figure S2: confusion matrices, rows the truth."""
    plot = Plot(figsize=(4.6 * len(sets), 4.4), layout="constrained")
    panels: Any = plot.subplots(1, len(sets), squeeze=False)
    for axes, (name, said) in zip(panels[0], sets.items(), strict=True):
        matrix = confusion(said.answers)
        shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row in range(4):
            for column in range(4):
                colour = "white" if shares[row, column] > 0.6 else _INK
                axes.text(column, row, str(matrix[row, column]), ha="center", va="center", color=colour, fontsize=10)
        axes.set_xticks(range(4), CLASSES, fontsize=8)
        axes.set_yticks(range(4), CLASSES, fontsize=8)
        axes.set_title(f"{said.name}, {name}", fontsize=9, color=_INK)
    return _labelled(plot, "answer", "truth", mark)


def heat_panels(rows: Sequence[Sequence[HeatExample]], mark: str) -> Plot:
    """Figure 6 and S1: pictures and heat maps over them; the truth's outline where there is one."""
    columns = max(len(row) for row in rows) + 1
    plot = Plot(figsize=(2.3 * columns, 2.5 * len(rows) + 0.4), layout="constrained")
    panels: Any = plot.subplots(len(rows), columns, squeeze=False)
    for line, row in zip(panels, rows, strict=True):
        for axes in line:
            axes.set_axis_off()
        first = row[0]
        line[0].imshow(first.grey, cmap="gray", vmin=0, vmax=255)
        line[0].set_title("picture, true region" if first.lesion is not None else "picture", fontsize=8, color=_INK)
        if first.lesion is not None and first.lesion.any():
            line[0].contour(first.lesion, levels=[0.5], colors=[_COLOURS[4]], linewidths=0.9)
        for axes, example in zip(line[1:], row, strict=False):
            axes.imshow(example.grey, cmap="gray", vmin=0, vmax=255)
            axes.imshow(example.heat, cmap="jet", vmin=0, vmax=1, alpha=0.45)
            axes.set_title(example.title, fontsize=8, color=_INK)
    return _labelled(plot, "", "", mark)


def _roc_line(axes: Axes, given: Answers, number: int, style: int, label: str) -> None:
    truth = (given.truth == number).astype(np.int64)
    if 0 < truth.sum() < len(truth):
        curve = roc(truth, given.scores(number))
        axes.plot(curve.false_positive_rate, curve.sensitivity, color=_COLOURS[style], linewidth=1.8, label=label)


def _auc(said: Said, number: int) -> str:
    return f"{said.by_class[number].auc.value:.3f}"


def _plot(mark: str, width: float = 7.0) -> tuple[Plot, Axes]:
    plot = Plot(figsize=(max(width, 5.5), 4.6), layout="constrained")
    axes = plot.subplots()
    _style(axes)
    _marked(plot, mark)
    return plot, axes


def _style(axes: Axes) -> None:
    axes.tick_params(colors=_MUTED, labelsize=8, length=3)
    axes.grid(color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _labelled(plot: Plot, x: str, y: str, mark: str) -> Plot:
    if x:
        plot.supxlabel(x, fontsize=9, color=_MUTED)
        plot.supylabel(y, fontsize=9, color=_MUTED)
    _marked(plot, mark)
    return plot


def _marked(plot: Plot, mark: str) -> None:
    if mark:
        plot.suptitle(mark, fontsize=8.5, color="#a04000")
