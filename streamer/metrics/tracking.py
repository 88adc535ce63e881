"""Figures of tracking: nodules found under one track number, and the field's CLEAR, identity and HOTA metrics.

The metrics of the field come from `trackers.eval` (the reference TrackEval, ported); the intervals are ours, by a
bootstrap over whole groups of clips.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from supervision import box_iou_batch
from trackers import eval as mot

from streamer.errors import DataError
from streamer.metrics.estimate import (
    DEFAULT_RESAMPLING,
    Figure,
    Multiplicity,
    Resampling,
    bootstrap,
    mean_figure,
    proportion,
)
from streamer.metrics.matching import IGNORED, ImageBoxes, taken_truths

Ids = npt.NDArray[np.int64]
Frames = tuple[list[Ids], list[Ids], list[npt.NDArray[np.float64]]]
"""True ids, track ids and overlaps of each frame, as `trackers.eval` takes them."""


@dataclass(slots=True)
class NoduleTracks:
    """A nodule over its clip.

    Attributes:
        group: patient, or the smallest unit that may be resampled.
        frames: frames in which it has a true box.
        tracks: frames in which each track number found it.
    """

    group: str
    frames: int = 0
    tracks: Counter[int] = field(default_factory=Counter)

    @property
    def longest_share(self) -> float:
        """Share of its frames in which its most faithful track number found it, 0 to 1."""
        return max(self.tracks.values(), default=0) / self.frames


def nodule_tracks(images: Sequence[ImageBoxes], *, iou: float = 0.5) -> dict[str, NoduleTracks]:
    """The track numbers under which each nodule was found, by its name; those without a name are left out.

    A nodule is found in a frame if a detection takes its true box there. Track numbers must be unique within a nodule:
    where a tracker starts again at 1 in each clip, name the nodule by clip.

    Raises:
        DataError: an image with a true box does not name its nodules, or one with detections has no track numbers.
    """
    nodules: dict[str, NoduleTracks] = {}
    found: defaultdict[str, Counter[int]] = defaultdict(Counter)
    for image in images:
        _check_named(image)
        for name in filter(None, image.nodules):
            nodules.setdefault(name, NoduleTracks(image.group)).frames += 1
        for track, truth in zip(image.tracks, taken_truths(image, iou), strict=True):
            if truth >= 0:
                found[image.nodules[truth]][track] += 1
    for name, nodule in nodules.items():
        nodule.tracks.update(found[name])
    return nodules


def nodules_found(images: Sequence[ImageBoxes], *, iou: float = 0.5, share: float = 0.5) -> Figure:
    """Share of nodules found in at least `share` of their frames under one track number, with Wilson's interval.

    Raises:
        DataError: as for `nodule_tracks`.
    """
    nodules = nodule_tracks(images, iou=iou).values()
    return proportion(sum(nodule.longest_share >= share for nodule in nodules), len(nodules))


def tracking_figures(
    clips: Sequence[Sequence[ImageBoxes]], resampling: Resampling = DEFAULT_RESAMPLING
) -> dict[str, Figure]:
    """MOTA, IDF1 and HOTA over clips, and how often a clip's nodules change or lose their track number.

    MOTA: Bernardin and Stiefelhagen, EURASIP J Image Video Process 2008:246309. IDF1: Ristani et al., ECCV workshops
    2016. HOTA: Luiten et al., Int J Comput Vis 2021;129:548-578. A detection that takes a nodule without a name, or
    lies in a region to ignore, counts neither way.

    Args:
        clips: labelled frames of each clip in order, named and numbered as `nodule_tracks` needs them.
        resampling: bootstrap over the groups of the clips.

    Returns:
        Figures by name; empty where no clip shows a nodule.

    Raises:
        DataError: as for `nodule_tracks`.

    Example:
        >>> box = np.array([[0.0, 0.0, 10.0, 10.0]])
        >>> names = {"nodules": ("n",), "tracks": (1,)}
        >>> frame = ImageBoxes(group="a", truth_xyxy=box, boxes_xyxy=box, scores=np.ones(1), **names)
        >>> tracking_figures([[frame, frame]])["IDF1"].value
        1.0
    """
    sequences = [_sequence(clip) for clip in clips]
    if not any(len(ids) for truths, _, _ in sequences for ids in truths):
        return {}
    groups = [clip[0].group for clip in clips]
    clear = [mot.compute_clear_metrics(*sequence) for sequence in sequences]
    identity = [mot.compute_identity_metrics(*sequence) for sequence in sequences]
    hota = [mot.compute_hota_metrics(*sequence) for sequence in sequences]
    return {
        "MOTA": _aggregate(clear, mot.aggregate_clear_metrics, "MOTA", groups, resampling),
        "IDF1": _aggregate(identity, mot.aggregate_identity_metrics, "IDF1", groups, resampling),
        "HOTA": _aggregate(hota, mot.aggregate_hota_metrics, "HOTA", groups, resampling),
        "identity switches per clip": mean_figure([one["IDSW"] for one in clear], groups, resampling),
        "fragmentations per clip": mean_figure([one["Frag"] for one in clear], groups, resampling),
    }


def _aggregate(
    clips: Sequence[dict[str, Any]],
    aggregate: Callable[[list[dict[str, Any]]], dict[str, Any]],
    name: str,
    groups: Sequence[str],
    resampling: Resampling,
) -> Figure:
    def statistic(multiplicity: Multiplicity) -> float:
        return float(aggregate([clips[row] for row in np.repeat(np.arange(len(clips)), multiplicity).tolist()])[name])

    return bootstrap(statistic, groups, resampling)


def _sequence(clip: Sequence[ImageBoxes]) -> Frames:
    numbers: dict[str, int] = {}
    truths, tracks, overlaps = [], [], []
    for image in clip:
        _check_named(image)
        named = np.array([bool(name) for name in image.nodules], np.bool_)
        taken = taken_truths(image)
        judged = np.array([truth != IGNORED and (truth < 0 or named[truth]) for truth in taken], np.bool_)
        truths.append(np.array([numbers.setdefault(name, len(numbers)) for name in image.nodules if name], np.int64))
        tracks.append(np.array(image.tracks, np.int64)[judged])
        overlaps.append(_overlaps(image.truth_xyxy[named], image.boxes_xyxy[judged]))
    return truths, tracks, overlaps


def _overlaps(truth_xyxy: npt.NDArray[np.floating], boxes_xyxy: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    if not len(truth_xyxy) or not len(boxes_xyxy):
        return np.zeros((len(truth_xyxy), len(boxes_xyxy)))
    return np.asarray(box_iou_batch(truth_xyxy, boxes_xyxy), np.float64)


def _check_named(image: ImageBoxes) -> None:
    if len(image.nodules) != len(image.truth_xyxy) or len(image.tracks) != len(image.boxes_xyxy):
        raise DataError(f"an image of group {image.group!r} lacks a nodule's name or a track number")
