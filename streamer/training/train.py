"""`streamer train`: from a configuration and data to a run folder with weights and their manifest."""

from __future__ import annotations

import logging
from pathlib import Path

import torch
from safetensors.torch import load_file

from streamer.errors import DataError
from streamer.models.registry import load_object
from streamer.training.config import TrainingConfig
from streamer.training.curves import draw_curves
from streamer.training.dataset import load_training_data, select_samples
from streamer.training.export import data_digest, export, is_exported
from streamer.training.initialisation import (
    built_on,
    check_label_leakage,
    check_same_preprocessing,
    initialise,
    parents_trained_on_left_out_site,
    verify_frozen_encoder,
)
from streamer.training.loop import Observer, Run, Task

_LOG = logging.getLogger(__name__)


def train(
    config: TrainingConfig,
    data: Path,
    folder: Path,
    *,
    device: torch.device,
    weights: Path,
    resume: bool = False,
    drop_duplicates: bool = False,
    observer: Observer | None = None,
) -> Path:
    """Train one network and leave its weights and manifest in the run folder.

    Args:
        config: what to train.
        data: folder in the public layout, or CSV manifest.
        folder: run folder; made where missing.
        device: where to train.
        weights: folder of the networks this one builds on (see the configuration's `boxes_from_detector`,
            `self_training`, `start_from_weights`, `encoder_from_segmenter` and `encoder_from_classifier`).
        resume: go on from the folder's checkpoint, if there is one.
        drop_duplicates: leave out held-out images that nearly equal one of an earlier split, instead of refusing them.
        observer: is told every epoch's figures.

    Returns:
        The run folder, ready to be used as a weights folder.

    Raises:
        DataError: data are missing or inconsistent, or a network it builds on knows labels that this one holds out or
            sees other crops.
        WeightsError: a network it builds on is missing or damaged.
        OutputError: the folder cannot be written.
    """
    foundation = built_on(config, data, weights)
    check_label_leakage(config, weights)
    check_same_preprocessing(config, weights)
    for role in parents_trained_on_left_out_site(config, weights):
        _LOG.warning("the %s it builds on did not leave out %s", role, config.leave_out)
    training_data = select_samples(config, data, drop_duplicates=drop_duplicates)
    train_pictures, val_pictures = load_training_data(training_data, config, weights)
    torch.manual_seed(config.seed)
    task: Task = load_object(config.task.trainer)(config, train_pictures, val_pictures)
    _LOG.info("%d tensors taken over", initialise(task.network, config, data, weights))
    if task.steps() == 0:
        raise DataError(f"{data} has fewer usable training images than a batch of {config.batch}")
    origin = {"data": data_digest(training_data.train), **foundation}
    run = Run(task, config, folder, device, observer, origin=origin)
    try:
        run.fit(resume=resume)
    except KeyboardInterrupt:
        _LOG.info("stopped; %s keeps the last finished epoch: go on with --resume", folder)
        raise
    finally:
        # Not an earlier run's weights; and what was exported before may have been measured since.
        if run.state.best_epoch >= 0 and (run.progressed or not is_exported(folder, config.role)):
            draw_curves(folder / "history.csv", folder)
            encoder_from = verify_frozen_encoder(load_file(run.best_weights), config, weights)
            export(run, config, training_data, foundation, encoder_from)
    return folder
