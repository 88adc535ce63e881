"""Boxes for stills that have none: a trained detector points at the nodule."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import torch

from streamer.backends import choose_backend
from streamer.data.pixels import Picture
from streamer.models.detector import Detector
from streamer.models.loading import load_detector
from streamer.settings import DetectionSettings, RuntimeSettings

PROPOSAL_DETECTION = DetectionSettings(confidence=0.1, max_nodules=1)
"""Far below the operating point: the still is known to show a nodule, so the best guess is better than none."""


def load_proposer(folder: Path) -> Detector:
    """The detector of a weights folder, to propose boxes with; the folder need not hold the other networks.

    Raises:
        WeightsError: the folder holds no usable detector.
    """
    backend = choose_backend(RuntimeSettings(threads=torch.get_num_threads()))  # leaves torch's threads as they are
    return load_detector(folder, backend, PROPOSAL_DETECTION)


def propose_boxes(pictures: Iterable[Picture], detector: Detector) -> list[Picture]:
    """Give every picture without a box the detector's best detection as its box.

    Left as they are: pictures with a box, pictures known to be free of nodules, and pictures where nothing is detected.

    Args:
        pictures: any sizes.
        detector: its least confidence decides what counts as a proposal (see `load_proposer`).
    """
    return [_with_box(picture, detector) for picture in pictures]


def _with_box(picture: Picture, detector: Detector) -> Picture:
    if picture.boxes_xyxy or picture.sample.has_nodule is False:
        return picture
    found = detector([picture.grey])[0]
    return replace(picture, boxes_xyxy=(found[0].box_xyxy,)) if found else picture
