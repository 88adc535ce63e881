"""Command-line options that several commands share."""

from __future__ import annotations

import math
from collections.abc import Sequence
from enum import StrEnum
from itertools import chain, count
from pathlib import Path
from typing import Annotated

import typer

from streamer.output_registry import OUTPUTS
from streamer.settings import PRESETS, InputSettings, Settings, load_settings, standard_outputs, validated
from streamer.types import PLAUSIBLE_SPACING_MM, Plane


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help=f"YAML file of settings (see configs/), or a preset: {', '.join(PRESETS)}."),
]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where to run; default: the configuration's, else auto.")
]


class LogFormat(StrEnum):
    """How logs are written."""

    text = "text"
    json = "json"


class Deinterlace(StrEnum):
    """Which pictures are deinterlaced."""

    auto = "auto"
    on = "on"
    off = "off"


DeinterlaceOption = Annotated[
    Deinterlace | None,
    typer.Option(
        "--deinterlace",
        help="Make whole pictures of interlaced ones: where the stream says so, always, or never; "
        "default: the configuration's, else auto.",
    ),
]
JsonOption = Annotated[
    bool,
    typer.Option("--json", help="One JSON line per study on standard output: the report's path, the patient's result."),
]


class Each(StrEnum):
    """What becomes a study of its own."""

    clip = "clip"
    study = "study"


OutputsOption = Annotated[
    str | None,
    typer.Option(
        "--outputs",
        metavar="NAME[,NAME..]",
        help=f"What to write, of {', '.join(OUTPUTS)}; default: as configured, or all but "
        f"{', '.join(name for name in OUTPUTS if name not in standard_outputs())}.",
    ),
]
SpacingOption = Annotated[
    str | None,
    typer.Option(
        "--pixel-spacing-mm",
        metavar="X[,Y]",
        help="Size of a pixel in millimetres, in place of what the clip says; one number for square pixels.",
    ),
]


PlanesOption = Annotated[
    str | None,
    typer.Option(
        "--planes",
        metavar="PLANE[,PLANE..]",
        help="Plane of each clip, in order: transverse, longitudinal or -; orthogonal sweeps give a nodule's volume.",
    ),
]


def planes_of(text: str | None) -> list[Plane | None]:
    """The planes that `PLANE[,PLANE..]` stands for; none for None.

    Raises:
        BadParameter: one of them is neither transverse, longitudinal nor -.
    """
    known: dict[str, Plane | None] = {"transverse": "transverse", "longitudinal": "longitudinal", "-": None}
    names = [] if text is None else [part.strip() for part in text.split(",")]
    wrong = next((name for name in names if name not in known), None)
    if wrong is not None:
        raise typer.BadParameter(f"must be transverse, longitudinal or -; got {wrong!r}", param_hint="--planes")
    return [known[name] for name in names]


MetricsOption = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        metavar="[HOST:]PORT",
        help="Tell /metrics (Prometheus), /health/live and /health/ready there; a port alone is for this machine only.",
    ),
]


AuditOption = Annotated[
    Path | None,
    typer.Option("--audit-log", metavar="FOLDER", help="Note who did what there, by pseudonyms (docs/operations.md)."),
]


def spacing_of(text: str | None) -> tuple[float, float] | None:
    """The pixel spacing x and y in millimetres that `X[,Y]` stands for; None for None.

    Raises:
        BadParameter: it is not one or two numbers from 0.001 to 5.
    """
    if text is None:
        return None
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        values = []
    least, largest = PLAUSIBLE_SPACING_MM
    if len(values) not in (1, 2) or not all(least <= value <= largest for value in values):
        raise typer.BadParameter(
            f"must be one or two numbers from {least:g} to {largest:g}, such as 0.08 or 0.08,0.06; got {text!r}",
            param_hint="--pixel-spacing-mm",
        )
    return values[0], values[-1]


def numbered(names: Sequence[str]) -> list[str]:
    """The names, those that stood before with a number: "a", "a (2)".

    Example:
        >>> numbered(["a", "b", "a"])
        ['a', 'b', 'a (2)']
    """
    taken: set[str] = set()
    result: list[str] = []
    for name in names:
        further = (f"{name} ({number})" for number in count(2))
        taken_name = next(one for one in chain((name,), further) if one not in taken)
        taken.add(taken_name)
        result.append(taken_name)
    return result


def a_number(value: float | None) -> float | None:
    """A callback for options: "nan" is a float below and above no bound.

    Raises:
        BadParameter: it is that.
    """
    if value is not None and math.isnan(value):
        raise typer.BadParameter("nan is not a number")
    return value


def settings_of(
    config: Path | None,
    device: Device | None,
    outputs: str | None = None,
    deinterlace: Deinterlace | None = None,
) -> Settings:
    """The settings of a configuration file or preset (or the defaults), with what the options ask for.

    Raises:
        SettingsError: the file is missing or wrong, or there is no such output.
    """
    settings = load_settings(config)
    if outputs is not None:
        names = [name.strip() for name in outputs.split(",")]
        settings = validated(Settings, settings.model_dump() | {"outputs": names}, "--outputs")
    if deinterlace is not None:
        settings = settings.model_copy(update={"input": InputSettings(deinterlace=deinterlace.value)})
    return settings if device is None else settings.with_runtime(device=device.value)
