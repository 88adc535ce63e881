"""A run as a weights folder: half-precision weights, and a manifest that says where they come from."""

from __future__ import annotations

import hashlib
import platform
from collections import Counter
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path

import torch
from safetensors.torch import load_file

from streamer.data.public_sources import unit_of
from streamer.data.samples import Sample
from streamer.models.networks import save_half
from streamer.models.weights_manifest import (
    MANIFEST,
    ModelEntry,
    Role,
    SourceAmount,
    Training,
    read_manifest,
    write_entry,
)
from streamer.training.config import TrainingConfig
from streamer.training.dataset import TrainingData
from streamer.training.loop import Run

_LICENCE = "AGPL-3.0-or-later; trained on public research data (see the model card): research use only"


def export(
    run: Run,
    config: TrainingConfig,
    training_data: TrainingData,
    built_on: Mapping[str, str],
    encoder_from: str | None = None,
) -> None:
    """Write the best weights and the manifest into the run's folder.

    Args:
        run: the run.
        config: its configuration.
        training_data: what it learned from.
        built_on: SHA-256 of the networks it builds on, by role.
        encoder_from: SHA-256 of the classifier whose encoder the weights hold, unchanged.

    Raises:
        OutputError: a file cannot be written.
    """
    file = f"{config.role}.safetensors"
    digest = save_half(load_file(run.best_weights), run.folder / file)
    on_cpu = run.device.type == "cpu"
    entry = ModelEntry(
        file=file,
        sha256=digest,
        architecture=config.architecture,
        preprocessing=config.preprocessing,
        classes=config.task.classes,
        operating_point=config.task.operating_point.initial,
        operating_point_source=config.task.operating_point.source,
        training=Training(
            config=config.model_dump(mode="json"),
            data=_amounts(training_data.train, config),
            data_sha256=data_digest(training_data.train),
            hours=round(run.state.seconds / 3600, 2),
            epochs=run.state.epoch,
            hardware=f"{platform.machine()} CPU" if on_cpu else torch.cuda.get_device_name(),
            threads=torch.get_num_threads() if on_cpu else None,
            versions={
                name: version(name) for name in ("torch", "ultralytics", "segmentation-models-pytorch", "torchvision")
            },
            splits=training_data.splits,
            built_on=dict(built_on),
        ),
        licence=_LICENCE,
        encoder_from=encoder_from,
    )
    write_entry(run.folder, config.role, entry)


def is_exported(folder: Path, role: Role) -> bool:
    """Whether a run folder has a manifest that names the network, and its weights."""
    if not (folder / MANIFEST).is_file():
        return False
    entry = read_manifest(folder).models.get(role)
    return entry is not None and (folder / entry.file).is_file()


def _amounts(samples: list[Sample], config: TrainingConfig) -> dict[str, SourceAmount]:
    amounts = {source: _amount(source, [one for one in samples if one.source == source]) for source in config.sources}
    if config.phantom:
        amounts["phantom"] = SourceAmount(images=config.phantom, simulated=True)
    return amounts


def _amount(source: str, samples: list[Sample]) -> SourceAmount:
    return SourceAmount(
        images=len(samples),
        groups=len({sample.group for sample in samples}),
        unit=unit_of(source),
        with_nodule=sum(1 for sample in samples if sample.has_nodule),
        labels=dict(sorted(Counter(sample.label for sample in samples if sample.label).items())),
    )


def data_digest(samples: list[Sample]) -> str:
    """sha256 over every training sample's name, frame, boxes and label: the same data give the same digest."""
    lines = [f"{s.source} {s.image.name} {s.frame} {s.boxes_xyxy} {s.label}" for s in samples]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
