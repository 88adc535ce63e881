"""Figures of a detector: average precision, F1, sensitivity, false positives.

They carry a cluster-bootstrap interval over the images' groups. A detection counts at a
confidence if its score is at least that. Detections with equal scores enter together, so that no figure depends on the
order of the images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import nan

import numpy as np
import numpy.typing as npt

from streamer.errors import DataError
from streamer.metrics.estimate import (
    DEFAULT_RESAMPLING,
    Figure,
    Multiplicity,
    Resampling,
    bootstrap,
    mean_figure,
)
from streamer.metrics.matching import Floats, ImageBoxes, Matches, match

COCO_IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
"""Overlaps 0.50 to 0.95 over which COCO averages AP (Lin et al., ECCV 2014; cocodataset.org, detection evaluation)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionCurve:
    """What a detector does at each confidence, from the highest to the lowest score that occurs.

    Attributes:
        confidence: threshold, shape (k,), falling.
        precision: share of detections that are right, shape (k,).
        sensitivity: share of true boxes that are found (recall), shape (k,); NaN without a true box.
        false_positives: wrong detections an image, shape (k,): with `sensitivity` the FROC curve.
    """

    confidence: Floats
    precision: Floats
    sensitivity: Floats
    false_positives: Floats

    @property
    def f1(self) -> Floats:
        """Harmonic mean of precision and sensitivity, shape (k,)."""
        total = self.precision + self.sensitivity
        # Where both are 0 the sum is 0 as well: F1 is 0 there.
        return 2 * self.precision * self.sensitivity / np.where(total == 0, 1, total)


@dataclass(frozen=True, slots=True, kw_only=True)
class DetectionPoint:
    """Figures at one confidence."""

    confidence: float
    precision: Figure
    sensitivity: Figure
    f1: Figure


def detection_curve(matches: Matches, multiplicity: Multiplicity | None = None) -> DetectionCurve:
    """Precision, sensitivity and false positives at each confidence that occurs.

    Args:
        matches: matched detections.
        multiplicity: how often each image is in the sample, shape (m,); None for once each.
    """
    images = np.ones(len(matches.truths), np.int64) if multiplicity is None else multiplicity
    weight = images[matches.image]
    last = np.flatnonzero(np.diff(matches.scores, append=-np.inf))
    right = np.cumsum(weight * matches.correct)[last]
    wrong = np.cumsum(weight * ~matches.correct)[last]
    truths = int(images @ matches.truths)
    return DetectionCurve(
        confidence=matches.scores[last],
        precision=right / np.maximum(right + wrong, 1),
        sensitivity=right / truths if truths else np.full(len(last), nan),
        false_positives=wrong / images.sum(),
    )


def average_precision(matches: Matches, resampling: Resampling = DEFAULT_RESAMPLING) -> Figure:
    """Area under the precision-recall curve at the overlap of `matches`: AP50 for 0.5.

    All-point interpolation: precision is replaced by the greatest precision at that recall or more (Pascal VOC 2010 and
    later). COCO samples the same curve at 101 recalls, which differs by less than 0.01 unless there are few true boxes.
    """
    return bootstrap(lambda multiplicity: precision_recall_area(matches, multiplicity), matches.groups, resampling)


def average_precision_50_95(images: Sequence[ImageBoxes], resampling: Resampling = DEFAULT_RESAMPLING) -> Figure:
    """Average precision averaged over `COCO_IOUS`."""
    levels = [match(images, iou=iou) for iou in COCO_IOUS]

    def statistic(multiplicity: Multiplicity) -> float:
        return float(np.mean([precision_recall_area(matches, multiplicity) for matches in levels]))

    return bootstrap(statistic, levels[0].groups, resampling)


def detection_point(matches: Matches, confidence: float, resampling: Resampling = DEFAULT_RESAMPLING) -> DetectionPoint:
    """Precision, sensitivity and F1 at a confidence. Precision is not defined where nothing is detected."""
    right = _per_image(matches, matches.correct & (matches.scores >= confidence))
    detected = _per_image(matches, matches.scores >= confidence)

    def ratio(part: npt.NDArray[np.int64], whole: npt.NDArray[np.int64]) -> Figure:
        def statistic(multiplicity: Multiplicity) -> float:
            total = multiplicity @ whole
            return float(multiplicity @ part / total) if total else nan

        return bootstrap(statistic, matches.groups, resampling)

    return DetectionPoint(
        confidence=confidence,
        precision=ratio(right, detected),
        sensitivity=ratio(right, matches.truths),
        f1=ratio(2 * right, detected + matches.truths),
    )


def best_confidence(*parts: Matches) -> float:
    """The confidence at which F1 is greatest, the highest one if several are.

    Args:
        parts: for example data sets: the mean of their F1 counts, so that each weighs the same whatever its size.

    Raises:
        DataError: there is no detection, or a part without a true box.
    """
    scores = np.concatenate([np.zeros(0), *(matches.scores for matches in parts)])
    if not len(scores) or not all(matches.truths.any() for matches in parts):
        raise DataError("choosing a confidence needs at least one detection and one true box")
    falling = np.unique(scores)[::-1]
    return float(falling[np.argmax(np.mean([_f1_at(matches, falling) for matches in parts], axis=0))])


def best_f1(matches: Matches, resampling: Resampling = DEFAULT_RESAMPLING) -> Figure:
    """The greatest F1 over all confidences, chosen anew in every resample; optimistic, as chosen on its own data."""

    def statistic(multiplicity: Multiplicity) -> float:
        return float(np.max(detection_curve(matches, multiplicity).f1, initial=_nothing_found(matches, multiplicity)))

    return bootstrap(statistic, matches.groups, resampling)


def sensitivity_at(matches: Matches, false_positives: float, resampling: Resampling = DEFAULT_RESAMPLING) -> Figure:
    """The greatest sensitivity with at most this many false positives an image, on average (a point of the FROC curve).

    All images count, with and without a nodule (Chakraborty, Med Phys 1989;16:561-568).
    """

    def statistic(multiplicity: Multiplicity) -> float:
        curve = detection_curve(matches, multiplicity)
        allowed = curve.sensitivity[curve.false_positives <= false_positives]
        return float(np.max(allowed, initial=_nothing_found(matches, multiplicity)))

    return bootstrap(statistic, matches.groups, resampling)


def false_positives_on_empty(
    matches: Matches, confidence: float, resampling: Resampling = DEFAULT_RESAMPLING
) -> Figure:
    """Detections an image on the images without a true box or a region to ignore; not defined where there is none."""
    empty = matches.empty
    detected = _per_image(matches, matches.scores >= confidence)
    return mean_figure(detected[empty], matches.groups[empty], resampling)


def precision_recall_area(matches: Matches, multiplicity: Multiplicity) -> float:
    """Area under the interpolated precision-recall curve of a sample."""
    if not multiplicity @ matches.truths:
        return nan
    curve = detection_curve(matches, multiplicity)
    envelope = np.maximum.accumulate(curve.precision[::-1])[::-1]
    return float(np.diff(curve.sensitivity, prepend=0.0) @ envelope)


def _f1_at(matches: Matches, confidence: Floats) -> Floats:
    """F1 at each of these confidences, shape (k,); 0 where nothing scores that high."""
    curve = detection_curve(matches)
    place = np.searchsorted(-curve.confidence, -confidence, side="right")
    return np.concatenate([[0.0], curve.f1])[place]


def _per_image(matches: Matches, kept: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """How many of the kept detections each image has, shape (m,)."""
    return np.bincount(matches.image[kept], minlength=len(matches.truths))


def _nothing_found(matches: Matches, multiplicity: Multiplicity) -> float:
    """Sensitivity and F1 of a detector that finds nothing: 0, or not defined where there is nothing to find."""
    return 0.0 if multiplicity @ matches.truths else nan
