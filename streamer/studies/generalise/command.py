"""The `study generalise` command: configuration and device found, progress shown, page written."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch

from streamer._files import write_whole
from streamer._resources import configs_dir, weights_dir
from streamer._yaml import read_yaml
from streamer.backends.select import available_cores
from streamer.data.csv_manifest import manifest_sources
from streamer.errors import DeviceError, SettingsError
from streamer.models.weights_manifest import Role
from streamer.settings import Settings, validated
from streamer.studies.generalise.figures import MEASURES
from streamer.studies.generalise.report import generalisation_page, matrix_table, subgroup_table, training_table
from streamer.studies.generalise.study import Generalisation, GeneralisationOptions, generalise
from streamer.studies.page import markdown, write_page
from streamer.training.config import TrainingConfig

_LOG = logging.getLogger(__name__)

_FIRST_STAGE: dict[Role, str] = {
    "detector": "train-detector-teacher.yaml",
    "segmenter": "train-segmenter-first.yaml",
    "classifier": "train-classifier-plain.yaml",
}
"""Recipes that need no network of another recipe to start from, by task."""


def run_generalise(
    data: Path,
    output: Path,
    options: GeneralisationOptions,
    *,
    config: Path | None,
    epochs: int | None,
    size_px: int | None,
    settings: Settings,
    weights: Path | None,
    device: str,
    threads: int,
) -> Generalisation:
    """Run a generalisation study and write its page.

    Raises:
        SettingsError: the configuration is wrong or is for another network, or there is no measure for the network.
        DeviceError: CUDA is asked for and absent.
        DataError, OutputError: see `generalise`.
    """
    if options.role not in MEASURES:
        raise SettingsError(
            f"there is no measure of generalisation for the {options.role}, but for {', '.join(MEASURES)}"
        )
    path = config or configs_dir() / _FIRST_STAGE[options.role]
    given = read_yaml(path)
    _find_start(given, data, required=config is not None)
    if epochs is not None:
        given["epochs"] = epochs
    if size_px is not None:
        given["size_wh"] = [size_px, size_px]
    if data.is_file():
        given["sources"] = {source: {} for source in manifest_sources(data)} or given.get("sources", {})
    recipe = validated(TrainingConfig, given, str(path))
    if recipe.role != options.role:
        raise SettingsError(f"{path} configures the {recipe.role}, not the {options.role}")
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise DeviceError("CUDA was asked for, but torch finds no CUDA device: use --device cpu or auto")
    torch.set_num_threads(threads or available_cores())
    study = generalise(
        data,
        output,
        options,
        recipe,
        settings=settings,
        weights=weights or weights_dir(),
        device=torch.device("cuda" if cuda and device != "cpu" else "cpu"),
    )
    page = write_page(generalisation_page(study), output)
    tables = (matrix_table(study), subgroup_table(study), training_table(study))
    write_whole(output / "tables.md", markdown(tables).encode())
    _LOG.info("results: %s", page)
    return study


def _find_start(given: dict[str, Any], data: Path, *, required: bool) -> None:
    """Make the path of tensors to start from absolute: each network's manifest lies in a folder of its own.

    A published recipe does without them where they are not beside the data.
    """
    if not isinstance(name := given.get("init"), str):
        return
    path = ((data if data.is_dir() else data.parent) / name).resolve()
    if path.is_file() or required:
        given["init"] = str(path)
    else:
        del given["init"]
        _LOG.warning("networks start from random numbers: %s is not there", path)
