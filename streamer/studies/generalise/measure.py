"""What a network says of the test images, kept as numbers from which every figure can be worked out again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from streamer._files import write_whole
from streamer._progress import track
from streamer.backends import choose_backend
from streamer.data.pixels import read_pictures
from streamer.data.pseudo_boxes import load_proposer
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.evaluation.classifier import classify
from streamer.evaluation.detector import curve_settings, detect
from streamer.evaluation.held_out import in_order
from streamer.evaluation.segmenter import outline_true_boxes
from streamer.metrics.calibration import IDENTITY
from streamer.models.classifier import Classifier
from streamer.models.loading import load_detector, load_runner, load_segmenter
from streamer.models.weights_manifest import Role, read_manifest
from streamer.settings import Settings

Row = dict[str, Any]
"""patient, size (share of the frame, or None), and by task: value and label; value; truth, boxes and scores."""


def measure(
    run: Path, role: Role, samples: Sequence[Sample], settings: Settings, detector_from: Path
) -> list[list[Row]]:
    """Run a network over test samples.

    Args:
        run: its run folder.
        role: the task.
        samples: what to run it over.
        settings: how networks run.
        detector_from: weights folder of the detector that finds nodules in labelled images without a box.

    Returns:
        For each sample its rows: one a nodule for the segmenter, else one.
    """
    backend, manifest = choose_backend(settings.runtime), read_manifest(run)
    pictures = track(read_pictures(samples), len(samples), "testing")
    if role == "segmenter":
        segmenter = load_segmenter(run, backend)
        outlined = in_order(lambda picture: outline_true_boxes(picture, segmenter, "test"), pictures, backend.workers)
        return [
            [{"patient": nodule.traits.group, "size": nodule.traits.share, "value": nodule.dice} for nodule in nodules]
            for nodules in outlined
        ]
    if role == "detector":
        detector = load_detector(run, backend, curve_settings(0.3))
        seen = in_order(lambda picture: detect(picture, detector, "test"), pictures, backend.workers)
        return [
            [
                {
                    "patient": view.traits.group,
                    "size": view.traits.share,
                    "truth": view.best_known.truth_xyxy.tolist(),
                    "ignored": view.best_known.ignored_xyxy.tolist(),
                    "boxes": np.round(view.best_known.boxes_xyxy, 2).tolist(),
                    "scores": np.round(view.best_known.scores, 5).tolist(),
                }
            ]
            for view in seen
        ]
    runner = load_runner(run, "classifier", manifest, backend)
    entry = manifest.models["classifier"].model_copy(update=IDENTITY._asdict())
    classifier = Classifier(runner, entry, settings.classification)
    proposer = None if all(sample.boxes_xyxy for sample in samples) else load_proposer(detector_from)
    classified = in_order(lambda picture: classify(picture, classifier, proposer, "test"), pictures, backend.workers)
    return [
        [
            {
                "patient": view.traits.group,
                "size": view.traits.share if view.boxed_by == "truth" else None,
                "value": view.log_odds,
                "label": view.malignant,
            }
        ]
        for view in classified
    ]


def save(path: Path, rows: Sequence[Sequence[Row]]) -> None:
    """Keep what a network said.

    Raises:
        OutputError: the file cannot be written.
    """
    write_whole(path, json.dumps(list(rows)).encode())


def load(path: Path, samples: int) -> list[list[Row]]:
    """What was kept.

    Raises:
        DataError: the file is damaged, or of other samples.
    """
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path} is damaged: delete it, and the network is tested again") from error
    if len(rows) != samples:
        raise DataError(f"{path} is of other test images: choose another --output")
    return list(rows)
