"""The `train` command: finds the configuration and the device, then trains."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from pathlib import Path

import torch

from streamer._resources import configs_dir, weights_dir
from streamer._yaml import read_yaml
from streamer.backends.select import available_cores
from streamer.data.csv_manifest import manifest_sources
from streamer.errors import DeviceError, SettingsError
from streamer.settings import validated
from streamer.training.config import Ingredient, TrainingConfig
from streamer.training.tensorboard import tensorboard_log
from streamer.training.train import train

_LOG = logging.getLogger(__name__)


def train_network(
    role: str,
    data: Path,
    *,
    config: Path | None,
    folder: Path,
    weights: Path | None,
    device: str,
    threads: int,
    resume: bool,
    leave_out: str | None = None,
    drop_duplicates: bool = False,
    tensorboard: bool = False,
) -> None:
    """Train the network of a role by a configuration file; `leave_out` overrides the file's.

    Raises:
        SettingsError: the configuration is wrong or is for another network, or TensorBoard is not installed.
        DeviceError: CUDA is asked for and absent.
        DataError, OutputError: see `train`.
    """
    path = config or configs_dir() / f"train-{role}.yaml"
    given = {} if leave_out is None else {"leave_out": leave_out}
    settings = validated(TrainingConfig, {**read_yaml(path), **given}, str(path))
    if config is None:
        settings = _with_own_sources(settings, data)
    if settings.role != role:
        raise SettingsError(f"{path} configures the {settings.role}, not the {role}")
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise DeviceError("CUDA was asked for, but torch finds no CUDA device: use --device cpu or auto")
    torch.set_num_threads(threads or available_cores())
    target = torch.device("cuda" if cuda and device != "cpu" else "cpu")
    with tensorboard_log(folder / "tensorboard") if tensorboard else nullcontext() as observer:
        train(
            settings,
            data,
            folder,
            device=target,
            weights=weights or weights_dir(),
            resume=resume,
            drop_duplicates=drop_duplicates,
            observer=observer,
        )
    _LOG.info("weights: %s; measure them: streamer evaluate %s --weights %s --data %s", folder, role, folder, data)


def _with_own_sources(settings: TrainingConfig, data: Path) -> TrainingConfig:
    """The configuration of the published weights, for all sources of a manifest: whole, where it does not know them."""
    own = manifest_sources(data) if data.is_file() else []
    if not own:
        return settings
    _LOG.info("sources: %s, all that %s names", ", ".join(own), data.name)
    sources = {source: settings.sources.get(source, Ingredient()) for source in own}
    return settings.model_copy(update={"sources": sources})
