"""From clips to what the whole pipeline says of each frame, beside the truth."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from math import nan

from streamer.data.pixels import Picture, read_pictures
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.evaluation.measure_detector import image_boxes, second_look_boxes
from streamer.evaluation.measure_segmenter import NO_OVERLAP, Overlap, filled, nodule_mask, overlap
from streamer.evaluation.subsets import View, view_of
from streamer.metrics.matching import UNMATCHED, ImageBoxes, taken_truths
from streamer.models.detector import Detection
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine
from streamer.types import Nodule


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedView:
    """One frame of a clip.

    Attributes:
        view: what kind of frame it is.
        boxes: true and tracked boxes, with the nodules' names and the track numbers.
        second_look: the same boxes with the nodules and the regions to ignore that a second look found; None where the
            marks are all there is.
        overlaps: of each true nodule's outline in the whole frame; Dice 0 and no HD95 if missed, NaN without a mask.
    """

    view: View
    boxes: ImageBoxes
    overlaps: tuple[Overlap, ...]
    second_look: ImageBoxes | None = None


def track(samples: Sequence[Sample], engine: Engine, split: str) -> list[TrackedView]:
    """Analyse one clip as `streamer run` does, and set the result beside the truth of its labelled frames.

    Args:
        samples: frames of one clip. Where a frame has several boxes, they must stand for the same nodules in each frame
            in the same order.
        engine: loaded networks.
        split: name of the split in the results.

    Raises:
        DataError: the clip is unreadable or shorter than the data say.
    """
    pictures = {picture.sample.frame: picture for picture in read_pictures(samples)}
    views = []
    with closing(analyse(samples[0].image, analyser=engine)) as results:
        for result in results:
            picture = pictures.pop(result.frame.index, None)
            if picture is not None:
                views.append(_frame(picture, result.nodules, split))
    if pictures:
        raise DataError(f"{samples[0].image}: {len(pictures)} labelled frames were not analysed")
    return views


def _frame(picture: Picture, nodules: Sequence[Nodule], split: str) -> TrackedView:
    found = [Detection(nodule.box_xyxy, nodule.track_confidence) for nodule in nodules]
    boxes = image_boxes(picture, found)
    boxes = replace(
        boxes,
        nodules=tuple(f"{picture.sample.image}#{number}" for number in range(1, len(picture.boxes_xyxy) + 1)),
        tracks=tuple(nodule.track_id for nodule in nodules),
    )
    owners = {int(truth): nodule for truth, nodule in zip(taken_truths(boxes), nodules, strict=True)}
    owners.pop(UNMATCHED, None)
    overlaps = tuple(_overlap(picture, number, owners.get(number)) for number in range(len(picture.boxes_xyxy)))
    return TrackedView(
        view=view_of(picture, picture.boxes_xyxy, split),
        boxes=boxes,
        overlaps=overlaps,
        second_look=second_look_boxes(picture, found),
    )


def _overlap(picture: Picture, number: int, nodule: Nodule | None) -> Overlap:
    if picture.mask is None:
        return NO_OVERLAP
    if nodule is None:
        return Overlap(0.0, nan)
    height, width = picture.grey.shape
    truth = nodule_mask(picture, picture.boxes_xyxy[number])
    return overlap(truth, filled(nodule.contour_xy, (height, width)))
