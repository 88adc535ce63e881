"""Runs of one recipe that held out different images: each predicts its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from streamer.data.dataset import load_dataset
from streamer.errors import DataError
from streamer.evaluation.bench import EvaluationRun
from streamer.evaluation.figures_folds import Fold
from streamer.evaluation.measure_classifier import is_labelled
from streamer.settings import Settings


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
    predicted = Counter(image.view.source for fold in folds for image in fold.seen)
    labelled = Counter(sample.source for sample in load_dataset(data).samples if is_labelled(sample))
    return [
        f"{count} of {labelled[source]} labelled images of {source} were predicted, {len(folds)} runs."
        for source, count in predicted.items()
    ]
