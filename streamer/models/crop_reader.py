"""The crop reader: nodules' places in, outlines and malignancy out; two networks, or one where they can be joined."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from streamer.backends import Backend, Runner
from streamer.geometry import Box, CropWindow, Outline
from streamer.models.classifier import Classifier, Odds
from streamer.models.joint import MASK, class_logits
from streamer.models.loading import load_joint, load_runner
from streamer.models.manifest import Manifest, ModelEntry, Preprocessing
from streamer.models.segmenter import Outliner, Segmenter
from streamer.settings import ClassificationSettings

Grey = npt.NDArray[np.uint8]
Lap = Callable[[str], None]
"""Told the name of a stage when it is over."""


@dataclass(frozen=True, slots=True)
class View:
    """A nodule's place: a grey frame, shape (height, width), and a box in it."""

    grey: Grey
    box_xyxy: Box


@dataclass(frozen=True, slots=True)
class Reading:
    """What is read off a nodule: its outline, and its calibrated probability of malignancy."""

    box_xyxy: Box
    outline: Outline
    malignancy: float


class CropReader(Protocol):
    """Reads nodules."""

    def __call__(self, views: Sequence[View], lap: Lap) -> list[Reading]:
        """Read all of them; the result for one does not depend on the others."""
        ...


def load_crop_reader(
    folder: Path, manifest: Manifest, backend: Backend, settings: ClassificationSettings
) -> CropReader:
    """Segmenter and classifier of a weights folder, joined where they have one encoder.

    Raises:
        WeightsError: one is missing or damaged.
    """
    segmenter, classifier = manifest.models["segmenter"], manifest.models["classifier"]
    if manifest.one_encoder:
        runner = load_joint(folder, manifest, backend, views=2 if settings.mirrored else 1)
        return JointCropReader(runner, segmenter, classifier, settings)
    return SeparateCropReader(
        Segmenter(load_runner(folder, "segmenter", manifest, backend), segmenter),
        Classifier(load_runner(folder, "classifier", manifest, backend), classifier, settings),
    )


class SeparateCropReader:
    """Two networks, one after the other; their laps are "segment" and "classify"."""

    def __init__(self, segmenter: Segmenter, classifier: Classifier) -> None:
        """Read with these two."""
        self._segmenter, self._classifier = segmenter, classifier

    def __call__(self, views: Sequence[View], lap: Lap) -> list[Reading]:
        """See `CropReader`."""
        windows, crops = _cut(views, self._segmenter.preprocessing)
        outlines = self._segmenter(crops, windows, _sizes_wh(views))
        lap("segment")
        probabilities = self._classifier(_cut(views, self._classifier.preprocessing)[1])
        lap("classify")
        return _readings(views, outlines, probabilities)


class JointCropReader:
    """One network for both; its lap is "segment, classify"."""

    def __init__(
        self, runner: Runner, segmenter: ModelEntry, classifier: ModelEntry, settings: ClassificationSettings
    ) -> None:
        """Read with `runner`, which takes the crop of each nodule, and after it, if so set, its mirror image."""
        self._runner, self._mirrored = runner, settings.mirrored
        self._preprocessing = segmenter.preprocessing
        self._outlines, self._odds = Outliner(segmenter), Odds(classifier)

    def __call__(self, views: Sequence[View], lap: Lap) -> list[Reading]:
        """See `CropReader`."""
        windows, crops = _cut(views, self._preprocessing)
        if not views:
            lap("segment, classify")
            return []
        if self._mirrored:
            crops = np.stack([crops, crops[:, :, ::-1]], axis=1).reshape(-1, *crops.shape[1:])
        output = self._runner(crops)
        outlines = self._outlines(output[:, MASK], windows, _sizes_wh(views))
        logits = class_logits(output)
        probabilities = self._odds.probabilities([logits[:, number] for number in range(logits.shape[1])])
        lap("segment, classify")
        return _readings(views, outlines, probabilities)


def _cut(views: Sequence[View], preprocessing: Preprocessing) -> tuple[list[CropWindow], Grey]:
    """A network's window around each nodule and what it shows, shape (n, size, size)."""
    size = preprocessing.size_wh[0]
    windows = [CropWindow.around(view.box_xyxy, preprocessing.margin) for view in views]
    if not views:
        return windows, np.zeros((0, size, size), np.uint8)
    return windows, np.stack([window.crop(view.grey, size) for view, window in zip(views, windows, strict=True)])


def _sizes_wh(views: Sequence[View]) -> list[tuple[int, int]]:
    return [(view.grey.shape[1], view.grey.shape[0]) for view in views]


def _readings(views: Sequence[View], outlines: Sequence[Outline], probabilities: Sequence[float]) -> list[Reading]:
    boxes = [view.box_xyxy for view in views]
    return [Reading(*found) for found in zip(boxes, outlines, probabilities, strict=True)]
