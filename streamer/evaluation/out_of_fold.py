"""Out-of-fold evaluation: each image is scored by the run that held it out and calibrated on the other folds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from streamer.data.dataset import load_dataset
from streamer.errors import DataError
from streamer.evaluation.classifier import (
    ClassifiedImage,
    arrays,
    calibration_part,
    is_labelled,
    named,
    point_figures,
    ranking_figures,
    rounded_point,
    rounded_scaling,
)
from streamer.evaluation.evaluation_run import EvaluationRun
from streamer.evaluation.plots import Line, draw_calibration, draw_lines
from streamer.evaluation.result import Chosen, Evaluation, Result
from streamer.evaluation.subsets import BLOCKED_SOURCES, Subset, subsets
from streamer.metrics.calibration import (
    IDENTITY,
    Scaling,
    apply_scaling,
    calibration_error,
    fit_scaling,
    reliability_curve,
)
from streamer.metrics.classification import has_both, patient_maximum, roc, youden_threshold
from streamer.settings import Settings

OUT_OF_FOLD = "classifier, out of fold"
Floats = npt.NDArray[np.float64]
_MIN_FOLDS = 2
_FOLD_SETTINGS = ("seed", "tn3k_val_fold", "split_seed", "leave_out")
_NOTES = (
    "Each image was predicted by the one run that held it out, and calibration and operating point for it were fitted "
    "on the predictions of the other runs: no image had a hand in its own figure. Each run's epoch was selected on the "
    "images it held out, which leaves a little optimism.",
    "Labels are those of each source; those of DDTI are a TI-RADS reading, not pathology.",
    "AUC and the ROC curve rank the networks' own log-odds, which calibration in each fold would shift apart.",
    "ECE is the expected calibration error of the probability shown, ten bins of equal width.",
)


@dataclass(frozen=True, slots=True)
class Fold:
    """One run: name of its folder, and its log-odds of the images it held out."""

    name: str
    seen: tuple[ClassifiedImage, ...]


@dataclass(frozen=True, slots=True)
class _Shown:
    """Out-of-fold predictions: images, and for each the probability and operating point fitted on the other folds."""

    images: list[ClassifiedImage]
    probability: Floats
    threshold: Floats


def recipe_differences(configs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Settings in which training configurations differ, apart from the seed and what they hold out.

    A setting that a configuration does not know, because it is older, does not count.
    """
    names = dict.fromkeys(name for config in configs for name in config if name not in _FOLD_SETTINGS)
    return [name for name in names if not _agree([config[name] for config in configs if name in config])]


def _agree(values: Sequence[Any]) -> bool:
    """Whether they are equal, or mappings whose common settings are, at any depth."""
    if not all(isinstance(value, Mapping) for value in values):
        return all(value == values[0] for value in values)
    names = {name for value in values for name in value}
    return all(_agree([value[name] for value in values if name in value]) for name in names)


def evaluate_out_of_fold(folds: Sequence[Fold], notes: Sequence[str] = ()) -> Evaluation:
    """All figures and plots over several folds, and the calibration and operating point of all of them together.

    Args:
        folds: at least two, of different images.
        notes: what a reader must know of these runs.

    Raises:
        DataError: fewer than two folds, or only one class in all others of a fold.
    """
    if len(folds) < _MIN_FOLDS:
        raise DataError(f"out-of-fold figures need at least two runs with different folds (got {len(folds)})")
    everything = [image for fold in folds for image in fold.seen]
    chosen = _choose(everything, len(folds))
    shown = _cross_fitted(folds)
    split = f"out of fold, {len(folds)} folds"
    parts = [
        replace(part, split=split)
        for part in subsets([image.traits for image in shown.images], parts=False)
        if len({shown.images[row].traits.source for row in part.rows}) == 1
    ]
    results = [result for part in parts for result in _results(part, shown)]
    results += [result for fold in folds for result in _fold_results(fold)]
    labels, log_odds = arrays(shown.images)
    return Evaluation(
        subject=OUT_OF_FOLD,
        results=tuple(results),
        plots={
            "roc": draw_lines(_curves(parts, shown), x="1 - specificity", y="sensitivity", diagonal=True),
            "calibration": draw_calibration(
                {
                    f"{part.name}, {when} calibration": reliability_curve(labels[part.rows], values[part.rows])
                    for part in parts
                    for when, values in (("before", apply_scaling(log_odds, IDENTITY)), ("after", shown.probability))
                }
            ),
        },
        settings={"runs": ", ".join(f"{fold.name} ({len(fold.seen)} images)" for fold in folds)},
        notes=(*_NOTES, *notes),
        chosen=chosen,
    )


def _choose(seen: Sequence[ClassifiedImage], folds: int) -> Chosen:
    part = calibration_part(seen, {image.traits.source for image in seen})
    scaling, threshold = _fit(part)
    return Chosen(
        scaling=scaling,
        operating_point=rounded_point(threshold),
        prevalence=round(float(arrays(part)[0].mean()), 4),
        source=f"greatest Youden index, after calibration, from {folds}-fold out-of-fold predictions of the "
        f"same recipe on {part[0].traits.source}, {len(part)} images",
    )


def _fit(seen: Sequence[ClassifiedImage]) -> tuple[Scaling, float]:
    """Calibration and Youden operating point."""
    labels, log_odds = arrays(seen)
    scaling = rounded_scaling(fit_scaling(labels, log_odds))
    return scaling, youden_threshold(labels, apply_scaling(log_odds, scaling))


def _cross_fitted(folds: Sequence[Fold]) -> _Shown:
    images: list[ClassifiedImage] = []
    probabilities, thresholds = [], []
    for fold in folds:
        others = [image for other in folds if other is not fold for image in other.seen]
        scaling, threshold = _fit(calibration_part(others, {image.traits.source for image in fold.seen}))
        images += fold.seen
        probabilities.append(apply_scaling(arrays(fold.seen)[1], scaling))
        thresholds.append(np.full(len(fold.seen), threshold))
    return _Shown(images, np.concatenate(probabilities), np.concatenate(thresholds))


def _results(part: Subset, shown: _Shown) -> list[Result]:
    images = [shown.images[row] for row in part.rows]
    labels, log_odds = arrays(images)
    probability = shown.probability[part.rows]
    above = probability - shown.threshold[part.rows]  # a case is called malignant from 0 on
    groups = np.array([image.traits.group for image in images])
    # Ranked by what the networks say: calibrated apart, a fold with few malignant cases would outrank one with many.
    figures = ranking_figures(labels, log_odds, groups, part) | point_figures(labels, above, 0.0)
    for when, values in (("before", apply_scaling(log_odds, IDENTITY)), ("after", probability)):
        figures[f"ECE {when} calibration"] = calibration_error(labels, values, groups, part.resampling)
    results = named(part, "image level", "images", figures)
    if images[0].traits.source not in BLOCKED_SOURCES:
        whole, called = patient_maximum(groups, labels, log_odds), patient_maximum(groups, labels, above)
        figures = ranking_figures(whole.labels, whole.scores, whole.patients, part)
        results += named(
            part, "patient level", f"{part.cluster}s", figures | point_figures(called.labels, called.scores, 0.0)
        )
    return results


def _fold_results(fold: Fold) -> list[Result]:
    """AUC of each fold on its own: how much folds differ."""
    results = []
    for part in subsets([image.traits for image in fold.seen], parts=False):
        images = [fold.seen[row] for row in part.rows]
        if len({image.traits.source for image in images}) == 1:
            labels, log_odds = arrays(images)
            groups = np.array([image.traits.group for image in images])
            own = replace(part, split=f"{part.split} ({fold.name})")
            results += named(own, "image level", "images", ranking_figures(labels, log_odds, groups, own))
    return results


def _curves(parts: Sequence[Subset], shown: _Shown) -> list[Line]:
    lines = []
    for part in parts:
        labels, log_odds = arrays([shown.images[row] for row in part.rows])
        if has_both(labels):
            curve = roc(labels, log_odds)
            lines.append(Line(f"{part.name}, images", curve.false_positive_rate, curve.sensitivity))
    return lines


def fold_bench(data: Path, run: Path, settings: Settings, *, detector_from: Path) -> EvaluationRun:
    """A run over what it held out: the centre that it left out, else its validation part.

    Raises:
        WeightsError: the run has no classifier.
    """
    left_out = EvaluationRun(data, run, "test", settings, detector_from=detector_from)
    if left_out.entry("classifier").training.config.get("leave_out"):
        return left_out
    return EvaluationRun(data, run, "val", settings, detector_from=detector_from)


def predict_folds(benches: Sequence[EvaluationRun]) -> list[Fold]:
    """Log-odds of every image that a run held out of the sources it was trained on, by that run.

    Raises:
        DataError: two runs held out the same image, or a run none.
    """
    if len({bench.weights.resolve() for bench in benches}) < len(benches):
        raise DataError("a run is given twice: give each fold once")
    owner: dict[tuple[Path, int | None], str] = {}
    for bench in benches:  # before any network runs
        for sample in bench.labelled(external=False):
            other = owner.setdefault((sample.image, sample.frame), str(bench.weights))
            if other != str(bench.weights):
                raise DataError(f"{other} and {bench.weights} both held out {sample.image.name}: give each fold once")
    return [Fold(bench.weights.name, tuple(bench.log_odds(external=False))) for bench in benches]


def coverage(data: Path, folds: Sequence[Fold]) -> list[str]:
    """How many labelled images of each source the folds predict, a sentence a source."""
    predicted = Counter(image.traits.source for fold in folds for image in fold.seen)
    labelled = Counter(sample.source for sample in load_dataset(data).samples if is_labelled(sample))
    return [
        f"{count} of {labelled[source]} labelled images of {source} were predicted, {len(folds)} runs."
        for source, count in predicted.items()
    ]
