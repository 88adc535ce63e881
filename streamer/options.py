"""Command-line options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file of settings (see configs/).")]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where to run; default: the configuration's, else auto.")
]


def settings_of(config: Path | None, device: Device | None) -> Any:
    """The settings of a configuration file (or the defaults), on the device asked for."""
    from streamer.settings import load_settings

    settings = load_settings(config)
    return settings if device is None else settings.with_runtime(device=device.value)
