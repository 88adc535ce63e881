"""The crop reader: nodules' places in, outlines and malignancy out; two networks, or one where they can be joined."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from streamer.backends import Backend, Runner
from streamer.geometry import Box, CropWindow, Outline
from streamer.models.classifier import Calibration, Classifier, views_of
from streamer.models.joint import MASK, class_logits
from streamer.models.loading import JOINT_ROLES, load_joint, load_runner
from streamer.models.manifest import Manifest, ModelEntry, Preprocessing
from streamer.models.segmenter import Outliner, Segmenter
from streamer.records import Grey
from streamer.settings import ClassificationSettings

Lap = Callable[[str], None]
"""Told the name of a stage when it is over."""


@dataclass(frozen=True, slots=True)
class Place:
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
    """Reads nodules.

    Attributes:
        runners: its networks by role; one that does the work of two under both names.
    """

    runners: Mapping[str, Runner]

    def __call__(self, places: Sequence[Place], lap: Lap) -> list[Reading]:
        """Read all of them; the result for one does not depend on the others."""
        ...


def load_crop_reader(
    folder: Path, manifest: Manifest, backend: Backend, settings: ClassificationSettings
) -> CropReader:
    """Segmenter and classifier of a weights folder, joined where they have one encoder.

    Raises:
        WeightsError: one is missing or damaged.
    """
    if manifest.one_encoder:
        runner = load_joint(folder, manifest, backend, views=settings.views)
        return JointCropReader(runner, manifest.models["segmenter"], manifest.models["classifier"], settings)
    segmenter, classifier = (load_runner(folder, role, manifest, backend) for role in JOINT_ROLES)
    return SeparateCropReader(
        Segmenter(segmenter, manifest.models["segmenter"]),
        Classifier(classifier, manifest.models["classifier"], settings),
    )


class SeparateCropReader:
    """Two networks, one after the other; their laps are "segment" and "classify"."""

    def __init__(self, segmenter: Segmenter, classifier: Classifier) -> None:
        """Read with these two."""
        self._segmenter, self._classifier = segmenter, classifier
        self.runners: Mapping[str, Runner] = {"segmenter": segmenter.runner, "classifier": classifier.runner}

    def __call__(self, places: Sequence[Place], lap: Lap) -> list[Reading]:
        """See `CropReader`."""
        windows, crops = _cut(places, self._segmenter.preprocessing)
        outlines = self._segmenter(crops, windows, _sizes_wh(places))
        lap("segment")
        probabilities = self._classifier(_cut(places, self._classifier.preprocessing)[1])
        lap("classify")
        return _readings(places, outlines, probabilities)


class JointCropReader:
    """One network for both; its lap is "segment, classify"."""

    def __init__(
        self, runner: Runner, segmenter: ModelEntry, classifier: ModelEntry, settings: ClassificationSettings
    ) -> None:
        """Read with `runner`, which takes the crop of each nodule, and after it, if so set, its mirror image."""
        self._runner, self._views = runner, settings.views
        self.runners: Mapping[str, Runner] = {", ".join(JOINT_ROLES): runner}
        self._preprocessing = segmenter.preprocessing
        self._outlines, self._calibrated = Outliner(segmenter), Calibration(classifier)

    def __call__(self, places: Sequence[Place], lap: Lap) -> list[Reading]:
        """See `CropReader`."""
        windows, crops = _cut(places, self._preprocessing)
        if not places:
            lap("segment, classify")
            return []
        output = self._runner(views_of(crops, self._views).reshape(-1, *crops.shape[1:]))
        outlines = self._outlines(output[:, MASK], windows, _sizes_wh(places))
        logits = class_logits(output)
        probabilities = self._calibrated([logits[:, number] for number in range(self._views)])
        lap("segment, classify")
        return _readings(places, outlines, probabilities)


def _cut(places: Sequence[Place], preprocessing: Preprocessing) -> tuple[list[CropWindow], Grey]:
    """A network's window around each nodule and what it shows, shape (n, size, size)."""
    size = preprocessing.size_wh[0]
    windows = [CropWindow.around(place.box_xyxy, preprocessing.margin) for place in places]
    if not places:
        return windows, np.zeros((0, size, size), np.uint8)
    return windows, np.stack([window.crop(place.grey, size) for place, window in zip(places, windows, strict=True)])


def _sizes_wh(places: Sequence[Place]) -> list[tuple[int, int]]:
    return [(place.grey.shape[1], place.grey.shape[0]) for place in places]


def _readings(places: Sequence[Place], outlines: Sequence[Outline], probabilities: Sequence[float]) -> list[Reading]:
    boxes = [place.box_xyxy for place in places]
    return [Reading(*found) for found in zip(boxes, outlines, probabilities, strict=True)]
