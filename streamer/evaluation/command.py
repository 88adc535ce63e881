"""The `evaluate` command: one weights folder, several runs side by side, or the folds of one recipe."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from pathlib import Path

from streamer.data.samples import Split
from streamer.errors import DataError, DeviceError
from streamer.evaluation.evaluation_run import EvaluationRun
from streamer.evaluation.int8_cost import note_int8_cost
from streamer.evaluation.manifest_update import update_manifest
from streamer.evaluation.out_of_fold import (
    Fold,
    coverage,
    evaluate_out_of_fold,
    fold_bench,
    predict_folds,
    recipe_differences,
)
from streamer.evaluation.result import Evaluation
from streamer.evaluation.tasks import compare, evaluate_subject
from streamer.evaluation.writer import EvaluationFolder
from streamer.models.registry import TASKS
from streamer.models.weights_manifest import read_manifest
from streamer.settings import Settings


def evaluate(
    subject: str,
    data: Path,
    output: Path,
    *,
    weights: Path,
    split: Split = "val",
    settings: Settings | None = None,
    update: bool = False,
    keep_operating_point: bool = False,
) -> Evaluation:
    """Evaluate a network, or all three on clips, and write figures, tables, plots and a page.

    Args:
        subject: name of a task in the registry, "pipeline" or "sweeps".
        data: folder in the public layout, or CSV manifest.
        output: folder of the results; made where missing.
        weights: weights folder.
        split: split of the sources that the networks were trained on; other sources count whole.
        settings: how the networks run.
        update: store the figures (and the detector's and the classifier's operating point and calibration) in the
            weights' manifest and write the model cards anew; measure what the network's int8 version costs, if any.
        keep_operating_point: measure, and store, at the calibration and operating point that the weights have.

    Raises:
        DataError: data are missing, inconsistent or do not hold what is to be evaluated.
        WeightsError: a network is missing or damaged.
        DeviceError: the device cannot be used.
        OutputError: the results cannot be written.
    """
    with EvaluationFolder(output) as folder:
        bench = EvaluationRun(data, weights, split, settings or Settings())
        evaluation = evaluate_subject(subject, bench, choosing=update and not keep_operating_point)
        if update:
            if subject in TASKS:
                with contextlib.suppress(DeviceError):  # no int8 on this processor: what was measured last stands
                    note_int8_cost(subject, data, weights, split)
            update_manifest(weights, evaluation)
        folder.write(evaluation, read_manifest(weights).models)
    return evaluation


def evaluate_matrix(
    subject: str,
    runs: Sequence[Path],
    data: Path,
    output: Path,
    *,
    weights: Path,
    split: Split = "val",
    settings: Settings | None = None,
) -> Evaluation:
    """Compare several runs: the main figures of each on each source, and a learning curve where that is what they are.

    Args:
        subject: name of a task in the registry.
        runs: run or weights folders, a row each.
        data: folder in the public layout, or CSV manifest.
        output: folder of the results; made where missing.
        weights: weights folder of the detector that draws boxes on stills without any, where a run has none.
        split: split of the sources that a run was trained on; sources it has never seen count whole.
        settings: how the networks run.

    Raises:
        DataError: the whole pipeline was asked for, or data are missing, inconsistent or of no use.
        WeightsError: a network is missing or damaged.
        DeviceError: the device cannot be used.
        OutputError: the results cannot be written.
    """
    if subject not in TASKS:
        raise DataError(f"runs are compared by network ({', '.join(TASKS)}), not by {subject}")
    with EvaluationFolder(output) as folder:
        benches = [EvaluationRun(data, run, split, settings or Settings(), detector_from=weights) for run in runs]
        evaluation = compare(subject, benches)
        folder.write(evaluation, {str(bench.weights): bench.entry(subject) for bench in benches})
    return evaluation


def evaluate_folds(
    subject: str,
    runs: Sequence[Path],
    data: Path,
    output: Path,
    *,
    weights: Path,
    boxes_from: Path | None = None,
    settings: Settings | None = None,
    update: bool = False,
) -> Evaluation:
    """Evaluate runs of one recipe out of fold: each image by the one run that held it out.

    Args:
        subject: "classifier".
        runs: run folders, a fold each.
        data: folder in the public layout, or CSV manifest.
        output: folder of the results; made where missing.
        weights: folder of the published classifier.
        boxes_from: folder of the detector that draws boxes on stills without any; None for that of `weights`. One that
            has learned from images of these folds draws better boxes there than it would on others.
        settings: how the networks run.
        update: store figures, calibration and operating point with the published classifier; write its card anew.

    Raises:
        DataError: it is not the classifier; two runs held out the same image; the runs differ in more than their fold,
            which `update` forbids; or data are missing or of no use.
        WeightsError: a network is missing or damaged.
        DeviceError: the device cannot be used.
        OutputError: the results cannot be written.
    """
    if subject != "classifier":
        raise DataError(f"only the classifier is evaluated out of fold, not the {subject}")
    with EvaluationFolder(output) as folder:
        benches = [fold_bench(data, run, settings or Settings(), detector_from=boxes_from or weights) for run in runs]
        entries = {str(bench.weights): bench.entry("classifier") for bench in benches}
        published = [EvaluationRun(data, weights, "val", settings or Settings()).entry("classifier")] if update else []
        differences = recipe_differences([entry.training.config for entry in (*entries.values(), *published)])
        if update and differences:
            raise DataError(f"the runs and {weights} are not of one recipe: they differ in {', '.join(differences)}")
        folds = predict_folds(benches)
        own = any("detector" in bench.manifest.models for bench in benches)
        notes = [*coverage(data, folds), *([] if own else boxed_by(boxes_from or weights, folds))]
        if differences:
            notes.append(f"The runs are not of one recipe: they differ in {', '.join(differences)}.")
        evaluation = evaluate_out_of_fold(folds, notes)
        if update:
            update_manifest(weights, evaluation)
        folder.write(evaluation, entries)
    return evaluation


def boxed_by(folder: Path, folds: Sequence[Fold]) -> list[str]:
    """Whether the detector that drew boxes had learned from the source: a sentence for each that needed boxes."""
    detector = read_manifest(folder).models.get("detector")
    if detector is None:
        return []
    learned = detector.training.config.get("sources", {})
    images = [image for fold in folds for image in fold.seen if image.boxed_by != "truth"]
    return [
        f"Boxes of {source} come from a detector ({detector.architecture}, sha256 {detector.sha256[:12]}) that has "
        + ("learned from images of it." if source in learned else "not learned from it.")
        for source in dict.fromkeys(image.traits.source for image in images)
    ]
