"""An evaluation in the terminal."""

from __future__ import annotations

from pathlib import Path

import typer

from streamer._format import TextTable
from streamer.evaluation.matrix import cell_text, row_text
from streamer.evaluation.result import Evaluation, Matrix
from streamer.evaluation.tables import by_data, number_text, value_text


def print_evaluation(evaluation: Evaluation, output: Path) -> None:
    """A table for each part of the data, those of a comparison, and where the results are."""
    for (data, split), results in by_data(evaluation.results).items():
        rows = [(result.name, value_text(result), number_text(result)) for result in results]
        _print(TextTable(title=f"{data} ({split})", headings=("measure", "value (95 % interval)", "n"), rows=rows))
    if evaluation.matrix is not None:
        for measure in evaluation.matrix.measures:
            _print(_by_source(evaluation.matrix, measure))
    typer.echo(f"results: {output / 'report.html'}")


def _by_source(matrix: Matrix, measure: str) -> TextTable:
    return TextTable(
        title=f"{measure}, by test source",
        headings=("trained on", *matrix.sources),
        rows=[(row_text(row), *(cell_text(row, measure, source) for source in matrix.sources)) for row in matrix.rows],
    )


def _print(table: TextTable) -> None:
    typer.echo(f"{table.text()}\n")
