"""One weights folder over one data set: which samples count for it, and its networks run over them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import torch

from streamer._progress import track as track_progress
from streamer.backends import Backend, choose_backend
from streamer.data.dataset import load_dataset
from streamer.data.pixels import read_pictures
from streamer.data.pseudo_boxes import load_proposer
from streamer.data.samples import Sample, Split
from streamer.errors import WeightsError
from streamer.evaluation.classifier import ClassifiedImage, classify, is_labelled
from streamer.evaluation.detector import DetectedImage, curve_settings, detect, shows_known_nodules
from streamer.evaluation.heat_maps import HeatedNodule, heat, spread
from streamer.evaluation.held_out import HeldOut, in_order
from streamer.evaluation.pipeline import TrackedFrame, track
from streamer.evaluation.segmenter import (
    NoduleScores,
    OutlinedNodule,
    outline_true_boxes,
    segment,
)
from streamer.evaluation.sweeps import SweepTrack, sweep_tracks
from streamer.metrics.calibration import IDENTITY
from streamer.models.classifier import Classifier
from streamer.models.detector import Detector
from streamer.models.grad_cam import classifier_heat_maps
from streamer.models.loading import load_detector, load_runner, load_segmenter
from streamer.models.registry import CLASSIFIER, DETECTOR, SEGMENTER
from streamer.models.weights_manifest import ModelEntry, Role, read_manifest
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings

_OF_THE_PIPELINE: tuple[Role, ...] = (DETECTOR.name, SEGMENTER.name, CLASSIFIER.name)


class EvaluationRun:
    """Runs the networks of a weights folder over the images that they may be judged on."""

    def __init__(
        self, data: Path, weights: Path, split: Split, settings: Settings, *, detector_from: Path | None = None
    ) -> None:
        """Read the manifest; networks are loaded when they are needed.

        Args:
            data: folder in the public layout, or CSV manifest.
            weights: weights folder, or run folder of one network.
            split: split of the sources that the networks were trained on; other sources count whole.
            settings: how the networks run; their `weights` do not count.
            detector_from: weights folder of the detector that draws boxes on stills without any, where `weights` has
                none.

        Raises:
            WeightsError: the manifest is missing or damaged.
        """
        self.weights, self.manifest = weights, read_manifest(weights)
        self._data, self._split, self._settings = data, split, settings
        own = "detector" in self.manifest.models
        self._detector_from = weights if own else detector_from or weights
        self._held: dict[tuple[Role, ...], HeldOut] = {}
        self._labelled: dict[bool, list[Sample]] = {}

    def entry(self, role: Role) -> ModelEntry:
        """A network's entry in the manifest.

        Raises:
            WeightsError: there is none.
        """
        entry = self.manifest.models.get(role)
        if entry is None:
            raise WeightsError(f"{self.weights} has no {role}: train one, or name another folder with --weights")
        return entry

    @property
    def confidence(self) -> float:
        """From which detections count: the setting, else the detector's operating point.

        Raises:
            WeightsError: there is no detector.
        """
        own = self._settings.detection.confidence
        return self.entry("detector").operating_point if own is None else own

    def held_out(self, *roles: Role) -> HeldOut:
        """The samples that these networks may be judged on.

        Raises:
            DataError: there are none, or the data are inconsistent.
        """
        if roles not in self._held:
            self._held[roles] = HeldOut(self._data, [self.entry(role) for role in roles], self._split)
        return self._held[roles]

    def detections(self) -> list[DetectedImage]:
        """What the detector finds at any confidence."""
        held, backend = self.held_out("detector"), self._backend()
        samples = held.select(shows_known_nodules, "image with known boxes, or known to be free of nodules,")
        detector = load_detector(self.weights, backend, curve_settings(self.confidence))
        return list(
            in_order(
                lambda picture: detect(picture, detector, held.split_of(picture.sample.source)),
                track_progress(read_pictures(samples), len(samples), "detecting"),
                backend.workers,
            )
        )

    def outlines(self) -> list[NoduleScores]:
        """The segmenter's outlines in crops of true boxes, and of the detector's at its operating point."""
        held, backend = self.held_out("segmenter", "detector"), self._backend()
        samples = held.select(_is_outlined, "image with a nodule's mask and box")
        segmenter = load_segmenter(self.weights, backend)
        detector = load_detector(self.weights, backend, self._settings.detection)
        seen = in_order(
            lambda picture: segment(picture, segmenter, detector, held.split_of(picture.sample.source)),
            track_progress(read_pictures(samples), len(samples), "segmenting"),
            backend.workers,
        )
        return [nodule for nodules in seen for nodule in nodules]

    def outlines_of_true_boxes(self) -> list[OutlinedNodule]:
        """The segmenter's outlines in crops of true boxes: needs no detector."""
        held, backend = self.held_out("segmenter"), self._backend()
        samples = held.select(_is_outlined, "image with a nodule's mask and box")
        segmenter = load_segmenter(self.weights, backend)
        seen = in_order(
            lambda picture: outline_true_boxes(picture, segmenter, held.split_of(picture.sample.source)),
            track_progress(read_pictures(samples), len(samples), "segmenting"),
            backend.workers,
        )
        return [nodule for nodules in seen for nodule in nodules]

    def labelled(self, *, external: bool = True) -> list[Sample]:
        """The labelled images that the classifier may be judged on, with those of external sources or without."""
        if external not in self._labelled:
            held = self.held_out("classifier")
            self._labelled[external] = held.select(
                lambda sample: is_labelled(sample) and (external or held.trained_on(sample.source)),
                "image labelled benign or malignant",
            )
        return self._labelled[external]

    def log_odds(self, *, external: bool = True) -> list[ClassifiedImage]:
        """The classifier's log-odds of each of them."""
        held, samples, backend = self.held_out("classifier"), self.labelled(external=external), self._backend()
        runner = load_runner(self.weights, "classifier", self.manifest, backend)
        entry = self.entry("classifier").model_copy(update=IDENTITY._asdict())
        classifier = Classifier(runner, entry, self._settings.classification)
        proposer = None
        if not all(sample.boxes_xyxy for sample in samples):
            proposer = load_proposer(self._detector_from)  # float32 always: figures of the classifier alone
        return list(
            in_order(
                lambda picture: classify(picture, classifier, proposer, held.split_of(picture.sample.source)),
                track_progress(read_pictures(samples), len(samples), "classifying"),
                backend.workers,
            )
        )

    def heated(self) -> list[HeatedNodule]:
        """The classifier's heat maps on images with masks that no network of the folder was trained on."""
        held = self.held_out("classifier")
        others = [self.held_out(role) for role in self.manifest.models]
        unseen = set.intersection(*({_place(sample) for sample in other.unknown(_is_outlined)} for other in others))
        outlined = [sample for sample in held.samples if _is_outlined(sample) and _place(sample) in unseen]
        if not outlined:
            return []
        places = {_place(sample) for sample in spread(outlined)}
        samples = held.select(lambda sample: _place(sample) in places, "image with a nodule's mask and box")
        splits = {
            source: next(
                (other.split_of(source) for other in others if other.trained_on(source)), held.split_of(source)
            )
            for source in {sample.source for sample in samples}
        }
        detector: Detector | None = None
        if "detector" in self.manifest.models:
            detector = load_detector(self.weights, self._backend(), self._settings.detection)
        heat_maps = classifier_heat_maps(self.weights, self.manifest, self._settings.classification)
        with _one_torch_thread():
            return [
                nodule
                for picture in track_progress(read_pictures(samples), len(samples), "explaining")
                for nodule in heat(picture, heat_maps, detector, splits[picture.sample.source])
            ]

    def tracks(self) -> list[TrackedFrame]:
        """What the whole pipeline says of each frame of the clips."""
        held = self.held_out(*_OF_THE_PIPELINE)
        samples = held.select(
            lambda sample: sample.frame is not None and shows_known_nodules(sample), "clip with known boxes"
        )
        engine = Engine(self._settings.model_copy(update={"weights": self.weights}))
        clips = [list(frames) for _, frames in groupby(samples, key=lambda sample: sample.image)]
        return [
            view
            for clip in track_progress(clips, len(clips), "analysing clips")
            for view in track(clip, engine, held.split_of(clip[0].source))
        ]

    def sweeps(self) -> tuple[list[SweepTrack], str, float]:
        """Every nodule in any clip, whatever its split, as no label is used; names of the sources; operating point."""
        dataset = load_dataset(self._data)
        clips = {sample.image: sample for sample in dataset.samples if sample.frame is not None}
        engine = Engine(self._settings.model_copy(update={"weights": self.weights}))
        sources = " and ".join(dict.fromkeys(sample.source for sample in clips.values()))
        named = [(image, sample.group) for image, sample in clips.items()]
        tracks = sweep_tracks(track_progress(named, len(named), "analysing sweeps"), engine)
        return tracks, sources, engine.threshold

    def prevalence(self, source: str) -> float:
        """Share of malignant images among all labelled ones of a source, in whatever split."""
        labelled = [one for one in load_dataset(self._data).samples if one.source == source and is_labelled(one)]
        return sum(one.label == "malignant" for one in labelled) / len(labelled)

    def _backend(self) -> Backend:
        return choose_backend(self._settings.runtime)


@contextmanager
def _one_torch_thread() -> Iterator[None]:
    """A map of one crop takes 0.1 s on one thread; where the machine is busy, two mostly wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _place(sample: Sample) -> tuple[Path, int | None]:
    return sample.image, sample.frame


def _is_outlined(sample: Sample) -> bool:
    return bool(sample.mask and sample.boxes_xyxy)
