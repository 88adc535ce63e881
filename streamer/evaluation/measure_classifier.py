"""From pictures and a classifier to log-odds of malignancy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.special import logit

from streamer.data.pixels import Picture
from streamer.data.pseudo_boxes import propose_boxes
from streamer.data.samples import Sample, Tirads
from streamer.evaluation.subsets import View, view_of
from streamer.geometry import CropWindow
from streamer.models.classifier import Classifier
from streamer.models.detector import Detector


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassifiedView:
    """One labelled image.

    Attributes:
        view: what kind of image it is.
        malignant: its label.
        tirads: category that a reader gave it; None if unknown.
        log_odds: malignant minus benign logit before any calibration; the greatest over its nodules.
        boxed_by: "truth", "detector" or "whole view": where the crop came from.
    """

    view: View
    malignant: bool
    log_odds: float
    boxed_by: str
    tirads: Tirads | None = None


def is_labelled(sample: Sample) -> bool:
    """Whether the sample is known to be benign or malignant."""
    return sample.label in ("benign", "malignant")


def classify(picture: Picture, classifier: Classifier, proposer: Detector | None, split: str) -> ClassifiedView:
    """Classify a labelled picture: each true box, else the detector's best box, else the whole view.

    Args:
        picture: labelled benign or malignant.
        classifier: under evaluation, not calibrated.
        proposer: finds the nodule where the picture has no box; None where every picture has one.
        split: name of the split in the results.
    """
    boxed_by = "truth" if picture.boxes_xyxy else "whole view"
    if not picture.boxes_xyxy and proposer is not None:
        picture = propose_boxes([picture], proposer)[0]
        boxed_by = "detector" if picture.boxes_xyxy else boxed_by
    boxes = picture.boxes_xyxy or (picture.nodule_box,)
    margin, size = classifier.preprocessing.margin, classifier.preprocessing.size_wh[0]
    crops = np.stack([CropWindow.around(box, margin).crop(picture.grey, size) for box in boxes])
    return ClassifiedView(
        view=view_of(picture, boxes, split),
        malignant=picture.sample.label == "malignant",
        log_odds=float(logit(max(classifier(crops)))),
        boxed_by=boxed_by,
        tirads=picture.sample.tirads,
    )
