"""Boxes and outlines for stills that have none: a trained detector points at the nodule, a segmenter outlines it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torchvision.ops import box_iou

from streamer.backends import choose_backend
from streamer.data.pixels import Picture
from streamer.geometry import Box, CropWindow
from streamer.models.detector import Detection, Detector
from streamer.models.loading import load_detector, load_segmenter
from streamer.models.segmenter import Segmenter
from streamer.settings import DetectionSettings, RuntimeSettings

PROPOSAL_DETECTION = DetectionSettings(confidence=0.1, max_nodules=1)
"""Far below the operating point: the still is known to show a nodule, so the best guess is better than none."""

_AGREEMENT_IOU = 0.6


def load_proposer(folder: Path, *, most: int = 1) -> Detector:
    """The detector of a weights folder, to propose boxes with; the folder need not hold the other networks.

    Args:
        folder: weights folder.
        most: boxes a picture at most.

    Raises:
        WeightsError: the folder holds no usable detector.
    """
    # torch's threads stay as they are; float32, so that proposals do not change when the weights are quantised.
    backend = choose_backend(RuntimeSettings(threads=torch.get_num_threads(), precision="fp32"))
    return load_detector(folder, backend, PROPOSAL_DETECTION.model_copy(update={"max_nodules": most}))


def propose_boxes(pictures: Iterable[Picture], detector: Detector) -> list[Picture]:
    """Give every picture without a box the detector's best detection as its box.

    Left as they are: pictures with a box, pictures known to be free of nodules, and pictures where nothing is detected.

    Args:
        pictures: any sizes.
        detector: its least confidence decides what counts as a proposal (see `load_proposer`).
    """
    return [_with_box(picture, detector) for picture in pictures]


def propose_outlines(pictures: Iterable[Picture], segmenter: Segmenter) -> list[Picture]:
    """Give every picture with a box and without a mask the segmenter's outline of its first box as its mask.

    Left as they are: pictures with a mask, without a box, and where nothing is outlined.
    """
    return [_with_outline(picture, segmenter) for picture in pictures]


def load_outliner(folder: Path) -> Segmenter:
    """The segmenter of a weights folder, to propose outlines with; the folder need not hold the other networks.

    Raises:
        WeightsError: the folder holds no usable segmenter.
    """
    backend = choose_backend(RuntimeSettings(threads=torch.get_num_threads(), precision="fp32"))
    return load_segmenter(folder, backend)


def confirmed_boxes(pictures: Iterable[Picture], detector: Detector, least: float) -> list[Picture]:
    """Self-training: box what the detector finds both in a picture and in its mirror image; leave out the rest.

    Pictures whose truth is known (boxes, or free of nodules) come through as they are. Of the others, those stay in
    which some detection agrees with one of the mirror image (IoU of at least 0.6, mean score of at least `least`):
    a picture without a box would teach that its nodule is background.

    Args:
        pictures: any sizes.
        detector: the teacher; `DetectionSettings` of at least a few boxes a picture.
        least: least mean score of the two views, 0 to 1.
    """
    kept = []
    for picture in pictures:
        if truth_known(picture):
            kept.append(picture)
        elif boxes := _confirmed(picture, detector, least):
            kept.append(replace(picture, boxes_xyxy=boxes))
    return kept


def truth_known(picture: Picture) -> bool:
    """Whether it is known where in the picture nodules are, or that there is none."""
    return bool(picture.boxes_xyxy) or picture.sample.has_nodule is False


def _confirmed(picture: Picture, detector: Detector, least: float) -> tuple[Box, ...]:
    mirrored = np.ascontiguousarray(picture.grey[:, ::-1])
    found, again = detector([picture.grey])[0], detector([mirrored])[0]
    if not found or not again:
        return ()
    boxes, others = _boxes(found), _boxes(again)
    others[:, [0, 2]] = picture.grey.shape[1] - others[:, [2, 0]]
    overlap = box_iou(boxes, others)
    chosen = []
    for number, partner in enumerate(overlap.argmax(dim=1).tolist()):
        score = (found[number].score + again[partner].score) / 2
        if overlap[number, partner] >= _AGREEMENT_IOU and score >= least:
            x0, y0, x1, y1 = ((boxes[number] + others[partner]) / 2).tolist()
            chosen.append((x0, y0, x1, y1))
    return tuple(chosen)


def _boxes(detections: list[Detection]) -> torch.Tensor:
    return torch.tensor([detection.box_xyxy for detection in detections], dtype=torch.float32)


def _with_outline(picture: Picture, segmenter: Segmenter) -> Picture:
    if picture.mask is not None or not picture.boxes_xyxy:
        return picture
    window = CropWindow.around(picture.nodule_box, segmenter.preprocessing.margin)
    crop = window.crop(picture.grey, segmenter.preprocessing.size_wh[0])
    (outline,) = segmenter(crop[None], [window], [(picture.grey.shape[1], picture.grey.shape[0])])
    if not len(outline.contour_xy):
        return picture
    mask = np.zeros_like(picture.grey)
    cv2.fillPoly(mask, [outline.contour_xy], 255)
    return replace(picture, mask=mask)


def _with_box(picture: Picture, detector: Detector) -> Picture:
    if truth_known(picture):
        return picture
    found = detector([picture.grey])[0]
    return replace(picture, boxes_xyxy=(found[0].box_xyxy,)) if found else picture
