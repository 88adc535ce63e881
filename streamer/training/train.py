"""`streamer train`: from a configuration and data to a run folder with weights and their manifest."""

from __future__ import annotations

import hashlib
import platform
from importlib.metadata import version
from pathlib import Path

import torch
from rich.console import Console
from safetensors.torch import load_file
from torch import nn

from streamer.data.pixels import load_pictures, phantom_pictures
from streamer.data.proposals import load_proposer, propose_boxes
from streamer.data.public_data import load_samples
from streamer.data.samples import Sample, describe, thin
from streamer.errors import DataError
from streamer.models.networks import CLASSES
from streamer.models.weights import (
    ModelEntry,
    Preprocessing,
    Training,
    load_fitting,
    load_network,
    read_manifest,
    save_half,
    write_entry,
)
from streamer.training.classifier import ClassifierTask
from streamer.training.config import TrainingConfig
from streamer.training.curves import draw_curves
from streamer.training.detector import DetectorTask
from streamer.training.loop import Run
from streamer.training.segmenter import SegmenterTask

_FIRST_PHANTOM_SEED = 1000
_TASKS: dict[str, type[DetectorTask] | type[SegmenterTask] | type[ClassifierTask]] = {
    "detector": DetectorTask,
    "segmenter": SegmenterTask,
    "classifier": ClassifierTask,
}
_LICENCE = "AGPL-3.0-or-later; trained on public research data (see the model card): research use only"


def train(
    config: TrainingConfig, data: Path, folder: Path, *, device: torch.device, weights: Path, resume: bool = False
) -> Path:
    """Train one network and leave its weights and manifest in the run folder.

    Args:
        config: what to train.
        data: folder in the public layout, or CSV manifest.
        folder: run folder; made where missing.
        device: where to train.
        weights: folder of the networks this one builds on (`boxes_from_detector`, `encoder_from_segmenter`).
        resume: go on from the folder's checkpoint, if there is one.

    Returns:
        The run folder, ready to be used as a weights folder.

    Raises:
        DataError: data are missing or inconsistent.
        WeightsError: a network it builds on is missing or damaged.
        OutputError: the folder cannot be written.
    """
    console = Console()
    samples = [
        sample for sample in load_samples(data, tn3k_val_fold=config.tn3k_val_fold) if sample.source in config.sources
    ]
    chosen = _ingredients(samples, config)
    val = thin((sample for sample in samples if sample.split == "val"), config.val_stride)
    if not chosen or not val:
        raise DataError(
            f"{data} has {len(chosen)} training and {len(val)} validation images of {', '.join(config.sources)}"
        )
    console.print(f"train: {describe(chosen)}\nval:   {describe(val)}")
    train_pictures, val_pictures = load_pictures(chosen), load_pictures(val)
    if config.boxes_from_detector:
        detector = load_proposer(weights)
        train_pictures, val_pictures = propose_boxes(train_pictures, detector), propose_boxes(val_pictures, detector)
    train_pictures += phantom_pictures(config.phantom, _FIRST_PHANTOM_SEED + config.seed)
    torch.manual_seed(config.seed)
    task = _TASKS[config.role](config, train_pictures, val_pictures)
    console.print(f"{_start_from(task.network, config, data, weights)} tensors taken over")
    if task.steps() == 0:
        raise DataError(f"{data} has fewer usable training images than a batch of {config.batch}")
    run = Run(task, config, folder, device)
    try:
        run.fit(resume=resume)
    except KeyboardInterrupt:
        console.print(f"stopped; {folder} keeps the last finished epoch: go on with --resume")
        raise
    finally:
        if run.state.best_epoch >= 0:  # not an earlier run's weights
            draw_curves(folder / "history.csv", folder)
            _export(run, config, chosen)
    return folder


def _start_from(network: nn.Module, config: TrainingConfig, data: Path, weights: Path) -> int:
    """Copy what an earlier network has learned; return how many tensors fitted."""
    if config.init is not None:
        path = (data if data.is_dir() else data.parent) / config.init
        if not path.is_file():
            raise DataError(f"the configuration's starting tensors are missing: {path}")
        return load_fitting(network, load_file(path))
    if config.encoder_from_segmenter:
        segmenter = load_network(weights, "segmenter", read_manifest(weights)).state_dict()
        return load_fitting(network, {name.removeprefix("encoder."): tensor for name, tensor in segmenter.items()})
    return 0


def _ingredients(samples: list[Sample], config: TrainingConfig) -> list[Sample]:
    chosen = []
    for source, ingredient in config.sources.items():
        part = [sample for sample in samples if sample.source == source and sample.split == "train"]
        chosen += thin(part, ingredient.stride)[: ingredient.limit]
    return chosen


def _export(run: Run, config: TrainingConfig, samples: list[Sample]) -> None:
    file = f"{config.role}.safetensors"
    digest = save_half(load_file(run.best_weights), run.folder / file)
    entry = ModelEntry(
        file=file,
        sha256=digest,
        architecture=config.architecture,
        preprocessing=Preprocessing(
            view="frame" if config.role == "detector" else "crop",
            size_wh=config.size_wh,
            mean=config.mean,
            std=config.std,
            margin=0.0 if config.role == "detector" else config.margin,
        ),
        classes=CLASSES if config.role == "classifier" else ("nodule",),
        operating_point=0.3 if config.role == "detector" else 0.5,
        operating_point_source="the paper's published code" if config.role != "classifier" else "not yet chosen",
        training=Training(
            config=config.model_dump(mode="json"),
            data=_data_summary(samples, config),
            data_sha256=_data_digest(samples),
            hours=round(run.state.seconds / 3600, 2),
            epochs=run.state.epoch,
            hardware=f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
            if run.device.type == "cpu"
            else torch.cuda.get_device_name(),
            versions={
                name: version(name) for name in ("torch", "ultralytics", "segmentation-models-pytorch", "torchvision")
            },
        ),
        licence=_LICENCE,
    )
    write_entry(run.folder, config.role, entry)


def _data_summary(samples: list[Sample], config: TrainingConfig) -> dict[str, str]:
    summary = {}
    for source in config.sources:
        summary[source] = describe([sample for sample in samples if sample.source == source])
    if config.phantom:
        summary["phantom"] = f"{config.phantom} simulated images"
    return summary


def _data_digest(samples: list[Sample]) -> str:
    """sha256 over every training sample's name, frame, boxes and label: the same data give the same digest."""
    lines = [f"{s.source} {s.image.name} {s.frame} {s.boxes_xyxy} {s.label}" for s in samples]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
