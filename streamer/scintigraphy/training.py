"""Trains a network on scintigraphy images with the loop that all networks share."""

from __future__ import annotations

import hashlib
import logging
import platform
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from safetensors.torch import load_file, save
from sklearn.metrics import log_loss
from torch import nn

from streamer._files import write_whole
from streamer.errors import DataError, SettingsError
from streamer.models.registry import SCINTIGRAPHY, load_object
from streamer.scintigraphy.card import write_card
from streamer.scintigraphy.classes import CLASSES
from streamer.scintigraphy.config import ScintigraphyConfig
from streamer.scintigraphy.honesty import teachers
from streamer.scintigraphy.image import Grey, picture_digest
from streamer.scintigraphy.networks import build, cache_hint, cached_file, start_from_file
from streamer.scintigraphy.pictures import Pictures, read_pictures, refuse_near_duplicates
from streamer.scintigraphy.samples import FOLDS, ScintigraphyData, ScintigraphySample, balance, fold_split
from streamer.scintigraphy.weights import (
    MANIFEST,
    TENSORS,
    ScintigraphyEntry,
    ScintigraphyTraining,
    read_entry,
    write_entry,
)
from streamer.training.curves import draw_curves
from streamer.training.loop import Batch, Observer, Optimisation, Run, Task, parameter_groups
from streamer.training.precision import Forward

_LOG = logging.getLogger(__name__)

_VALIDATION_BATCH = 32
_LICENCE = "AGPL-3.0-or-later; the data's terms are their owner's; research use only"


class ScintigraphyTask:
    """Four classes, cross-entropy on logits; the figure that chooses an epoch is the accuracy of the validation."""

    target = "accuracy"

    def __init__(self, config: ScintigraphyConfig, train: Pictures, val: Pictures) -> None:
        self.config, self.train, self.val = config, train, val
        self.network = build(config.architecture, dropout=config.dropout, hidden=config.hidden, leak=config.leak)
        self.training_only = nn.Module()
        self._labels, self._val_labels = class_numbers(train), class_numbers(val)

    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.train.grey) // self.config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Changed pictures and class numbers, each picture once an epoch but for an incomplete batch."""
        order = rng.permutation(len(self.train.grey))[: self.steps() * self.config.batch]
        for start in range(0, len(order), self.config.batch):
            chosen = order[start : start + self.config.batch]
            pictures = np.stack([changed(self.train.grey[index], self.config, rng) for index in chosen])
            yield {"image": self._input(pictures), "label": torch.from_numpy(self._labels[chosen])}

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        """Cross-entropy."""
        loss: torch.Tensor = nn.functional.cross_entropy(forward(batch["image"]), batch["label"])
        return loss

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Accuracy and log loss on the validation pictures."""
        device = next(network.parameters()).device
        parts = [
            network(self._input(self.val.grey[start : start + _VALIDATION_BATCH]).to(device)).softmax(1).cpu().numpy()
            for start in range(0, len(self.val.grey), _VALIDATION_BATCH)
        ]
        raw = np.concatenate(parts).astype(np.float64)
        probabilities = raw / raw.sum(axis=1, keepdims=True)
        return {
            "accuracy": float((probabilities.argmax(axis=1) == self._val_labels).mean()),
            "log_loss": float(log_loss(self._val_labels, probabilities, labels=list(range(len(CLASSES))))),
        }

    def _input(self, grey: npt.NDArray[np.uint8]) -> torch.Tensor:
        values = torch.from_numpy(grey).float().div_(255).sub_(self.config.mean).div_(self.config.std)
        return values[:, None].expand(-1, 3, -1, -1).contiguous(memory_format=torch.channels_last)


def changed(picture: Grey, config: ScintigraphyConfig, rng: np.random.Generator) -> Grey:
    """A picture shifted, zoomed, tilted, mirrored and windowed at random, as far as the configuration allows."""
    side = len(picture)
    zoom = 1 + config.zoom * rng.uniform(-1, 1)
    tilt = config.tilt_degrees * rng.uniform(-1, 1)
    matrix = np.asarray(cv2.getRotationMatrix2D((side / 2, side / 2), tilt, zoom), np.float64)
    matrix[:, 2] = matrix[:, 2] + config.shift * side * rng.uniform(-1, 1, 2)
    mirrored = config.mirror and rng.random() < 0.5
    top = 1 + config.window * rng.uniform(-1, 1)
    if config.zoom or config.tilt_degrees or config.shift:
        picture = np.asarray(cv2.warpAffine(picture, matrix, (side, side), flags=cv2.INTER_LINEAR), np.uint8)
    if mirrored:
        picture = np.ascontiguousarray(picture[:, ::-1])
    return np.clip(picture * top, 0, 255).astype(np.uint8) if config.window else picture


def class_numbers(pictures: Pictures) -> npt.NDArray[np.int64]:
    """Class number of each picture, shape (n,)."""
    return np.array([CLASSES.index(sample.label) for sample in pictures.samples], np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Trainer:
    """Trains on one data set, once or fold by fold; pictures are read once.

    Attributes:
        config: the recipe.
        data: labelled images in their splits.
        pictures: all of them but the external ones.
        device: where to train.
        pretrained: state dict to start from.
    """

    config: ScintigraphyConfig
    data: ScintigraphyData
    pictures: Pictures
    device: torch.device
    pretrained: Path | None = None

    @classmethod
    def prepare(
        cls,
        config: ScintigraphyConfig,
        data: ScintigraphyData,
        *,
        device: torch.device,
        pretrained: Path | None = None,
    ) -> Trainer:
        """Read the pictures and refuse near duplicates across splits.

        Raises:
            DataError: a picture cannot be read, or is held out and learned from at once.
        """
        pictures = read_pictures(data.samples, config.size_px)
        refuse_near_duplicates(pictures)
        inside = pictures.of(sample for sample in data.samples if sample.split != "external")
        return cls(config=config, data=data, pictures=inside, device=device, pretrained=pretrained)

    def check_folds(self) -> None:
        """Refuse, before any is trained, folds that hold out a picture which they learn from.

        Raises:
            DataError: names the pictures; or the data are too few for the folds.
        """
        for fold in range(1, FOLDS):  # the first is the split as it is
            self._fold(fold)

    def train(self, folder: Path, *, fold: int = 0, resume: bool = False, observer: Observer | None = None) -> Path:
        """Train one network and leave weights, manifest, history and curves in its run folder.

        Args:
            folder: run folder; made where missing.
            fold: which of the five folds is held out; 0 for the split as it is.
            resume: go on from the folder's checkpoint, if there is one.
            observer: called with every epoch's figures.

        Raises:
            DataError: the data are too few, or a resumed run had other data or another configuration.
            WeightsError: the weights to start from are missing or do not fit.
            OutputError: the folder cannot be written, or holds a run that is not resumed.
        """
        train, val = self._fold(fold)
        torch.manual_seed(self.config.seed)
        task: Task = load_object(SCINTIGRAPHY.trainer)(self.config, train, val)
        if task.steps() == 0:
            raise DataError(f"{len(train.grey)} training images are fewer than a batch of {self.config.batch}")
        started_from = start_network(task.network, self.config, self.pretrained)
        origin = {"data": self.data.digest, "fold": str(fold), "start": started_from}
        run = Run(task, self.config, folder, self.device, observer, origin=origin, optimise=self._optimise)
        try:
            run.fit(resume=resume)
        except KeyboardInterrupt:
            if run.state.best_epoch >= 0:
                _LOG.info("stopped; %s keeps the last finished epoch: go on with --resume", folder)
            raise
        finally:
            if run.state.best_epoch >= 0 and (run.progressed or not (folder / MANIFEST).is_file()):
                draw_curves(folder / "history.csv", folder)
                self._export(run, train, val, fold, started_from)
        return folder

    def is_trained(self, folder: Path, fold: int = 0) -> bool:
        """Whether a run folder holds the finished network of this recipe, data and fold."""
        if not (folder / MANIFEST).is_file():
            return False
        training = read_entry(folder).training
        return (
            training.config == self.config.model_dump(mode="json")
            and training.data_sha256 == self.data.digest
            and training.fold == fold
            and training.epochs >= self.config.epochs
        )

    def _fold(self, fold: int) -> tuple[Pictures, Pictures]:
        samples: Sequence[ScintigraphySample] = self.pictures.samples
        if fold:
            samples = fold_split(samples, fold, seed=self.config.seed)
            refuse_near_duplicates(self.pictures.of(samples))
        return (
            self.pictures.of(sample for sample in samples if sample.split == "train"),
            self.pictures.of(sample for sample in samples if sample.split == "val"),
        )

    def _optimise(self, learning: nn.Module, steps: int) -> Optimisation:
        config = self.config
        optimiser: torch.optim.Optimizer
        if config.optimiser == "adam":  # the paper's: its weight decay is a term of the loss, on every parameter
            optimiser = torch.optim.Adam(
                learning.parameters(), config.learning_rate, weight_decay=config.weight_decay, fused=True
            )
        else:
            groups = parameter_groups(learning, config.weight_decay)
            optimiser = torch.optim.AdamW(groups, config.learning_rate, fused=True)  # AlexNet: half the time of a step
        if config.schedule == "steps":
            return optimiser, torch.optim.lr_scheduler.StepLR(optimiser, config.step_epochs * steps, config.step_factor)
        total = config.epochs * steps + 1
        return optimiser, torch.optim.lr_scheduler.OneCycleLR(
            optimiser, config.learning_rate, total_steps=total, pct_start=0.15
        )

    def _export(self, run: Run, train: Pictures, val: Pictures, fold: int, started_from: str) -> None:
        content = save({name: tensor.contiguous() for name, tensor in load_file(run.best_weights).items()})
        write_whole(run.folder / TENSORS, content)
        config = self.config
        entry = ScintigraphyEntry(
            sha256=hashlib.sha256(content).hexdigest(),
            architecture=config.architecture,
            size_px=config.size_px,
            mean=config.mean,
            std=config.std,
            hidden=config.hidden,
            leak=config.leak,
            classes=CLASSES,
            taught_by=teachers(bool(simulated) for simulated in train.simulated),
            training=ScintigraphyTraining(
                config=config.model_dump(mode="json"),
                data={"train": balance(train.samples), "val": balance(val.samples)},
                data_sha256=self.data.digest,
                internal=self.data.internal,
                rule=self.data.rule,
                fold=fold,
                pictures=tuple(picture_digest(picture) for picture in train.grey),
                started_from=started_from,
                hours=round(run.state.seconds / 3600, 3),
                epochs=run.state.epoch,
                hardware=f"{platform.machine()} CPU, {torch.get_num_threads()} threads"
                if run.device.type == "cpu"
                else torch.cuda.get_device_name(),
                versions={name: version(name) for name in ("torch", "torchvision")},
            ),
            licence=_LICENCE,
        )
        write_entry(run.folder, entry)
        write_card(run.folder, entry)


def start_network(network: nn.Module, config: ScintigraphyConfig, pretrained: Path | None) -> str:
    """Give a network what it starts from; returns the SHA-256 of the file, empty where it starts from random numbers.

    Raises:
        WeightsError: the file is missing or does not fit.
        SettingsError: the configuration needs torchvision's weights, which are not in its cache.
    """
    if pretrained is not None:
        return start_from_file(network, config.architecture, pretrained)
    cached = None if config.start == "scratch" else cached_file(config.architecture)
    if cached is not None:
        return start_from_file(network, config.architecture, cached)
    if config.start == "cache":
        raise SettingsError(
            f"start: cache needs torchvision's ImageNet weights, which are not downloaded: put them at "
            f"{cache_hint(config.architecture)}, name a file with --pretrained, or set start to scratch"
        )
    return ""
