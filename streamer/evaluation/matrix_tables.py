"""The matrix of train and test sources as tables: CSV, a line a cell, and Markdown in the form of the paper's."""

from __future__ import annotations

import csv
import io

from streamer.evaluation.result import Matrix, MatrixRow
from streamer.evaluation.tables import COLUMNS, as_row, number_text, value_text

_ROW_COLUMNS = ("weights", "trained_on", "left_out", "training_images", "training_groups", "external")


def matrix_rows(matrix: Matrix) -> list[dict[str, str | int | float | bool | None]]:
    """Plain data, an entry a cell."""
    return [
        {
            "weights": row.weights,
            "trained_on": " + ".join(row.trained_on),
            "left_out": row.left_out,
            "training_images": row.images,
            "training_groups": row.groups,
            "external": cell.data in row.external,
            **as_row(cell),
        }
        for row in matrix.rows
        for cell in row.cells
    ]


def matrix_csv(matrix: Matrix) -> str:
    """All cells, a line each."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, (*_ROW_COLUMNS, *COLUMNS), lineterminator="\n")
    writer.writeheader()
    writer.writerows(matrix_rows(matrix))
    return stream.getvalue()


def matrix_markdown(matrix: Matrix) -> str:
    """One table a measure: a row a set of weights, a column a test source."""
    return "\n".join(
        f"### {measure}\n\n"
        + "| trained on | "
        + " | ".join(matrix.sources)
        + " |\n|"
        + "---|" * (len(matrix.sources) + 1)
        + "\n"
        + "".join(
            f"| {row_text(row)} | " + " | ".join(cell_text(row, measure, source) for source in matrix.sources) + " |\n"
            for row in matrix.rows
        )
        for measure in matrix.measures
    )


def row_text(row: MatrixRow) -> str:
    """For example "cine + ddti, without gland: 1304 images of 342 groups (runs/detector)"."""
    left_out = f", without {row.left_out}" if row.left_out else ""
    trained_on = " + ".join(row.trained_on) or "not recorded"
    return f"{trained_on}{left_out}: {row.images} images of {row.groups} {row.unit}s ({row.weights})"


def cell_text(row: MatrixRow, measure: str, source: str) -> str:
    """For example "0.690 (0.622 to 0.756), 392 images of 325 cases, external"."""
    cell = row.cell(measure, source)
    if cell is None:
        return "-"
    return f"{value_text(cell)}, {number_text(cell)}" + (", external" if source in row.external else "")
