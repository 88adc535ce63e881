"""Training curves as a picture."""

from __future__ import annotations

import csv
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure


def draw_curves(history: Path, folder: Path) -> None:
    """Plot every column of `history.csv` against the epoch: the loss above, the validation figures below."""
    with history.open(newline="", encoding="utf-8") as stream:
        rows = [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]
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
    figure.savefig(folder / "curves.png", dpi=120)
