"""Training curves as a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from streamer.errors import OutputError


def draw_curves(history: Path, folder: Path) -> None:
    """Plot every column of `history.csv` against the epoch: the loss above, the validation figures below.

    Raises:
        OutputError: the history is not there, or the picture cannot be written.
    """
    try:
        with history.open(newline="", encoding="utf-8") as stream:
            rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
        _plot(rows).savefig(folder / "curves.png", dpi=120)
    except OSError as error:
        raise OutputError(f"cannot write the curves to {folder}: {error.strerror}") from error


def _plot(rows: Sequence[Mapping[str, float]]) -> Figure:
    epochs = [row["epoch"] + 1 for row in rows]
    figure = Figure(figsize=(7, 6), layout="constrained")
    FigureCanvasAgg(figure)
    top, bottom = figure.subplots(2, 1, sharex=True)
    top.plot(epochs, [row["loss"] for row in rows], marker=".")
    top.set_ylabel("training loss")
    for name in rows[0]:
        if name not in ("epoch", "seconds", "loss"):
            bottom.plot(epochs, [row[name] for row in rows], marker=".", label=name)
    bottom.set_ylabel("validation figure")
    bottom.set_xlabel("epoch")
    bottom.legend()
    return figure
