"""Crop analyser: regions of interest in, outlines and malignancy out; two networks, or one that shares an encoder."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from streamer.backends import Backend, Runner
from streamer.geometry import Box, CropWindow, Outline
from streamer.models.classifier import Calibration, Classifier, views_of
from streamer.models.joint_output import MASK, Planes, class_logits, evidence, evidence_cells
from streamer.models.loading import JOINT_ROLES, load_joint, load_runner
from streamer.models.segmenter import Outliner, Segmenter
from streamer.models.weights_manifest import Manifest, ModelEntry, Preprocessing
from streamer.settings import ClassificationSettings
from streamer.types import Grey, NoduleHeat

StageCallback = Callable[[str], None]
"""Told the name of a stage when it is over."""


@dataclass(frozen=True, slots=True)
class Roi:
    """A nodule's region of interest: a grey frame, shape (height, width), and a box in it."""

    grey: Grey
    box_xyxy: Box


@dataclass(frozen=True, slots=True)
class RoiPrediction:
    """What is read off a nodule: its outline, its calibrated probability of malignancy, and where that comes from."""

    box_xyxy: Box
    outline: Outline
    malignancy: float
    heat: NoduleHeat | None = None


class CropAnalyser(Protocol):
    """Reads nodules.

    Attributes:
        runners: its networks by role; one that does the work of two under both names.
    """

    runners: Mapping[str, Runner]

    def __call__(self, rois: Sequence[Roi], on_stage: StageCallback) -> list[RoiPrediction]:
        """Read all of them; the result for one does not depend on the others."""
        ...


def load_crop_analyser(
    folder: Path, manifest: Manifest, backend: Backend, settings: ClassificationSettings
) -> CropAnalyser:
    """Segmenter and classifier of a weights folder, joined where they have one encoder.

    Raises:
        WeightsError: one is missing or damaged.
    """
    if manifest.one_encoder:
        runner = load_joint(folder, manifest, backend, views=settings.views)
        return SharedCropAnalyser(runner, manifest.models["segmenter"], manifest.models["classifier"], settings)
    segmenter, classifier = (load_runner(folder, role, manifest, backend) for role in JOINT_ROLES)
    return SeparateCropAnalyser(
        Segmenter(segmenter, manifest.models["segmenter"]),
        Classifier(classifier, manifest.models["classifier"], settings),
    )


class SeparateCropAnalyser:
    """Two networks, one after the other; their stages are "segment" and "classify"."""

    def __init__(self, segmenter: Segmenter, classifier: Classifier) -> None:
        """Read with these two."""
        self._segmenter, self._classifier = segmenter, classifier
        self.runners: Mapping[str, Runner] = {"segmenter": segmenter.runner, "classifier": classifier.runner}

    def __call__(self, rois: Sequence[Roi], on_stage: StageCallback) -> list[RoiPrediction]:
        """See `CropAnalyser`."""
        windows, crops = _cut(rois, self._segmenter.preprocessing)
        outlines = self._segmenter(crops, windows, _sizes_wh(rois))
        on_stage("segment")
        probabilities = self._classifier(_cut(rois, self._classifier.preprocessing)[1])
        on_stage("classify")
        return _predictions(rois, outlines, probabilities)


class SharedCropAnalyser:
    """One network for both; its stage is "segment, classify"."""

    def __init__(
        self, runner: Runner, segmenter: ModelEntry, classifier: ModelEntry, settings: ClassificationSettings
    ) -> None:
        """Read with `runner`, which takes the crop of each nodule, and after it, if so set, its mirror image."""
        self._runner, self._views = runner, settings.views
        self.runners: Mapping[str, Runner] = {", ".join(JOINT_ROLES): runner}
        self._preprocessing = segmenter.preprocessing
        self._outlines, self._calibrated = Outliner(segmenter), Calibration(classifier, settings)
        self._explains = classifier.explains
        self._cells = evidence_cells(classifier.architecture, classifier.preprocessing.size_wh[0])

    def __call__(self, rois: Sequence[Roi], on_stage: StageCallback) -> list[RoiPrediction]:
        """See `CropAnalyser`."""
        windows, crops = _cut(rois, self._preprocessing)
        if not rois:
            on_stage("segment, classify")
            return []
        output = self._runner(views_of(crops, self._views).reshape(-1, *crops.shape[1:]))
        outlines = self._outlines(output[:, MASK], windows, _sizes_wh(rois))
        logits = class_logits(output)
        probabilities = self._calibrated([logits[:, number] for number in range(self._views)])
        on_stage("segment, classify")
        heat = self._heat(output, windows) if self._explains else None
        return _predictions(rois, outlines, probabilities, heat)

    def _heat(self, output: Planes, windows: Sequence[CropWindow]) -> list[NoduleHeat] | None:
        cells = evidence(output, self._cells)
        if cells is None:
            return None
        if self._views > 1:  # the log-odds are the mean of both views', and so is what they come from
            cells = np.stack([cells[:, 0], cells[:, 1, :, ::-1]], axis=1)
        return [
            NoduleHeat(cells=one, window_xyxy=(window.left, window.top, window.right, window.bottom))
            for one, window in zip(cells.mean(axis=1), windows, strict=True)
        ]


def _cut(rois: Sequence[Roi], preprocessing: Preprocessing) -> tuple[list[CropWindow], Grey]:
    """A network's window around each nodule and what it shows, shape (n, size, size)."""
    size = preprocessing.size_wh[0]
    windows = [CropWindow.around(roi.box_xyxy, preprocessing.margin) for roi in rois]
    if not rois:
        return windows, np.zeros((0, size, size), np.uint8)
    return windows, np.stack([window.crop(roi.grey, size) for roi, window in zip(rois, windows, strict=True)])


def _sizes_wh(rois: Sequence[Roi]) -> list[tuple[int, int]]:
    return [(roi.grey.shape[1], roi.grey.shape[0]) for roi in rois]


def _predictions(
    rois: Sequence[Roi],
    outlines: Sequence[Outline],
    probabilities: Sequence[float],
    heat: Sequence[NoduleHeat] | None = None,
) -> list[RoiPrediction]:
    boxes = [roi.box_xyxy for roi in rois]
    maps = [None] * len(rois) if heat is None else heat
    return [RoiPrediction(*found) for found in zip(boxes, outlines, probabilities, maps, strict=True)]
