"""Detections matched to true boxes, image by image, once for all figures and all resamples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from supervision import box_iou_batch

from streamer.errors import DataError

Floats = npt.NDArray[np.float64]
UNMATCHED = -1
IGNORED = -2
_INSIDE = 0.5
"""Share of a detection's area that must lie in a region to ignore for it to be neither right nor wrong, as in COCO's
crowd regions (Lin et al., ECCV 2014; there the overlap asked of a match)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBoxes:
    """True and detected boxes of one image or frame.

    Attributes:
        group: patient, or the smallest unit that may be resampled.
        truth_xyxy: true boxes, shape (t, 4), in pixels (half-open); (0, 4) for an image without a nodule.
        boxes_xyxy: detected boxes, shape (d, 4), in the same pixels.
        scores: confidence of each detection, shape (d,).
        ignored_xyxy: regions that are neither right nor wrong, shape (i, 4); a true box in one counts all the same.
        nodules: name of the nodule of each true box, empty for one without a mark, t entries; only needed for tracking.
        tracks: track number of each detection, d entries; only needed for tracking.

    Raises:
        DataError: shapes do not fit, a number is not finite, or a box is inside out.
    """

    group: str
    truth_xyxy: npt.NDArray[np.floating]
    boxes_xyxy: npt.NDArray[np.floating]
    scores: npt.NDArray[np.floating]
    ignored_xyxy: npt.NDArray[np.floating] = field(default_factory=lambda: np.zeros((0, 4)))
    nodules: tuple[str, ...] = field(default=())
    tracks: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse boxes and scores that cannot be matched."""
        for name in ("truth_xyxy", "boxes_xyxy", "ignored_xyxy"):
            boxes = getattr(self, name)
            if boxes.ndim != 2 or boxes.shape[1] != 4:
                raise DataError(f"{name} must have shape (n, 4), (0, 4) for none (got {boxes.shape})")
            if not np.isfinite(boxes).all() or (boxes[:, 2:] < boxes[:, :2]).any():
                raise DataError(f"{name} of group {self.group!r} holds a box that is not finite or inside out")
        if self.scores.shape != (len(self.boxes_xyxy),) or not np.isfinite(self.scores).all():
            raise DataError(f"scores must hold one finite number a detection (got shape {self.scores.shape})")
        if self.nodules and len(self.nodules) != len(self.truth_xyxy):
            raise DataError(f"nodules must name every true box (got {len(self.nodules)} for {len(self.truth_xyxy)})")
        if self.tracks and len(self.tracks) != len(self.boxes_xyxy):
            raise DataError(f"tracks must number every detection (got {len(self.tracks)} for {len(self.boxes_xyxy)})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Matches:
    """All detections of all images that are right or wrong, in order of falling score.

    Attributes:
        scores: confidence, shape (d,), falling.
        correct: whether the detection took a true box, shape (d,).
        image: index of its image, shape (d,).
        truths: number of true boxes of each image, shape (m,).
        empty: whether an image shows no nodule and no region to ignore, shape (m,).
        groups: group of each image, shape (m,).
    """

    scores: Floats
    correct: npt.NDArray[np.bool_]
    image: npt.NDArray[np.int64]
    truths: npt.NDArray[np.int64]
    empty: npt.NDArray[np.bool_]
    groups: npt.NDArray[np.str_]


def taken_truths(image: ImageBoxes, iou: float = 0.5) -> npt.NDArray[np.int64]:
    """The true box that each detection of an image takes, shape (d,).

    `UNMATCHED` for a false positive, `IGNORED` for one of which at least half lies in a region to ignore.

    Greedy, as in COCO: detections in order of falling score, each takes the free true box with the greatest overlap, if
    that is at least `iou`. A second detection of the same nodule is a false positive.
    """
    taken = np.full(len(image.boxes_xyxy), UNMATCHED, np.int64)
    if not len(image.boxes_xyxy):
        return taken
    if len(image.truth_xyxy):
        overlap = np.array(box_iou_batch(image.truth_xyxy, image.boxes_xyxy))
        # The overlap is single precision: compare it with the threshold as single precision sees it.
        least = np.asarray(iou, overlap.dtype)
        for detection in np.argsort(-image.scores, kind="stable"):
            truth = int(np.argmax(overlap[:, detection]))
            if overlap[truth, detection] >= least:
                taken[detection] = truth
                overlap[truth] = -1.0
    taken[(taken == UNMATCHED) & _inside_ignored(image)] = IGNORED
    return taken


def _inside_ignored(image: ImageBoxes) -> npt.NDArray[np.bool_]:
    """Of which detections at least half lies in one region to ignore, shape (d,)."""
    if not len(image.ignored_xyxy):
        return np.zeros(len(image.boxes_xyxy), np.bool_)
    boxes, regions = image.boxes_xyxy[:, None], image.ignored_xyxy[None]
    corner, end = np.maximum(boxes[..., :2], regions[..., :2]), np.minimum(boxes[..., 2:], regions[..., 2:])
    inside = np.prod(np.maximum(end - corner, 0), axis=2)
    area = np.prod(boxes[..., 2:] - boxes[..., :2], axis=2)
    return np.asarray((inside >= _INSIDE * np.maximum(area, 1e-9)).any(axis=1))


def match(images: Sequence[ImageBoxes], *, iou: float = 0.5) -> Matches:
    """Match the detections of every image and put them in order of falling score.

    Raises:
        DataError: there is no image, or `iou` is not above 0 and at most 1.
    """
    if not images:
        raise DataError("there is no image to evaluate detections on")
    if not 0 < iou <= 1:
        raise DataError(f"the least overlap of a match lies above 0 and at most at 1 (got {iou})")
    taken = [taken_truths(image, iou) for image in images]
    judged = np.concatenate(taken) != IGNORED
    scores = np.concatenate([np.asarray(image.scores, np.float64) for image in images])[judged]
    correct = (np.concatenate(taken) != UNMATCHED)[judged]
    owner = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])[judged]
    order = np.argsort(-scores, kind="stable")
    return Matches(
        scores=scores[order],
        correct=correct[order],
        image=owner[order],
        truths=np.array([len(image.truth_xyxy) for image in images], np.int64),
        empty=np.array([not len(image.truth_xyxy) and not len(image.ignored_xyxy) for image in images], np.bool_),
        groups=np.array([image.group for image in images], np.str_),
    )
