"""Images that set the ranges of a quantised network's integers: such as it will see in use, of its training split."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from streamer.data.dataset import load_dataset
from streamer.data.pixels import Picture, read_pictures
from streamer.data.pseudo_boxes import propose_boxes
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.geometry import Letterbox
from streamer.models.detector import Detector
from streamer.models.weights_manifest import ModelEntry, Preprocessing, Role
from streamer.settings import validated
from streamer.training.augment import jittered_window
from streamer.training.config import TrainingConfig
from streamer.types import Grey


@dataclass(frozen=True, slots=True)
class CalibrationImages:
    """Network inputs, shape (n, height, width), and how many come from each source."""

    images: Grey
    counts: dict[str, int]


def calibration(role: Role, entry: ModelEntry, data: Path, count: int, proposer: Detector) -> CalibrationImages:
    """Inputs of a network, spread evenly over the training split of the sources that it was trained on.

    Whole frames go through the letterbox used at run time; crops are cut around true boxes, jittered as in training, or
    around the detector's best box where the data have none, or of the whole view where it finds none either.

    Args:
        role: which network.
        entry: its entry in the manifest.
        data: folder in the public layout, or CSV manifest.
        count: number of images at most.
        proposer: draws boxes where the data have none.

    Raises:
        DataError: data are missing or inconsistent, or hold none of the network's training sources.
        SettingsError: the manifest does not say what the network was trained on.
    """
    config = validated(TrainingConfig, entry.training.config, f"the {role}'s training in the manifest")
    samples = _training_samples(config, data)
    if not samples:
        raise DataError(f"{data} holds no training image of {', '.join(config.sources)}")
    positions = np.unique(np.linspace(0, len(samples) - 1, count).round().astype(int))
    chosen = [samples[position] for position in positions]
    rng = np.random.default_rng(config.seed)
    images = [_input(picture, entry.preprocessing, config, proposer, rng) for picture in read_pictures(chosen)]
    return CalibrationImages(np.stack(images), dict(Counter(sample.source for sample in chosen)))


def _training_samples(config: TrainingConfig, data: Path) -> list[Sample]:
    return [
        sample
        for sample in load_dataset(
            data, tn3k_val_fold=config.tn3k_val_fold, split_seed=config.split_seed, left_out=config.leave_out
        ).samples
        if sample.source in config.sources
        and sample.split == "train"
        and (config.task.view == "frame" or sample.has_nodule is not False)
    ]


def _input(
    picture: Picture,
    preprocessing: Preprocessing,
    config: TrainingConfig,
    proposer: Detector,
    rng: np.random.Generator,
) -> Grey:
    if preprocessing.view == "frame":
        height, width = picture.grey.shape
        return Letterbox((width, height), preprocessing.size_wh).apply(picture.grey)
    (picture,) = propose_boxes([picture], proposer)
    box = (picture.boxes_xyxy or (picture.whole_view,))[int(rng.integers(max(1, len(picture.boxes_xyxy))))]
    window = jittered_window(box, rng, margin=preprocessing.margin, shift=config.box_shift, stretch=config.box_stretch)
    return window.crop(picture.grey, preprocessing.size_wh[0])
