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


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageBoxes:
    """True and detected boxes of one image or frame.

    Attributes:
        group: patient, or the smallest unit that may be resampled.
        truth_xyxy: true boxes, shape (t, 4), in pixels (half-open); (0, 4) for an image without a nodule.
        boxes_xyxy: detected boxes, shape (d, 4), in the same pixels.
        scores: confidence of each detection, shape (d,).
        nodules: nodule of each true box, t entries; only needed for the nodule-level figure.
        tracks: track number of each detection, d entries; only needed for the nodule-level figure.

    Raises:
        DataError: shapes do not fit, a number is not finite, or a box is inside out.
    """

    group: str
    truth_xyxy: npt.NDArray[np.floating]
    boxes_xyxy: npt.NDArray[np.floating]
    scores: npt.NDArray[np.floating]
    nodules: tuple[str, ...] = field(default=())
    tracks: tuple[int, ...] = field(default=())

    def __post_init__(self) -> None:
        """Refuse boxes and scores that cannot be matched."""
        for name, boxes in (("truth_xyxy", self.truth_xyxy), ("boxes_xyxy", self.boxes_xyxy)):
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
    """All detections of all images in order of falling score, each right or wrong.

    Attributes:
        scores: confidence, shape (d,), falling.
        correct: whether the detection took a true box, shape (d,).
        image: index of its image, shape (d,).
        truths: number of true boxes of each image, shape (m,).
        groups: group of each image, shape (m,).
    """

    scores: Floats
    correct: npt.NDArray[np.bool_]
    image: npt.NDArray[np.int64]
    truths: npt.NDArray[np.int64]
    groups: npt.NDArray[np.str_]


def taken_truths(image: ImageBoxes, iou: float = 0.5) -> npt.NDArray[np.int64]:
    """The true box that each detection of an image takes, shape (d,); `UNMATCHED` for a false positive.

    Greedy, as in COCO: detections in order of falling score, each takes the free true box with the greatest overlap, if
    that is at least `iou`. A second detection of the same nodule is a false positive.
    """
    taken = np.full(len(image.boxes_xyxy), UNMATCHED, np.int64)
    if not len(image.truth_xyxy) or not len(image.boxes_xyxy):
        return taken
    overlap = np.array(box_iou_batch(image.truth_xyxy, image.boxes_xyxy))
    # The overlap is single precision: compare it with the threshold as single precision sees it.
    least = np.asarray(iou, overlap.dtype)
    for detection in np.argsort(-image.scores, kind="stable"):
        truth = int(np.argmax(overlap[:, detection]))
        if overlap[truth, detection] >= least:
            taken[detection] = truth
            overlap[truth] = -1.0
    return taken


def match(images: Sequence[ImageBoxes], *, iou: float = 0.5) -> Matches:
    """Match the detections of every image and put them in order of falling score.

    Raises:
        DataError: there is no image, or `iou` is not above 0 and at most 1.
    """
    if not images:
        raise DataError("there is no image to evaluate detections on")
    if not 0 < iou <= 1:
        raise DataError(f"the least overlap of a match lies above 0 and at most at 1 (got {iou})")
    scores = np.concatenate([np.asarray(image.scores, np.float64) for image in images])
    correct = np.concatenate([taken_truths(image, iou) != UNMATCHED for image in images])
    owner = np.repeat(np.arange(len(images)), [len(image.scores) for image in images])
    order = np.argsort(-scores, kind="stable")
    return Matches(
        scores=scores[order],
        correct=correct[order],
        image=owner[order],
        truths=np.array([len(image.truth_xyxy) for image in images], np.int64),
        groups=np.array([image.group for image in images], np.str_),
    )
