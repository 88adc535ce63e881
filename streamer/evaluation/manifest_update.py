"""Puts measured figures, calibration and operating point into a weights folder's manifest, and renews the cards."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from math import isnan
from pathlib import Path

from streamer.errors import WeightsError
from streamer.evaluation.card import write_card
from streamer.evaluation.out_of_fold import OUT_OF_FOLD
from streamer.evaluation.pipeline import OUTLINE_MEASURES
from streamer.evaluation.result import Chosen, Evaluation, Result
from streamer.models.weights_manifest import ModelEntry, ReportedFigure, Role, read_manifest, write_entry

OUT_OF_FOLD_PREFIX = "out of fold: "
"""Begins the names of figures of other runs of the same recipe, each on the images that it held out."""

PIPELINE_PREFIX = "pipeline: "
"""Begins the names of figures of the whole pipeline, which stand with the network that bears them."""

_PREFIXES = (OUT_OF_FOLD_PREFIX, PIPELINE_PREFIX)


def update_manifest(folder: Path, evaluation: Evaluation) -> list[Path]:
    """Store an evaluation's figures with the weights, in place of those of the last evaluation of its kind.

    Figures of the pipeline stand with the detector, those of outlines with the segmenter, those out of fold and those
    of sweeps, with their operating point, with the classifier. Figures that are not defined or have no interval are
    left out: the manifest promises both.

    Returns:
        The model cards, written anew.

    Raises:
        WeightsError: the folder has no such network.
        OutputError: the manifest or a card cannot be written.
    """
    if evaluation.subject == "pipeline":
        outlines = [result for result in evaluation.results if result.name in OUTLINE_MEASURES]
        others = [result for result in evaluation.results if result.name not in OUTLINE_MEASURES]
        _store(folder, "detector", others, PIPELINE_PREFIX)
        _store(folder, "segmenter", outlines, PIPELINE_PREFIX)
        return [write_card(folder, role) for role in ("detector", "segmenter")]
    if evaluation.subject == "sweeps":
        _store(folder, "classifier", evaluation.results, PIPELINE_PREFIX)
        entry = read_manifest(folder).models["classifier"]
        write_entry(folder, "classifier", entry.model_copy(update={"sweep": evaluation.sweep}))
        return [write_card(folder, "classifier")]
    if evaluation.subject == OUT_OF_FOLD:
        _store(folder, "classifier", evaluation.results, OUT_OF_FOLD_PREFIX, evaluation.chosen)
        return [write_card(folder, "classifier")]
    _store(folder, evaluation.subject, evaluation.results, "", evaluation.chosen)
    return [write_card(folder, evaluation.subject)]


def has_out_of_fold(entry: ModelEntry) -> bool:
    """Whether the entry's calibration and operating point come from out-of-fold predictions."""
    return any(figure.name.startswith(OUT_OF_FOLD_PREFIX) for figure in entry.figures)


def _store(folder: Path, role: Role, results: Iterable[Result], prefix: str, chosen: Chosen | None = None) -> None:
    entry = read_manifest(folder).models.get(role)
    if entry is None:
        raise WeightsError(f"{folder} has no {role}")
    kept = [figure for figure in entry.figures if _prefix(figure.name) != prefix]
    ordered = sorted(
        (*kept, *_reported(results, prefix)), key=lambda figure: ("", *_PREFIXES).index(_prefix(figure.name))
    )
    changes: dict[str, object] = {"figures": tuple(ordered)}
    if chosen is not None:
        changes |= {"operating_point": chosen.operating_point, "operating_point_source": chosen.source}
        if chosen.scaling is not None:
            changes |= chosen.scaling._asdict()
            changes["prevalence"] = chosen.prevalence
    write_entry(folder, role, entry.model_copy(update=changes))


def _prefix(name: str) -> str:
    return next((prefix for prefix in _PREFIXES if name.startswith(prefix)), "")


def _reported(results: Iterable[Result], prefix: str) -> list[ReportedFigure]:
    return [
        ReportedFigure(name=prefix + result.name, data=result.data, split=result.split, **asdict(result.figure))
        for result in results
        if not isnan(result.figure.value) and not isnan(result.figure.low)
    ]
