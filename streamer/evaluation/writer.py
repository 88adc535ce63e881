"""Writes an evaluation to a folder: metrics.json, tables, plots and one self-contained page."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

from matplotlib import rc_context
from matplotlib.figure import Figure as Plot
from matplotlib.text import Text

from streamer._files import write_whole
from streamer._pixels import data_url
from streamer._templates import html_templates
from streamer.errors import OutputError
from streamer.evaluation.fonts import families_for
from streamer.evaluation.matrix import cell_text, matrix_csv, matrix_markdown, matrix_rows, row_text
from streamer.evaluation.result import Evaluation
from streamer.evaluation.tables import as_csv, as_markdown, as_row, by_data, number_text, value_text
from streamer.version import __version__

_PLOT_DPI = 130
_SVG_SALT = "streamer"  # matplotlib names parts of an SVG at random unless told how: the same figures, the same file


class Weights(Protocol):
    """What a page says of the networks behind it."""

    @property
    def sha256(self) -> str:
        """Checksum of their file."""

    @property
    def architecture(self) -> str:
        """Name of their architecture."""


class EvaluationFolder:
    """Where an evaluation is written; made and tried out before the work begins. A context manager.

    Left with an error, a folder that was made in vain goes away.

    Raises:
        OutputError: it cannot be made or written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._made = folder, not folder.exists()
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot make the folder {folder}: {error.strerror}; choose another --output") from error
        self._write("metrics.json.partial", b"")
        (folder / "metrics.json.partial").unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None and self._made:
            with suppress(OSError):  # not empty
                self.folder.rmdir()

    def write(self, evaluation: Evaluation, weights: Mapping[str, Weights]) -> None:
        """Write all files; each appears only once it is finished.

        Args:
            evaluation: what to write.
            weights: the networks behind it, by role or by run folder.

        Raises:
            OutputError: a file cannot be written.
        """
        drawings = {name: _svg(plot) for name, plot in evaluation.plots.items()}
        for name, plot in evaluation.plots.items():
            self._write(f"{name}.svg", drawings[name])
            self._write(f"{name}.png", _png(plot))
        self._write("figures.csv", as_csv(evaluation.results).encode())
        mark = f"**{evaluation.mark}**\n\n" if evaluation.mark else ""
        self._write("figures.md", (mark + as_markdown(evaluation.results)).encode())
        if evaluation.matrix is not None:
            self._write("matrix.csv", matrix_csv(evaluation.matrix).encode())
            self._write("matrix.md", matrix_markdown(evaluation.matrix).encode())
        self._write("report.html", _page(evaluation, weights, drawings).encode())
        self._write("metrics.json", (json.dumps(as_metrics(evaluation, weights), indent=2) + "\n").encode())

    def _write(self, name: str, content: bytes) -> None:
        try:
            write_whole(self.folder / name, content)
        except OutputError as error:
            raise OutputError(f"{error}; choose another --output") from error


def as_metrics(evaluation: Evaluation, weights: Mapping[str, Weights]) -> dict[str, object]:
    """An evaluation as plain data: every figure with value, interval, counts, method, data and split."""
    chosen = evaluation.chosen
    return {
        "subject": evaluation.subject,
        "streamer": __version__,
        "weights": {name: entry.sha256 for name, entry in weights.items()},
        "settings": dict(evaluation.settings),
        "chosen": None
        if chosen is None
        else {
            "temperature": None if chosen.scaling is None else chosen.scaling.temperature,
            "offset": None if chosen.scaling is None else chosen.scaling.offset,
            "operating_point": chosen.operating_point,
            "source": chosen.source,
        },
        "notes": list(evaluation.notes),
        "mark": evaluation.mark,
        "tables": [asdict(table) for table in evaluation.tables],
        "figures": [as_row(result) for result in evaluation.results],
        "matrix": [] if evaluation.matrix is None else matrix_rows(evaluation.matrix),
    }


def _page(evaluation: Evaluation, weights: Mapping[str, Weights], drawings: Mapping[str, bytes]) -> str:
    return (
        html_templates("streamer.evaluation")
        .get_template("evaluation.html.j2")
        .render(
            evaluation=evaluation,
            groups=by_data(evaluation.results),
            drawings={name: data_url("image/svg+xml", svg) for name, svg in drawings.items()},
            weights=weights,
            row_text=row_text,
            cell_text=cell_text,
            version=__version__,
            value_text=value_text,
            number_text=number_text,
        )
    )


def _svg(plot: Plot) -> bytes:
    return _saved(plot, format="svg", metadata={"Date": None})


def _png(plot: Plot) -> bytes:
    return _saved(plot, format="png", dpi=_PLOT_DPI)


def _saved(plot: Plot, **options: Any) -> bytes:
    buffer = io.BytesIO()
    for text in plot.findobj(Text):
        if not text.get_text().isascii():
            text.set_fontfamily(families_for([text.get_text()]))
    with rc_context({"svg.hashsalt": _SVG_SALT}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # no font has it: a box stands for it
        plot.savefig(buffer, **options)
    return buffer.getvalue()
