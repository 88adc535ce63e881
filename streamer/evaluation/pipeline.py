"""The whole pipeline on clips: tracked nodules frame by frame, then its figures and plots."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import groupby
from math import nan
from pathlib import Path

from streamer.data.pixels import Picture, read_pictures
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.evaluation.detector import SECOND_LOOK, image_boxes, operating_results, second_look_boxes
from streamer.evaluation.plots import draw_bars
from streamer.evaluation.result import Evaluation, Result
from streamer.evaluation.segmenter import NO_OVERLAP, Overlap, filled, nodule_mask, overlap
from streamer.evaluation.subsets import ImageTraits, Subset, results_of, subsets, traits_of
from streamer.metrics.estimate import Figure, mean_figure
from streamer.metrics.matching import UNMATCHED, ImageBoxes, taken_truths
from streamer.metrics.tracking import nodule_tracks, nodules_found, tracking_figures
from streamer.models.detector import Detection
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine
from streamer.types import Nodule

FOUND = "nodules found in at least half of their frames under one track number"
_DICE = "Dice end to end (nodule missed: 0)"
_HD95 = "HD95 (px) end to end (nodules found)"
OUTLINE_MEASURES = (_DICE, _HD95)
_NOTES = (
    "The clips went through the same code as `streamer run`: detection at the operating point, segmentation, tracking.",
    "A nodule is found in a frame if a tracked box overlaps its true box by an IoU of 0.5 or more.",
    "MOTA, IDF1 and HOTA are those of the multi-object tracking benchmarks; with the second look, a detection that "
    "takes a nodule without a mark, or lies in a region to ignore, counts neither way in them.",
    "Outlines count in the whole frame; a nodule missed in a frame has Dice 0 there.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackedFrame:
    """One frame of a clip.

    Attributes:
        traits: what kind of frame it is.
        clip: name of its clip.
        boxes: true and tracked boxes, with the nodules' names and the track numbers.
        second_look: the same boxes with the nodules and the regions to ignore that a second look found; None where the
            marks are all there is.
        overlaps: of each true nodule's outline in the whole frame; Dice 0 and no HD95 if missed, NaN without a mask.
    """

    traits: ImageTraits
    clip: str
    boxes: ImageBoxes
    overlaps: tuple[Overlap, ...]
    second_look: ImageBoxes | None = None


def track(samples: Sequence[Sample], engine: Engine, split: str) -> list[TrackedFrame]:
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


def _frame(picture: Picture, nodules: Sequence[Nodule], split: str) -> TrackedFrame:
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
    again = second_look_boxes(picture, found)
    return TrackedFrame(
        traits=traits_of(picture, picture.boxes_xyxy, split),
        clip=str(picture.sample.image),
        boxes=boxes,
        overlaps=overlaps,
        second_look=None
        if again is None
        else replace(again, nodules=(*boxes.nodules, *[""] * len(picture.unmarked_xyxy)), tracks=boxes.tracks),
    )


def _overlap(picture: Picture, number: int, nodule: Nodule | None) -> Overlap:
    if picture.mask is None:
        return NO_OVERLAP
    if nodule is None:
        return Overlap(0.0, nan)
    height, width = picture.grey.shape
    truth = nodule_mask(picture, picture.boxes_xyxy[number])
    return overlap(truth, filled(nodule.contour_xy, (height, width)))


def evaluate_tracks(frames: Sequence[TrackedFrame], confidence: float) -> Evaluation:
    """All figures and the plot of the pipeline.

    Args:
        frames: analysed frames of all clips, at least one with a nodule.
        confidence: operating point of the detector.
    """
    parts = subsets([frame.traits for frame in frames])
    results = [result for part in parts for result in _results(part, [frames[row] for row in part.rows])]
    nodules = nodule_tracks([frame.boxes for frame in frames])
    return Evaluation(
        subject="pipeline",
        results=tuple(results),
        plots={
            "frames-found": draw_bars(
                [(Path(name).name, nodule.longest_share) for name, nodule in nodules.items()],
                x="share of the nodule's frames found under one track number",
                mark=0.5,
            )
        },
        settings={"operating confidence": f"{confidence:.3g}"},
        notes=_NOTES,
    )


def _results(part: Subset, frames: Sequence[TrackedFrame]) -> list[Result]:
    images = [frame.boxes for frame in frames]
    results = operating_results(part, images, 0.0)  # the pipeline reports nothing below its operating point
    if part.whole and any(frame.second_look is not None for frame in frames):
        best_known = [frame.boxes if frame.second_look is None else frame.second_look for frame in frames]
        again = operating_results(part, best_known, 0.0)
        results += [replace(result, name=result.name + SECOND_LOOK) for result in again]
    if part.kind != "size":
        results += _tracking_results(part, frames)
    nodules = list(nodule_tracks(images).values())
    groups, resampling = [nodule.group for nodule in nodules], part.resampling
    overlaps = [(overlap, frame.traits.group) for frame in frames for overlap in frame.overlaps]
    of_frame = [group for _, group in overlaps]
    of_nodules: dict[str, Figure] = {}
    if part.kind != "size":  # a nodule changes its size over a clip: subsets by size cut lives short
        of_nodules = {
            FOUND: nodules_found(images),
            "share of a nodule's frames found under one track number": mean_figure(
                [nodule.longest_share for nodule in nodules], groups, resampling
            ),
            "frames a nodule is in view": mean_figure([nodule.frames for nodule in nodules], groups, resampling),
            "frames a nodule is found in": mean_figure(
                [nodule.tracks.total() for nodule in nodules], groups, resampling
            ),
            "track numbers a nodule gets": mean_figure([len(nodule.tracks) for nodule in nodules], groups, resampling),
        }
    of_frames = {
        _DICE: mean_figure([overlap.dice for overlap, _ in overlaps], of_frame, resampling),
        _HD95: mean_figure([overlap.hd95_px for overlap, _ in overlaps], of_frame, resampling),
    }
    for figures, count_of in ((of_nodules, "nodules"), (of_frames, "frames with a nodule")):
        results += [
            Result(
                name=name,
                figure=figure,
                data=part.name,
                split=part.split,
                count_of=count_of,
                clusters_of="nodules" if name == FOUND else f"{part.cluster}s",
            )
            for name, figure in figures.items()
        ]
    return results


def _tracking_results(part: Subset, frames: Sequence[TrackedFrame]) -> list[Result]:
    """The field's tracking metrics over whole clips, by the marks alone and with the second look."""
    clips = [list(clip) for _, clip in groupby(frames, key=lambda frame: frame.clip)]
    figures = tracking_figures([[frame.boxes for frame in clip] for clip in clips], part.resampling)
    if any(frame.second_look is not None for frame in frames):
        again = tracking_figures(
            [[frame.second_look or frame.boxes for frame in clip] for clip in clips], part.resampling
        )
        figures |= {name + SECOND_LOOK: figure for name, figure in again.items()}
    return results_of(part, figures, "clips")
