"""Puts measured figures, temperature and operating point into a weights folder's manifest, and renews the cards."""

from __future__ import annotations

from collections.abc import Iterable
from math import isnan
from pathlib import Path

from streamer.errors import WeightsError
from streamer.evaluation.card import write_card
from streamer.evaluation.figures_pipeline import OUTLINE_MEASURES
from streamer.evaluation.result import Chosen, Evaluation, Result
from streamer.models.weights import ROLES, ReportedFigure, Role, read_manifest, write_entry

PIPELINE_PREFIX = "pipeline: "
"""Begins the names of figures of the whole pipeline, which stand with the network that bears them."""


def update_manifest(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Store an evaluation's figures with the weights, in place of those of the last evaluation of its kind.

    Figures of the pipeline stand with the detector, those of outlines with the segmenter. Figures that are not defined
    or have no interval are left out: the manifest promises both.

    Returns:
        The model cards, written anew.

    Raises:
        WeightsError: the folder has no such network.
        OutputError: the manifest or a card cannot be written.
    """
    if evaluation.subject == "pipeline":
        outlines = [result for result in evaluation.results if result.name in OUTLINE_MEASURES]
        others = [result for result in evaluation.results if result.name not in OUTLINE_MEASURES]
        _store(folder, "detector", _reported(others, PIPELINE_PREFIX), of_pipeline=True)
        _store(folder, "segmenter", _reported(outlines, PIPELINE_PREFIX), of_pipeline=True)
        return [write_card(folder, "detector"), write_card(folder, "segmenter")]
    role = next(role for role in ROLES if role == evaluation.subject)
    _store(folder, role, _reported(evaluation.results), of_pipeline=False, chosen=evaluation.chosen)
    return [write_card(folder, role)]


def _store(
    folder: Path, role: Role, figures: Iterable[ReportedFigure], *, of_pipeline: bool, chosen: Chosen | None = None
) -> None:
    entry = read_manifest(folder).models.get(role)
    if entry is None:
        raise WeightsError(f"{folder} has no {role}")
    kept = [figure for figure in entry.figures if figure.name.startswith(PIPELINE_PREFIX) != of_pipeline]
    changes: dict[str, object] = {"figures": (*kept, *figures) if of_pipeline else (*figures, *kept)}
    if chosen is not None:
        changes |= {
            "temperature": chosen.temperature,
            "operating_point": chosen.operating_point,
            "operating_point_source": chosen.source,
        }
    write_entry(folder, role, entry.model_copy(update=changes))


def _reported(results: Iterable[Result], prefix: str = "") -> list[ReportedFigure]:
    return [
        ReportedFigure(
            name=prefix + result.name,
            value=result.figure.value,
            low=result.figure.low,
            high=result.figure.high,
            data=result.data,
            split=result.split,
            count=result.figure.count,
            clusters=result.figure.clusters,
            method=result.figure.method,
        )
        for result in results
        if not isnan(result.figure.value) and not isnan(result.figure.low)
    ]
