"""The segmenter: outlines of held-out nodules, then its figures and plots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import nan

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Plot

from streamer.data.pixels import Picture
from streamer.evaluation.detector import image_boxes
from streamer.evaluation.plots import draw_boxes, draw_points
from streamer.evaluation.result import Evaluation, Result
from streamer.evaluation.subsets import ImageTraits, Subset, subsets, traits_of
from streamer.geometry import Box, CropWindow
from streamer.metrics.estimate import mean_figure
from streamer.metrics.matching import taken_truths
from streamer.metrics.segmentation import dice, hd95
from streamer.models.detector import Detector
from streamer.models.segmenter import Segmenter
from streamer.types import Grey

Mask = npt.NDArray[np.bool_]
_MEASURES: dict[str, Callable[[NoduleScores], float]] = {
    "Dice in the crop of the true box": lambda scores: scores.true_crop.dice,
    "HD95 (px) in the crop of the true box": lambda scores: scores.true_crop.hd95_px,
    "Dice in the crop of the detector's box": lambda scores: scores.detector_crop.dice,
    "HD95 (px) in the crop of the detector's box": lambda scores: scores.detector_crop.hd95_px,
    "Dice end to end (nodule missed: 0)": lambda scores: scores.end_to_end.dice,
    "HD95 (px) end to end (nodules found)": lambda scores: scores.end_to_end.hd95_px,
    "nodules found by the detector": lambda scores: float(scores.found),
}
_NOTES = (
    "Means over true nodules, frame by frame, of the outline as it is reported: the largest region, holes filled.",
    "In the crop of the detector's box only nodules found count (IoU 0.5 or more), and no truth outside the crop.",
    "HD95 is in pixels of the source image; nodules without any outline have none and are left out of it (Dice counts "
    "them as 0).",
)


@dataclass(frozen=True, slots=True)
class Overlap:
    """Dice, 0 to 1, and HD95 in source pixels; NaN where not defined."""

    dice: float
    hd95_px: float


NO_OVERLAP = Overlap(nan, nan)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoduleScores:
    """One true nodule of one image.

    Attributes:
        traits: what kind of nodule it is.
        found: whether a detection took its box (IoU 0.5 or more).
        true_crop: in the crop around the true box.
        detector_crop: in the crop around the detector's box, the truth cut to that crop; NaN for a nodule missed.
        end_to_end: in the whole image, from the detector's box; Dice 0 and no HD95 for a nodule missed.
    """

    traits: ImageTraits
    found: bool
    true_crop: Overlap
    detector_crop: Overlap
    end_to_end: Overlap


@dataclass(frozen=True, slots=True)
class OutlinedNodule:
    """Dice of one true nodule's outline in the crop of its true box."""

    traits: ImageTraits
    dice: float


def segment(picture: Picture, segmenter: Segmenter, detector: Detector, split: str) -> list[NoduleScores]:
    """Outline every true nodule of a picture that has a mask, from its true box and from the detector's.

    Args:
        picture: with a mask and at least one box.
        segmenter: under evaluation.
        detector: at its operating confidence.
        split: name of the split in the results.
    """
    detections = detector([picture.grey])[0]
    taken = taken_truths(image_boxes(picture, detections))
    detected = {int(truth): detection.box_xyxy for truth, detection in zip(taken, detections, strict=True)}
    return [
        _nodule(picture, box, detected.get(number), segmenter, split) for number, box in enumerate(picture.boxes_xyxy)
    ]


def outline_true_boxes(picture: Picture, segmenter: Segmenter, split: str) -> list[OutlinedNodule]:
    """Outline every true nodule of a picture that has a mask, from its true box."""
    return [
        OutlinedNodule(
            traits_of(picture, [box], split),
            dice(nodule_mask(picture, box), _outlined(picture.grey, box, segmenter)[0]),
        )
        for box in picture.boxes_xyxy
    ]


def _nodule(picture: Picture, box: Box, detected: Box | None, segmenter: Segmenter, split: str) -> NoduleScores:
    truth = nodule_mask(picture, box)
    traits = traits_of(picture, [box], split)
    predicted, _ = _outlined(picture.grey, box, segmenter)
    true_crop = overlap(truth, predicted)
    if detected is None:
        return NoduleScores(
            traits=traits, found=False, true_crop=true_crop, detector_crop=NO_OVERLAP, end_to_end=Overlap(0.0, nan)
        )
    predicted, window = _outlined(picture.grey, detected, segmenter)
    visible = np.zeros_like(truth)
    rows, columns = slice(max(window.top, 0), window.bottom), slice(max(window.left, 0), window.right)
    visible[rows, columns] = truth[rows, columns]
    return NoduleScores(
        traits=traits,
        found=True,
        true_crop=true_crop,
        detector_crop=overlap(visible, predicted),
        end_to_end=overlap(truth, predicted),
    )


def _outlined(grey: Grey, box: Box, segmenter: Segmenter) -> tuple[Mask, CropWindow]:
    window = CropWindow.around(box, segmenter.preprocessing.margin)
    crop = window.crop(grey, segmenter.preprocessing.size_wh[0])
    outline = segmenter(crop[None], [window], [(grey.shape[1], grey.shape[0])])[0]
    return filled(outline.contour_xy, (grey.shape[0], grey.shape[1])), window


def nodule_mask(picture: Picture, box: Box) -> Mask:
    """The part of a picture's mask inside one nodule's box: a mask may hold several nodules."""
    assert picture.mask is not None, "chosen by the caller"
    height, width = picture.grey.shape
    x0, y0 = max(int(np.floor(box[0])), 0), max(int(np.floor(box[1])), 0)
    x1, y1 = min(int(np.ceil(box[2])), width), min(int(np.ceil(box[3])), height)
    mask = np.zeros((height, width), np.bool_)
    mask[y0:y1, x0:x1] = picture.mask[y0:y1, x0:x1] > 127
    return mask


def filled(contour_xy: npt.NDArray[np.int32], shape: tuple[int, int]) -> Mask:
    """The inside of a contour, shape (n, 2), its own pixels included, as a mask of (height, width)."""
    canvas = np.zeros(shape, np.uint8)
    if len(contour_xy):
        cv2.drawContours(canvas, [contour_xy], -1, 1, cv2.FILLED)
    return canvas.astype(np.bool_)


def overlap(truth: Mask, predicted: Mask) -> Overlap:
    """Dice and HD95 of two masks of one shape."""
    return Overlap(dice(truth, predicted), hd95(truth, predicted))


def evaluate_outlines(nodules: Sequence[NoduleScores], *, confidence: float, cut: float) -> Evaluation:
    """All figures and plots of a segmenter.

    Args:
        nodules: scores of each true nodule of each image, at least one.
        confidence: operating point of the detector that draws the boxes.
        cut: operating point of the segmenter.
    """
    parts = subsets([nodule.traits for nodule in nodules])
    return Evaluation(
        subject="segmenter",
        results=tuple(result for part in parts for result in _results(part, [nodules[row] for row in part.rows])),
        plots={"dice-by-box": _by_box(parts, nodules), "dice-by-size": _by_size(nodules)},
        settings={"detector's confidence": f"{confidence:.3g}", "cut on the probability map": f"{cut:.3g}"},
        notes=_NOTES,
    )


def _results(part: Subset, nodules: Sequence[NoduleScores]) -> list[Result]:
    groups = [nodule.traits.group for nodule in nodules]
    return [
        Result(
            name=name,
            figure=mean_figure([measure(nodule) for nodule in nodules], groups, part.resampling),
            data=part.name,
            split=part.split,
            count_of="nodules",
            clusters_of=f"{part.cluster}s",
        )
        for name, measure in _MEASURES.items()
    ]


def _by_box(parts: Sequence[Subset], nodules: Sequence[NoduleScores]) -> Plot:
    wanted = [name for name in _MEASURES if name.startswith("Dice")]
    groups = {
        f"{part.name}\n{name.removeprefix('Dice ')}": [_MEASURES[name](nodules[row]) for row in part.rows]
        for part in parts
        if part.whole
        for name in wanted
    }
    return draw_boxes(groups, x="Dice")


def _by_size(nodules: Sequence[NoduleScores]) -> Plot:
    points: dict[str, list[tuple[float, float]]] = {}
    for nodule in nodules:
        share = nodule.traits.share
        assert share is not None, "a nodule has a size"
        points.setdefault(nodule.traits.source, []).append((100 * share, nodule.end_to_end.dice))
    return draw_points(points, x="box of the nodule, % of the frame", y="Dice end to end")
