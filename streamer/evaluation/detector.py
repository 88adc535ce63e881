"""The detector: boxes of held-out images, then its figures and plots."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from math import floor

import numpy as np
from matplotlib.figure import Figure as Plot

from streamer.data.pixels import Picture
from streamer.data.samples import Sample
from streamer.evaluation.plots import Line, draw_lines
from streamer.evaluation.result import Chosen, Evaluation, Result
from streamer.evaluation.subsets import ImageTraits, Subset, results_of, subsets, traits_of
from streamer.metrics.detection import (
    DetectionCurve,
    average_precision,
    average_precision_50_95,
    best_confidence,
    best_f1,
    detection_curve,
    detection_point,
    false_positives_on_empty,
    sensitivity_at,
)
from streamer.metrics.estimate import Figure
from streamer.metrics.matching import ImageBoxes, match
from streamer.models.detector import Detection, Detector
from streamer.settings import DetectionSettings

_MIN_CONFIDENCE = 0.01
"""Low enough for the curves to reach their end: what scores less is nearly always wrong."""
_MAX_BOXES = 100
"""As COCO keeps an image."""
FALSE_POSITIVES_AN_IMAGE = 0.5
SECOND_LOOK = ", with the second look"
"""Ends the names of figures that count nodules without a mark as right and leave regions to ignore aside."""
_SCALE = 10.0**4
_NOTES = (
    "A detection is right if it overlaps a true box by an IoU of 0.5 or more; a second one of a nodule is wrong.",
    "By the marks alone, a nodule that nobody marked counts as a false positive: cine marks one a sequence.",
    "With the second look it is one to find, a detection half inside a region to ignore counts neither way, and an "
    "image without a nodule has no such region either. The second look at cine is not a radiologist's.",
    "Best F1 is chosen on the data it is measured on and therefore optimistic.",
)


@dataclass(frozen=True, slots=True)
class DetectedImage:
    """True and detected boxes of an image, and what kind of image it is.

    Attributes:
        traits: what kind of image it is.
        boxes: by the marks alone.
        second_look: with the nodules and the regions to ignore that a second look found, if any; None where the marks
            are all there is.
    """

    traits: ImageTraits
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


def detect(picture: Picture, detector: Detector, split: str) -> DetectedImage:
    """Run the detector on one picture."""
    found = detector([picture.grey])[0]
    view = traits_of(picture, picture.boxes_xyxy, split)
    return DetectedImage(view, image_boxes(picture, found), second_look_boxes(picture, found))


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


def choose_confidence(seen: Sequence[DetectedImage], trained_on: Collection[str]) -> Chosen | None:
    """The operating point: the confidence with the best F1 on held-out images, every source weighing the same.

    Where there is a second look, it counts.

    Args:
        seen: images with true and detected boxes.
        trained_on: sources that the detector was trained on; others stay untouched, as external.

    Returns:
        What was chosen; None if no held-out image of such a source shows a nodule, or nothing is detected in any.
    """
    views = [image.traits for image in seen]
    parts = [part for part in subsets(views, parts=False) if {views[row].source for row in part.rows} == {part.name}]
    chosen = {
        part.name: part
        for part in parts
        if part.name in trained_on and any(len(seen[row].best_known.truth_xyxy) for row in part.rows)
    }
    matches = [match([seen[row].best_known for row in part.rows]) for part in chosen.values()]
    if not any(len(one.scores) for one in matches):
        return None
    splits = " / ".join(dict.fromkeys(part.split for part in chosen.values()))
    # Rounded down, so that the box that set it stays on its side.
    confidence = floor(best_confidence(*matches) * _SCALE) / _SCALE
    weighing = ", each weighing the same" if len(chosen) > 1 else ""
    return Chosen(
        operating_point=confidence, source=f"best F1 on {splits} of {' and '.join(chosen)}{weighing} (in-sample)"
    )


def evaluate_detections(seen: Sequence[DetectedImage], confidence: float, chosen: Chosen | None = None) -> Evaluation:
    """All figures and plots of a detector.

    Args:
        seen: images with true and detected boxes, at least one.
        confidence: its operating point.
        chosen: what was chosen on the way, to be handed on.
    """
    parts = subsets([image.traits for image in seen])
    results: list[Result] = []
    for part in parts:
        images = [seen[row].boxes for row in part.rows]
        results += [*_curve_results(part, images), *operating_results(part, images, confidence)]
        if part.whole and any(seen[row].second_look is not None for row in part.rows):
            images = [seen[row].best_known for row in part.rows]
            again = [*_curve_results(part, images), *operating_results(part, images, confidence)]
            results += [replace(result, name=result.name + SECOND_LOOK) for result in again]
    curves = {
        part.name: detection_curve(match([seen[row].best_known for row in part.rows]))
        for part in parts
        if part.whole and any(len(seen[row].best_known.truth_xyxy) for row in part.rows)
    }
    return Evaluation(
        subject="detector",
        results=tuple(results),
        plots={"precision-recall": _precision_recall(curves), "froc": _froc(curves)} if curves else {},
        settings={"operating confidence": f"{confidence:.3g}"},
        notes=_NOTES,
        chosen=chosen,
    )


def operating_results(part: Subset, images: Sequence[ImageBoxes], confidence: float) -> list[Result]:
    """The figures of one subset at the operating point; what is not defined for its images is left out."""
    matches, resampling = match(images), part.resampling
    figures: dict[str, Figure] = {}
    if matches.truths.any():
        point = detection_point(matches, confidence, resampling)
        figures = {
            "F1 at the operating point": point.f1,
            "sensitivity at the operating point": point.sensitivity,
            "precision at the operating point": point.precision,
        }
    if matches.empty.any():
        figures["false positives an image without a nodule, at the operating point"] = false_positives_on_empty(
            matches, confidence, resampling
        )
    return results_of(part, figures, "images")


def _curve_results(part: Subset, images: Sequence[ImageBoxes]) -> list[Result]:
    """The figures over all confidences, where the subset shows nodules."""
    matches, resampling = match(images), part.resampling
    if not matches.truths.any():
        return []
    figures = {"AP50": average_precision(matches, resampling)}
    if part.whole:
        figures["AP50-95"] = average_precision_50_95(images, resampling)
    figures[f"sensitivity at {FALSE_POSITIVES_AN_IMAGE:g} false positives an image"] = sensitivity_at(
        matches, FALSE_POSITIVES_AN_IMAGE, resampling
    )
    if part.whole:
        figures["best F1"] = best_f1(matches, resampling)
    return results_of(part, figures, "images")


def _precision_recall(curves: dict[str, DetectionCurve]) -> Plot:
    lines = [Line(name, curve.sensitivity, curve.precision) for name, curve in curves.items()]
    return draw_lines(lines, x="sensitivity (recall)", y="precision")


def _froc(curves: dict[str, DetectionCurve]) -> Plot:
    lines = [Line(name, curve.false_positives, curve.sensitivity) for name, curve in curves.items()]
    most = max((float(np.max(line.x, initial=0)) for line in lines), default=0)
    return draw_lines(
        lines,
        x="false positives an image",
        y="sensitivity",
        x_range=(0.0, min(max(most, 1.0), 4.0)),
        mark_x=FALSE_POSITIVES_AN_IMAGE,
    )
