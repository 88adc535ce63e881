"""The loop that all networks share: steps, averaged weights, checkpoints, resume, early stop, a CSV of figures."""

from __future__ import annotations

import csv
import logging
import math
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from streamer._files import atomic_path
from streamer._progress import progress_bar
from streamer.errors import DataError, OutputError
from streamer.training.precision import Forward, mixed_precision

_LOG = logging.getLogger(__name__)

Batch = Mapping[str, torch.Tensor]
Optimisation = tuple[torch.optim.Optimizer, torch.optim.lr_scheduler.LRScheduler]
Observer = Callable[[int, Mapping[str, float]], None]
"""Is told, after every epoch, its number from 0 and its figures: loss, learning rate, those of the validation."""


class LoopConfig(Protocol):
    """What the loop asks of a configuration, a pydantic model."""

    @property
    def role(self) -> str:
        """What is trained, as the progress bar calls it."""

    @property
    def seed(self) -> int:
        """Seed of the batches and of dropout."""

    @property
    def epochs(self) -> int:
        """Most epochs."""

    @property
    def patience(self) -> int:
        """Epochs without a better figure after which it ends."""

    @property
    def learning_rate(self) -> float:
        """Of the optimiser; the highest of one cycle."""

    @property
    def weight_decay(self) -> float:
        """Of the optimiser."""

    @property
    def ema_decay(self) -> float:
        """Decay a step of the averaged weights; 0 keeps the last ones."""

    @property
    def mixed_precision(self) -> bool:
        """Whether the network runs in bfloat16 where that is faster."""

    def model_dump(self, *, mode: str = ...) -> dict[str, Any]:
        """The configuration as plain data."""


class Task(Protocol):
    """What differs between the networks."""

    network: nn.Module
    training_only: nn.Module
    """What learns along and is not kept: a module without parameters where there is none."""
    target: str
    """Name of the validation figure to be maximised."""

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """An epoch's batches, augmented, in random order."""

    def steps(self) -> int:
        """Batches an epoch."""

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        """The loss to minimise, a scalar; `forward` runs the network in the training's precision."""

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Figures on the validation split."""


@dataclass(slots=True)
class _State:
    epoch: int = 0
    best: float = float("-inf")
    best_epoch: int = -1
    seconds: float = 0.0


class Run:
    """One training run in its own folder: `checkpoint.pt`, `best.safetensors`, `history.csv`.

    Attributes:
        progressed: True if this process finished at least one epoch.
    """

    def __init__(
        self,
        task: Task,
        config: LoopConfig,
        folder: Path,
        device: torch.device,
        observer: Observer | None = None,
        *,
        origin: Mapping[str, str] | None = None,
        optimise: Callable[[nn.Module, int], Optimisation] | None = None,
    ) -> None:
        """Prepare the run; nothing is written yet.

        Args:
            task: network, data and figures.
            config: the run's configuration.
            folder: the run's folder, made where missing.
            device: where to train.
            observer: is told every epoch's figures.
            origin: checksums of what it learns from and builds on, which a resumed run must share.
            optimise: makes the optimiser of what learns and its schedule, stepped after each batch, from the module and
                the batches an epoch; None for AdamW with one cycle over all epochs.
        """
        self.origin = dict(origin or {})
        self.progressed = False
        self.task, self.config, self.folder, self.device = task, config, folder, device
        self.observer = observer
        self.network = task.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        average = get_ema_multi_avg_fn(config.ema_decay)  # type: ignore[no-untyped-call]
        self.forward = mixed_precision(self.network, device) if config.mixed_precision else self.network
        self.averaged = AveragedModel(self.network, multi_avg_fn=average, use_buffers=True)
        self.training_only = task.training_only.to(device)
        self.learning = nn.ModuleList([self.network, self.training_only])
        self.optimizer, self.schedule = (optimise or self._one_cycle)(self.learning, task.steps())
        self.state = _State()

    def _one_cycle(self, learning: nn.Module, steps: int) -> Optimisation:
        groups = parameter_groups(learning, self.config.weight_decay)
        optimizer = torch.optim.AdamW(groups, lr=self.config.learning_rate)
        total = self.config.epochs * steps + 1
        return optimizer, torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.config.learning_rate, total_steps=total, pct_start=0.15
        )

    @property
    def best_weights(self) -> Path:
        """The averaged weights of the best epoch, safetensors, float32."""
        return self.folder / "best.safetensors"

    def fit(self, *, resume: bool) -> float:
        """Train to the end, to the end of patience, or to Ctrl-C (the last finished epoch is kept).

        Returns:
            The best validation figure.

        Raises:
            DataError: `resume` finds a checkpoint of another configuration or origin, or the loss is no longer finite.
            OutputError: the folder cannot be written, or holds a run that is not resumed.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"cannot make the run folder {self.folder}: {error.strerror}; choose another --output"
            ) from error
        if resume:
            self._restore()
        elif (self.folder / "checkpoint.pt").exists():
            raise OutputError(f"{self.folder} holds a run already: go on with --resume, or choose another --output")
        steps = self.task.steps()
        with progress_bar(self.config.role, self.config.epochs * steps) as bar:
            while self.state.epoch < self.config.epochs:
                if self.state.epoch - self.state.best_epoch > self.config.patience:
                    break
                self._epoch(
                    lambda step, loss: bar.update(
                        self.state.epoch * steps + step, f"{self.config.role} loss {loss:.3f}"
                    )
                )
                _LOG.info("%s", _line(_read_history(self.folder / "history.csv")[-1]))
        return self.state.best

    def _epoch(self, report: Callable[[int, float], None]) -> None:
        started = time.perf_counter()
        rng = np.random.default_rng([self.config.seed, self.state.epoch])
        torch.manual_seed(self.config.seed * 100_003 + self.state.epoch)
        random.seed(self.config.seed)
        self.network.train()
        losses = []
        for batch in self.task.batches(rng):
            loss = self.task.loss(self.forward, {name: tensor.to(self.device) for name, tensor in batch.items()})
            if not torch.isfinite(loss):
                raise DataError(f"the loss became {loss.item()} in epoch {self.state.epoch}: lower learning_rate")
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(self.learning.parameters(), 10.0)
            self.optimizer.step()
            self.schedule.step()
            self.averaged.update_parameters(self.network)
            losses.append(loss.item())
            report(len(losses), losses[-1])
        averaged = self.averaged.module.eval()
        with torch.inference_mode():
            figures = self.task.validate(averaged)
        if not math.isfinite(figures[self.task.target]):
            raise DataError(f"the validation images cannot give {self.task.target}: a class is missing, or all nodules")
        self.state.seconds += time.perf_counter() - started
        self._keep(float(np.mean(losses)), figures)

    def _keep(self, loss: float, figures: dict[str, float]) -> None:
        if figures[self.task.target] > self.state.best:
            tensors = {
                name: tensor.detach().cpu().contiguous() for name, tensor in self.averaged.module.state_dict().items()
            }
            _replace(self.best_weights, lambda path: save_file(tensors, path))
            self.state.best, self.state.best_epoch = figures[self.task.target], self.state.epoch
        row = {"epoch": float(self.state.epoch), "seconds": self.state.seconds, "loss": loss, **figures}
        history = _read_history(self.folder / "history.csv")[: self.state.epoch]
        self.state.epoch += 1
        self.progressed = True
        _replace(self.folder / "history.csv", lambda path: _write_history(path, [*history, row]))
        checkpoint = {
            "config": self.config.model_dump(mode="json"),
            "origin": self.origin,
            "network": self.network.state_dict(),
            "averaged": self.averaged.state_dict(),
            "training_only": self.training_only.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": {k: v for k, v in self.schedule.state_dict().items() if not callable(v)},
            "state": [self.state.epoch, self.state.best, self.state.best_epoch, self.state.seconds],
        }
        _replace(self.folder / "checkpoint.pt", lambda path: torch.save(checkpoint, path))
        if self.observer is not None:
            rate = self.schedule.get_last_lr()[0]
            self.observer(self.state.epoch - 1, {"loss": loss, "learning_rate": float(rate), **figures})

    def _restore(self) -> None:
        path = self.folder / "checkpoint.pt"
        if not path.is_file():
            return
        try:
            checkpoint = torch.load(path, map_location=self.device, weights_only=True)
        except Exception as error:  # rubbish can fail anywhere in the reader
            raise DataError(f"{path} is damaged: delete it, or choose another --output") from error
        if _known_part(checkpoint["config"], self.config) != self.config:
            raise DataError(f"{path} was made with another configuration: choose another --output")
        if checkpoint.get("origin", self.origin) != self.origin:
            raise DataError(f"{path} was made from other data, or builds on other networks: choose another --output")
        self.network.load_state_dict(checkpoint["network"])
        self.averaged.load_state_dict(checkpoint["averaged"])
        self.training_only.load_state_dict(checkpoint.get("training_only", {}))
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.schedule.load_state_dict(checkpoint["schedule"])
        epoch, best, best_epoch, seconds = checkpoint["state"]
        self.state = _State(int(epoch), float(best), int(best_epoch), float(seconds))


def _known_part(saved: Mapping[str, Any], like: LoopConfig) -> LoopConfig | None:
    """A saved configuration without fields that have gone since; those that came since, at any depth, at their default.

    None where it says what is no longer possible.
    """
    model: Any = type(like)
    try:
        return model.model_validate({name: saved[name] for name in model.model_fields if name in saved})  # type: ignore[no-any-return]
    except ValidationError:
        return None


def parameter_groups(network: nn.Module, weight_decay: float) -> list[dict[str, object]]:
    """Weight decay on matrices and kernels only, not on biases and normalisation."""
    decayed = [p for p in network.parameters() if p.requires_grad and p.ndim > 1]
    plain = [p for p in network.parameters() if p.requires_grad and p.ndim <= 1]
    return [{"params": decayed, "weight_decay": weight_decay}, {"params": plain, "weight_decay": 0.0}]


def _replace(path: Path, write: Callable[[Path], object]) -> None:
    try:
        with atomic_path(path) as partial:
            write(partial)
    except (RuntimeError, SafetensorError) as error:  # a full disk is a RuntimeError for torch
        raise OutputError(f"cannot write {path}: {' '.join(str(error).split())}") from error


def _read_history(path: Path) -> list[dict[str, float]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(stream)]


def _write_history(path: Path, rows: Sequence[Mapping[str, float]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[-1]))
        writer.writeheader()
        writer.writerows({name: f"{value:.6g}" for name, value in row.items()} for row in rows)


def _line(row: Mapping[str, float]) -> str:
    return "  ".join(f"{name} {value:.4g}" for name, value in row.items())
