"""What a training run learns from: samples chosen and checked, then their pictures."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from streamer.data.dataset import load_dataset
from streamer.data.near_duplicates import find_near_duplicates, raise_on_near_duplicates, without_near_duplicates
from streamer.data.pixels import Picture, load_pictures, phantom_pictures
from streamer.data.pseudo_boxes import (
    confirmed_boxes,
    load_outliner,
    load_proposer,
    propose_boxes,
    propose_outlines,
    truth_known,
)
from streamer.data.samples import Sample, thin
from streamer.data.summary import balance_table, balance_warnings
from streamer.errors import DataError
from streamer.training.config import TrainingConfig

_FIRST_PHANTOM_SEED = 1000
_MAX_CONFIRMED = 3

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Training and validation samples, and in words how those of each source came into their splits."""

    train: list[Sample]
    val: list[Sample]
    splits: dict[str, str]


def select_samples(config: TrainingConfig, data: Path, *, drop_duplicates: bool = False) -> TrainingData:
    """The samples that a configuration asks for; logs their class balance, and what is odd about them.

    Held-out images that nearly equal one of an earlier split are refused in a manifest, unless `drop_duplicates` leaves
    them out. The public sets have some (DDTI holds many cases twice), so there they are always left out. It is the
    held-out side that gives way: then networks trained before, on the same training images, are judged fairly too.

    Raises:
        DataError: data are missing or inconsistent, or nearly the same image is in two splits.
    """
    dataset = load_dataset(
        data, tn3k_val_fold=config.tn3k_val_fold, split_seed=config.split_seed, left_out=config.leave_out
    )
    samples = [sample for sample in dataset.samples if sample.source in config.sources]
    splits = {source: rule for source, rule in dataset.splits.items() if source in config.sources}
    for source, rule in splits.items():
        if rule != "as published":
            _LOG.info("splits of %s: %s", source, rule)
    duplicates = find_near_duplicates(*(_of(samples, split) for split in ("train", "val", "test")))
    if not drop_duplicates and not data.is_dir():
        remedy = "keep both in one split, or leave the held-out images out with --drop-duplicates"
        raise_on_near_duplicates(duplicates, remedy)
    if duplicates:
        samples = without_near_duplicates(samples, duplicates)
        _LOG.info(
            "%d held-out images nearly equal one of an earlier split and are left out; %s",
            len(duplicates),
            duplicates[0],
        )
    train = []
    for source, sampling in config.sources.items():
        part = [sample for sample in _of(samples, "train") if sample.source == source]
        train += thin(_some_groups(part, sampling.patients), sampling.stride)[: sampling.limit]
    val = thin(_of(samples, "val"), config.val_stride)
    _LOG.info("%s", balance_table([*train, *val, *_of(samples, "test")], "class balance").text())
    for warning in balance_warnings(samples):
        _LOG.warning("%s", warning)
    if not train or not val:
        names = ", ".join(config.sources)
        there = ", ".join(dataset.splits) or "none"
        raise DataError(
            f"{data} has {len(train)} training and {len(val)} validation images of {names}; its sources are {there}: "
            "list those to learn from under `sources` in the configuration"
        )
    return TrainingData(train, val, splits)


def load_training_data(
    chosen: TrainingData, config: TrainingConfig, weights: Path
) -> tuple[list[Picture], list[Picture]]:
    """Training and validation pictures, boxed where the configuration asks for it; simulated ones are added.

    Raises:
        DataError: an image cannot be read.
        WeightsError: the detector that draws boxes is missing or damaged.
    """
    train, val = load_pictures(chosen.train), load_pictures(chosen.val)
    if config.task.target == "boxes":
        val = [picture for picture in val if truth_known(picture)]
        if config.self_training is not None:
            train = confirmed_boxes(train, load_proposer(weights, most=_MAX_CONFIRMED), config.self_training)
            _LOG.info("%d of %d training images have a true or a confirmed box", len(train), len(chosen.train))
        else:
            train = [picture for picture in train if truth_known(picture)]
    if config.boxes_from_detector:
        detector = load_proposer(weights)
        train, val = propose_boxes(train, detector), propose_boxes(val, detector)
    if config.outlines_from_segmenter:
        train = propose_outlines(train, load_outliner(weights))
    return [*train, *phantom_pictures(config.phantom, _FIRST_PHANTOM_SEED + config.seed)], val


def _of(samples: Iterable[Sample], split: str) -> list[Sample]:
    return [sample for sample in samples if sample.split == split]


def _some_groups(samples: list[Sample], share: float) -> list[Sample]:
    """The samples of that share of the groups, at least one if there are any, spread evenly over their order."""
    groups = list(dict.fromkeys(sample.group for sample in samples))
    chosen = {groups[int(number / share)] for number in range(min(len(groups), max(1, round(share * len(groups)))))}
    return [sample for sample in samples if sample.group in chosen]
