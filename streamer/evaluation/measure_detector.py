"""From pictures and a detector to boxes."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from streamer.data.pixels import Picture
from streamer.data.samples import Sample
from streamer.evaluation.subsets import View, view_of
from streamer.metrics.matching import ImageBoxes
from streamer.models.detector import Detection, Detector
from streamer.settings import DetectionSettings

_MIN_CONFIDENCE = 0.01
"""Low enough for the curves to reach their end: what scores less is nearly always wrong."""

_MAX_BOXES = 100
"""As COCO keeps an image."""


@dataclass(frozen=True, slots=True)
class DetectedView:
    """True and detected boxes of an image, and what kind of image it is.

    Attributes:
        view: what kind of image it is.
        boxes: by the marks alone.
        second_look: with the nodules and the regions to ignore that a second look found, if any; None where the marks
            are all there is.
    """

    view: View
    boxes: ImageBoxes
    second_look: ImageBoxes | None = None

    @property
    def best_known(self) -> ImageBoxes:
        """With the second look, where there is one."""
        return self.boxes if self.second_look is None else self.second_look


def curve_settings(operating_point: float) -> DetectionSettings:
    """How detections are kept so that whole curves, the operating point included, can be drawn."""
    return DetectionSettings(confidence=min(_MIN_CONFIDENCE, operating_point), max_nodules=_MAX_BOXES)


def shows_known_nodules(sample: Sample) -> bool:
    """Whether it is known where the sample's nodules are, or that there is none."""
    return bool(sample.boxes_xyxy) or sample.has_nodule is False


def detect(picture: Picture, detector: Detector, split: str) -> DetectedView:
    """Run the detector on one picture."""
    found = detector([picture.grey])[0]
    view = view_of(picture, picture.boxes_xyxy, split)
    return DetectedView(view, image_boxes(picture, found), second_look_boxes(picture, found))


def image_boxes(picture: Picture, found: list[Detection]) -> ImageBoxes:
    """True and detected boxes of a picture, in its pixels, by the marks alone."""
    return ImageBoxes(
        group=picture.sample.group,
        truth_xyxy=np.asarray(picture.boxes_xyxy, np.float64).reshape(-1, 4),
        boxes_xyxy=np.asarray([detection.box_xyxy for detection in found], np.float64).reshape(-1, 4),
        scores=np.asarray([detection.score for detection in found], np.float64),
    )


def second_look_boxes(picture: Picture, found: list[Detection]) -> ImageBoxes | None:
    """The same with nodules that have no mark and with regions to ignore; None where a picture has neither."""
    if not picture.unmarked_xyxy and not picture.ignore_xyxy:
        return None
    return replace(
        image_boxes(picture, found),
        truth_xyxy=np.asarray((*picture.boxes_xyxy, *picture.unmarked_xyxy), np.float64).reshape(-1, 4),
        ignored_xyxy=np.asarray(picture.ignore_xyxy, np.float64).reshape(-1, 4),
    )
