"""Heat maps: how much of their mass lies in the nodule."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, nan

import numpy as np

from streamer.data.pixels import Picture
from streamer.data.samples import Sample
from streamer.evaluation.detector import image_boxes
from streamer.evaluation.result import Result
from streamer.evaluation.segmenter import nodule_mask
from streamer.evaluation.subsets import ImageTraits, subsets, traits_of
from streamer.geometry import Box
from streamer.metrics.estimate import mean_figure
from streamer.metrics.matching import UNMATCHED, taken_truths
from streamer.models.detector import Detector
from streamer.models.grad_cam import HeatMaps
from streamer.models.weights_manifest import HEAT_ABOVE_CHANCE

MAX_IMAGES = 120
"""Images of a source whose maps are made, evenly spread: neighbouring frames tell the same, and a map takes 0.1 s."""
_MEASURES: dict[str, Callable[[HeatedNodule], float]] = {
    "heat map's mass inside the nodule": lambda nodule: nodule.inside,
    "share of the crop that is nodule (that mass by chance)": lambda nodule: nodule.area,
    HEAT_ABOVE_CHANCE: lambda nodule: nodule.inside - nodule.area,
    "heat map's maximum inside the nodule (pointing game)": lambda nodule: nodule.hit,
}
HEAT_NOTE = (
    f"Heat map: the map of what raises the malignancy, on at most {MAX_IMAGES} held-out images with masks a source, "
    "in the crop around the detector's box where it found the nodule, else around the true box. A classifier that "
    "looks anywhere has the chance level."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class HeatedNodule:
    """The heat map of one nodule.

    Attributes:
        traits: what kind of nodule it is.
        inside: share of the map's mass inside the nodule's mask, 0 to 1; NaN for a map that is 0 everywhere.
        area: share of the crop that is nodule, 0 to 1: what `inside` would be by chance.
        hit: 1 if the map is greatest inside the nodule, else 0; NaN for a map that is 0 everywhere.
    """

    traits: ImageTraits
    inside: float
    area: float
    hit: float


def spread(samples: Sequence[Sample]) -> list[Sample]:
    """At most `MAX_IMAGES` of each source, evenly spread, in order."""
    by_source: defaultdict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_source[sample.source].append(sample)
    return [sample for part in by_source.values() for sample in part[:: ceil(len(part) / MAX_IMAGES)]]


def heat(picture: Picture, heat_maps: HeatMaps, detector: Detector | None, split: str) -> list[HeatedNodule]:
    """The heat map of every true nodule, in the crop that the classifier sees: the detector's, where it found it.

    Args:
        picture: with a mask and at least one box.
        heat_maps: of the classifier under evaluation.
        detector: at its operating point; None for crops around the true boxes only.
        split: name of the split in the results.
    """
    boxes = dict(enumerate(picture.boxes_xyxy))
    if detector is not None:
        detections = detector([picture.grey])[0]
        taken = taken_truths(image_boxes(picture, detections))
        found = {int(truth): detection.box_xyxy for truth, detection in zip(taken, detections, strict=True)}
        found.pop(UNMATCHED, None)
        boxes |= found
    return [_nodule(picture, number, box, heat_maps, split) for number, box in boxes.items()]


def _nodule(picture: Picture, number: int, box: Box, heat_maps: HeatMaps, split: str) -> HeatedNodule:
    truth = picture.boxes_xyxy[number]
    mask = nodule_mask(picture, truth).astype(np.uint8) * np.uint8(255)
    nodule = heat_maps.crop(mask, box) > 127
    warm = heat_maps.of_crop(heat_maps.crop(picture.grey, box))
    mass = float(warm.sum())
    return HeatedNodule(
        traits=traits_of(picture, [truth], split),
        inside=float(warm[nodule].sum()) / mass if mass else nan,
        area=float(nodule.mean()),
        hit=float(nodule.flat[int(np.argmax(warm))]) if mass else nan,
    )


def heat_results(nodules: Sequence[HeatedNodule]) -> list[Result]:
    """Means over the nodules of each source."""
    return [
        Result(
            name=name,
            figure=mean_figure(
                [measure(nodules[row]) for row in part.rows],
                [nodules[row].traits.group for row in part.rows],
                part.resampling,
            ),
            data=part.name,
            split=part.split,
            count_of="nodules",
            clusters_of=f"{part.cluster}s",
        )
        for part in subsets([nodule.traits for nodule in nodules], parts=False)
        if len({nodules[row].traits.source for row in part.rows}) == 1
        for name, measure in _MEASURES.items()
    ]
