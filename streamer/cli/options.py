"""Command-line options that several commands share."""

from __future__ import annotations

import math
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


PRESETS = ("fast", "balanced", "paper")
"""Configuration files that come with streamer and can be named without path; docs/performance.md compares them."""

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=f"YAML file of settings (see configs/), or a preset: {', '.join(PRESETS)}."),
]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where to run; default: the configuration's, else auto.")
]


def a_number(value: float | None) -> float | None:
    """A callback for options: "nan" is a float below and above no bound.

    Raises:
        BadParameter: it is that.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


def settings_of(config: Path | None, device: Device | None) -> Any:
    """The settings of a configuration file or preset (or the defaults), on the device asked for.

    Raises:
        SettingsError: the file is missing or wrong.
    """
    from streamer._resources import configs_dir
    from streamer.errors import SettingsError
    from streamer.settings import load_settings

    if config is not None and not config.exists():
        if str(config) in PRESETS:
            config = configs_dir() / f"{config}.yaml"
        elif not config.suffix:
            raise SettingsError(f"there is no configuration file {config}, and no such preset: {', '.join(PRESETS)}")
    settings = load_settings(config)
    return settings if device is None else settings.with_runtime(device=device.value)
