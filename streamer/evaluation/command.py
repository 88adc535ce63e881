"""The `evaluate` command: picks the data, runs the networks over them, writes the figures down."""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from pathlib import Path

from rich.console import Console
from rich.table import Table

from streamer.backends import Backend, choose_backend
from streamer.console import track_frames
from streamer.data.proposals import PROPOSAL_DETECTION
from streamer.data.samples import Split
from streamer.engine import Engine
from streamer.errors import WeightsError
from streamer.evaluation.figures_classifier import calibration_part, choose, evaluate_probabilities
from streamer.evaluation.figures_detector import evaluate_detections
from streamer.evaluation.figures_pipeline import evaluate_tracks
from streamer.evaluation.figures_segmenter import evaluate_outlines
from streamer.evaluation.held_out import HeldOut, in_order, read_pictures
from streamer.evaluation.measure_classifier import classify, is_labelled
from streamer.evaluation.measure_detector import curve_settings, detect, shows_known_nodules
from streamer.evaluation.measure_pipeline import track
from streamer.evaluation.measure_segmenter import segment
from streamer.evaluation.publish import update_manifest
from streamer.evaluation.result import Evaluation
from streamer.evaluation.tables import by_data, number_text, value_text
from streamer.evaluation.writer import EvaluationFolder
from streamer.models.classifier import Classifier
from streamer.models.loading import load_detector, load_runner, load_segmenter
from streamer.models.weights import ROLES, Manifest, ModelEntry, Role, read_manifest
from streamer.settings import DetectionSettings, RuntimeSettings, Settings


def evaluate(
    subject: str,
    data: Path,
    output: Path,
    *,
    weights: Path,
    split: Split = "val",
    runtime: RuntimeSettings | None = None,
    update: bool = False,
) -> Evaluation:
    """Evaluate a network, or all three on clips, and write figures, tables, plots and a page.

    Args:
        subject: "detector", "segmenter", "classifier" or "pipeline".
        data: folder in the public layout, or CSV manifest.
        output: folder of the results; made where missing.
        weights: weights folder.
        split: split of the sources that the networks were trained on; other sources count whole.
        runtime: where the networks run.
        update: store the figures (and the classifier's temperature and operating point) in the weights' manifest and
            write the model cards anew.

    Raises:
        DataError: data are missing, inconsistent or do not hold what is to be evaluated.
        WeightsError: a network is missing or damaged.
        DeviceError: the device cannot be used.
        OutputError: the results cannot be written.
    """
    folder, manifest = EvaluationFolder(output), read_manifest(weights)
    bench = _Bench(data, weights, manifest, split, runtime or RuntimeSettings(), update=update)
    evaluation = bench.tasks[subject]()
    if update:
        update_manifest(weights, evaluation)
        manifest = read_manifest(weights)
    folder.write(evaluation, manifest)
    _print_summary(evaluation, output)
    return evaluation


class _Bench:
    """One evaluation's data and networks."""

    def __init__(
        self, data: Path, weights: Path, manifest: Manifest, split: Split, runtime: RuntimeSettings, *, update: bool
    ) -> None:
        self._data, self._weights, self._manifest, self._split = data, weights, manifest, split
        self._runtime, self._update = runtime, update
        self.tasks: dict[str, Callable[[], Evaluation]] = {
            "detector": self._detector,
            "segmenter": self._segmenter,
            "classifier": self._classifier,
            "pipeline": self._pipeline,
        }

    def _detector(self) -> Evaluation:
        held = self._held_out("detector")
        samples = held.select(shows_known_nodules, "image with known boxes, or known to be free of nodules,")
        backend, confidence = self._backend(), self._entry("detector").operating_point
        detector = load_detector(self._weights, backend, curve_settings(confidence))
        seen = in_order(
            lambda picture: detect(picture, detector, held.split_of(picture.sample.source)),
            track_frames(read_pictures(samples), len(samples), "detecting"),
            backend.workers,
        )
        return evaluate_detections(list(seen), confidence)

    def _segmenter(self) -> Evaluation:
        held = self._held_out("segmenter", "detector")
        samples = held.select(
            lambda sample: bool(sample.mask and sample.boxes_xyxy), "image with a nodule's mask and box"
        )
        backend, confidence = self._backend(), self._entry("detector").operating_point
        segmenter = load_segmenter(self._weights, backend)
        detector = load_detector(self._weights, backend, DetectionSettings(confidence=confidence))
        seen = in_order(
            lambda picture: segment(picture, segmenter, detector, held.split_of(picture.sample.source)),
            track_frames(read_pictures(samples), len(samples), "segmenting"),
            backend.workers,
        )
        cut = self._entry("segmenter").operating_point
        return evaluate_outlines([nodule for nodules in seen for nodule in nodules], confidence=confidence, cut=cut)

    def _classifier(self) -> Evaluation:
        held, entry = self._held_out("classifier"), self._entry("classifier")
        samples = held.select(is_labelled, "image labelled benign or malignant")
        backend = self._backend()
        runner = load_runner(self._weights, "classifier", self._manifest, backend)
        classifier = Classifier(runner, entry.model_copy(update={"temperature": 1.0}))
        proposer = None
        if not all(sample.boxes_xyxy for sample in samples):
            proposer = load_detector(self._weights, backend, PROPOSAL_DETECTION)
        seen = list(
            in_order(
                lambda picture: classify(picture, classifier, proposer, held.split_of(picture.sample.source)),
                track_frames(read_pictures(samples), len(samples), "classifying"),
                backend.workers,
            )
        )
        trained_on = {sample.source for sample in samples if held.trained_on(sample.source)}
        chosen = choose(calibration_part(seen, trained_on)) if self._update else None
        return evaluate_probabilities(
            seen,
            temperature=entry.temperature if chosen is None else chosen.temperature,
            threshold=entry.operating_point if chosen is None else chosen.operating_point,
            chosen=chosen,
        )

    def _pipeline(self) -> Evaluation:
        held = self._held_out(*ROLES)
        samples = held.select(
            lambda sample: sample.frame is not None and shows_known_nodules(sample), "clip with known boxes"
        )
        confidence = self._entry("detector").operating_point
        settings = Settings(
            weights=self._weights, runtime=self._runtime, detection=DetectionSettings(confidence=confidence)
        )
        engine = Engine(settings)
        clips = [list(frames) for _, frames in groupby(samples, key=lambda sample: sample.image)]
        frames = [
            view
            for clip in track_frames(clips, len(clips), "analysing clips")
            for view in track(clip, engine, held.split_of(clip[0].source))
        ]
        return evaluate_tracks(frames, confidence)

    def _held_out(self, *roles: Role) -> HeldOut:
        return HeldOut(self._data, [self._entry(role) for role in roles], self._split)

    def _entry(self, role: Role) -> ModelEntry:
        entry = self._manifest.models.get(role)
        if entry is None:
            raise WeightsError(f"{self._weights} has no {role}: train one, or name another folder with --weights")
        return entry

    def _backend(self) -> Backend:
        return choose_backend(self._runtime)


def _print_summary(evaluation: Evaluation, output: Path) -> None:
    console = Console()
    for (data, split), results in by_data(evaluation.results).items():
        table = Table(title=f"{data} ({split})", title_justify="left", box=None)
        for heading in ("measure", "value (95 % interval)", "n"):
            table.add_column(heading)
        for result in results:
            table.add_row(result.name, value_text(result), number_text(result))
        console.print(table)
    console.print(f"results: {output / 'report.html'}", markup=False, soft_wrap=True)
