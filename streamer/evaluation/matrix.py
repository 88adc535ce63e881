"""Train source by test source: the main figures of one set of weights on each source, as CSV, Markdown and plots."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Plot

from streamer.data.public_sources import unit_of
from streamer.evaluation.classifier import ClassifiedImage
from streamer.evaluation.detector import FALSE_POSITIVES_AN_IMAGE, DetectedImage
from streamer.evaluation.plots import Line, draw_lines
from streamer.evaluation.result import Matrix, MatrixRow, Result
from streamer.evaluation.segmenter import OutlinedNodule
from streamer.evaluation.subsets import ImageTraits, Subset, subsets
from streamer.evaluation.tables import COLUMNS, as_row, number_text, value_text
from streamer.metrics.classification import auc, auc_by_group, has_both
from streamer.metrics.detection import average_precision, sensitivity_at
from streamer.metrics.estimate import Figure, mean_figure
from streamer.metrics.matching import match
from streamer.models.weights_manifest import ModelEntry

MATRIX_NOTE = (
    "Train source by test source: a source that the weights were trained on is tested on its held-out part, one they "
    "have never seen counts whole and is marked external (networks that they were built on may have seen it); cells of "
    "a column can so differ in their images."
)
_MIN_CURVE_POINTS = 3
_ROW_COLUMNS = ("weights", "trained_on", "left_out", "training_images", "training_groups", "external")


def detector_cells(seen: Sequence[DetectedImage]) -> list[Result]:
    """AP50 and sensitivity of each source that shows nodules."""
    cells = []
    for part in _sources([image.traits for image in seen]):
        matches = match([seen[row].boxes for row in part.rows])
        if matches.truths.any():
            figures = {
                "AP50": average_precision(matches, part.resampling),
                f"sensitivity at {FALSE_POSITIVES_AN_IMAGE:g} false positives an image": sensitivity_at(
                    matches, FALSE_POSITIVES_AN_IMAGE, part.resampling
                ),
            }
            cells += [_cell(part, name, figure, "images") for name, figure in figures.items()]
    return cells


def segmenter_cells(seen: Sequence[OutlinedNodule]) -> list[Result]:
    """Mean Dice of each source in the crops of the true boxes."""
    return [
        _cell(
            part,
            "Dice in the crop of the true box",
            mean_figure(
                [seen[row].dice for row in part.rows], [seen[row].traits.group for row in part.rows], part.resampling
            ),
            "nodules",
        )
        for part in _sources([nodule.traits for nodule in seen])
    ]


def classifier_cells(seen: Sequence[ClassifiedImage]) -> list[Result]:
    """Image-level AUC of each source with both classes; the interval is clustered where images share a cluster."""
    cells = []
    for part in _sources([image.traits for image in seen]):
        images = [seen[row] for row in part.rows]
        labels = np.array([image.malignant for image in images], np.bool_)
        scores = [image.log_odds for image in images]
        groups = [image.traits.group for image in images]
        if has_both(labels):
            alone = len(set(groups)) == len(groups)
            figure = auc(labels, scores) if alone else auc_by_group(labels, scores, groups, part.resampling)
            cells.append(_cell(part, "AUC, image level", figure, "images"))
    return cells


def matrix_row(weights: str, entry: ModelEntry, cells: Iterable[Result], external: Iterable[str]) -> MatrixRow:
    """A row, labelled from the manifest.

    Args:
        weights: name of the folder.
        entry: the network's entry.
        cells: results by test source.
        external: sources that the network has never seen.
    """
    training = entry.training
    real = {source: amount for source, amount in training.data.items() if not amount.simulated}
    units = {amount.unit or unit_of(source) for source, amount in real.items() if amount.images}
    return MatrixRow(
        weights=weights,
        trained_on=tuple(source for source, amount in training.data.items() if amount.images),
        left_out=training.config.get("leave_out") or "",
        images=sum(amount.images for amount in real.values()),
        groups=sum(amount.groups for amount in real.values()),
        unit=units.pop() if len(units) == 1 else "group",
        cells=tuple(cells),
        external=frozenset(external),
    )


def learning_curves(matrix: Matrix, configs: Sequence[Mapping[str, Any]]) -> dict[str, Plot]:
    """Each measure against the number of training groups, if three or more runs differ in nothing but their amount.

    Args:
        matrix: a row a run.
        configs: their training configurations, in the order of the rows.
    """
    alike = all(_recipe(config) == _recipe(configs[0]) for config in configs)
    if len(configs) < _MIN_CURVE_POINTS or not alike or len({row.groups for row in matrix.rows}) < len(configs):
        return {}
    rows = sorted(matrix.rows, key=lambda row: row.groups)
    plots = {}
    for measure in matrix.measures:
        lines = []
        for source in matrix.sources:
            points = [(row.groups, cell.figure.value) for row in rows if (cell := row.cell(measure, source))]
            if points:
                lines.append(Line(source, *np.array(points, np.float64).T))
        name = re.sub(r"[^a-z0-9]+", "-", f"learning curve {measure}".lower())
        plots[name] = draw_lines(
            lines, x=f"training {rows[-1].unit}s", y=measure, x_range=(0.0, float(rows[-1].groups))
        )
    return plots


def _recipe(config: Mapping[str, Any]) -> dict[str, Any]:
    """A training configuration without how much of each source it took."""
    return {**config, "sources": sorted(config.get("sources", ()))}


def _sources(views: Sequence[ImageTraits]) -> list[Subset]:
    return [
        part
        for part in subsets(views, parts=False)
        if part.whole and len({views[row].source for row in part.rows}) == 1
    ]


def _cell(part: Subset, name: str, figure: Figure, count_of: str) -> Result:
    return Result(
        name=name,
        figure=figure,
        data=part.name,
        split=part.split,
        count_of=count_of,
        clusters_of=count_of if figure.clusters == figure.count else f"{part.cluster}s",
    )


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
