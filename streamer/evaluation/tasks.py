"""What is done to evaluate each network, or the whole pipeline: run it, then make figures of what it says."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import cast

from streamer.evaluation.classifier import calibration_part, choose, evaluate_probabilities
from streamer.evaluation.detector import choose_confidence, evaluate_detections
from streamer.evaluation.evaluation_run import EvaluationRun
from streamer.evaluation.heat_maps import HEAT_NOTE, heat_results
from streamer.evaluation.manifest_update import has_out_of_fold
from streamer.evaluation.matrix import (
    MATRIX_NOTE,
    classifier_cells,
    detector_cells,
    learning_curves,
    matrix_row,
    segmenter_cells,
)
from streamer.evaluation.pipeline import evaluate_tracks
from streamer.evaluation.result import Evaluation, Matrix, MatrixRow, Result
from streamer.evaluation.segmenter import OutlinedNodule, evaluate_outlines
from streamer.evaluation.sweeps import evaluate_sweeps
from streamer.metrics.calibration import Scaling
from streamer.models.registry import load_object, task
from streamer.models.weights_manifest import Role

PIPELINE = "pipeline"
"""What is evaluated beside single networks: all of them on clips, with tracking."""
SWEEPS = "sweeps"
"""The same on unlabelled clips: how a nodule's readings vary, and the operating point of a sweep."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluator:
    """What measures one kind of network; named by its task in the registry.

    Attributes:
        evaluate: all figures, from weights and data; and whether to choose an operating point on the way.
        main_results: the few figures that runs are compared by, one for each measure and test source.
    """

    evaluate: Callable[[EvaluationRun, bool], Evaluation]
    main_results: Callable[[EvaluationRun], list[Result]]


def evaluator(role: Role) -> Evaluator:
    """What measures the network of a role.

    Raises:
        WeightsError: no task has that name.
        StreamerError: its evaluator cannot be imported.
    """
    return cast(Evaluator, load_object(task(role).evaluator))


def evaluate_subject(subject: str, bench: EvaluationRun, *, choosing: bool) -> Evaluation:
    """All figures of a network, or of all three on clips.

    Args:
        subject: name of a task in the registry, "pipeline" or "sweeps".
        bench: weights and data.
        choosing: whether to choose an operating point on the way, and to report at it, where the subject has one.
    """
    if subject == PIPELINE:
        return evaluate_tracks(bench.tracks(), bench.confidence)
    if subject == SWEEPS:
        tracks, sources, threshold = bench.sweeps()
        return evaluate_sweeps(tracks, threshold, sources)
    return evaluator(subject).evaluate(bench, choosing)


def compare(role: Role, benches: Sequence[EvaluationRun]) -> Evaluation:
    """The matrix of several runs of a network, and their learning curve if they differ in nothing but their amount."""
    matrix = Matrix(rows=tuple(_row(bench, role, evaluator(role).main_results(bench)) for bench in benches))
    return Evaluation(
        subject=role,
        results=(),
        plots=learning_curves(matrix, [bench.entry(role).training.config for bench in benches]),
        settings={},
        notes=(MATRIX_NOTE,),
        matrix=matrix,
    )


def _detector(bench: EvaluationRun, choosing: bool) -> Evaluation:
    seen = bench.detections()
    chosen = choose_confidence(seen, bench.held_out("detector").sources_trained_on) if choosing else None
    confidence = bench.confidence if chosen is None else chosen.operating_point
    return _with_row(bench, "detector", evaluate_detections(seen, confidence, chosen), detector_cells(seen))


def _segmenter(bench: EvaluationRun, _choosing: bool) -> Evaluation:
    seen = bench.outlines()
    confidence, cut = bench.confidence, bench.entry("segmenter").operating_point
    cells = segmenter_cells([OutlinedNodule(nodule.traits, nodule.true_crop.dice) for nodule in seen])
    return _with_row(bench, "segmenter", evaluate_outlines(seen, confidence=confidence, cut=cut), cells)


def _classifier(bench: EvaluationRun, choosing: bool) -> Evaluation:
    entry = bench.entry("classifier")
    seen = bench.log_odds()
    scaling, threshold, chosen = Scaling(entry.temperature, entry.offset), entry.operating_point, None
    if choosing and not has_out_of_fold(entry):  # what was chosen out of fold is better than what would be chosen here
        part = calibration_part(seen, bench.held_out("classifier").sources_trained_on)
        chosen = choose(part, bench.prevalence(part[0].traits.source))
        scaling, threshold = chosen.scaling or scaling, chosen.operating_point
    evaluation = evaluate_probabilities(seen, scaling=scaling, threshold=threshold, chosen=chosen)
    if heated := bench.heated():
        evaluation = replace(
            evaluation,
            results=(*evaluation.results, *heat_results(heated)),
            notes=(*evaluation.notes, HEAT_NOTE),
        )
    return _with_row(bench, "classifier", evaluation, classifier_cells(seen))


DETECTOR = Evaluator(evaluate=_detector, main_results=lambda bench: detector_cells(bench.detections()))
SEGMENTER = Evaluator(evaluate=_segmenter, main_results=lambda bench: segmenter_cells(bench.outlines_of_true_boxes()))
CLASSIFIER = Evaluator(evaluate=_classifier, main_results=lambda bench: classifier_cells(bench.log_odds()))


def _with_row(bench: EvaluationRun, role: Role, evaluation: Evaluation, cells: Sequence[Result]) -> Evaluation:
    return replace(
        evaluation,
        notes=(*evaluation.notes, MATRIX_NOTE),
        matrix=Matrix(rows=(_row(bench, role, cells),)),
    )


def _row(bench: EvaluationRun, role: Role, cells: Sequence[Result]) -> MatrixRow:
    trained_on = bench.held_out(role).sources_trained_on
    external = {cell.data for cell in cells} - trained_on
    return matrix_row(bench.weights.name, bench.entry(role), cells, external)
