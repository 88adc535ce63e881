"""The `devices` command, and the options by which a device's pictures are chosen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from streamer.cli.options import a_number

if TYPE_CHECKING:
    from streamer.sources._url import Capture
    from streamer.sources.devices import CaptureMode

SizeOption = Annotated[
    str | None, typer.Option("--size", metavar="WxH", help="Picture size of a capture device, in pixels.")
]
RateOption = Annotated[
    float | None,
    typer.Option("--rate", min=0.1, max=1000, callback=a_number, help="Pictures per second of a device."),
]
PixelFormatOption = Annotated[
    str | None,
    typer.Option("--pixel-format", help="Pixel format of a capture device, as `streamer devices` lists it."),
]


def capture_of(size: str | None, rate_hz: float | None, pixel_format: str | None) -> Capture | None:
    """What the options choose; None where none was given.

    Raises:
        BadParameter: the size is not as 1280x720, or the format no word.
    """
    from streamer.sources._url import Capture

    if size is None and rate_hz is None and pixel_format is None:
        return None
    found = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", size or "1x1")
    if found is None:
        raise typer.BadParameter(f"must be width and height, such as 1280x720; got {size!r}", param_hint="--size")
    if pixel_format is not None and not re.fullmatch(r"\w+", pixel_format):
        raise typer.BadParameter("must be a name such as mjpeg or yuyv422", param_hint="--pixel-format")
    size_wh = None if size is None else (int(found[1]), int(found[2]))
    return Capture(size_wh=size_wh, rate_hz=rate_hz, pixel_format=pixel_format)


def devices() -> None:
    """List the capture devices, and the sizes, pixel formats and rates of each."""
    from streamer.sources.devices import capture_devices

    console = Console()
    found = capture_devices()
    if not found:
        console.print("no capture device was found (there is no /dev/video*)", highlight=False)
    for device in found:
        console.print(Text(f"{device.path}: {device.name}", style="bold"), soft_wrap=True)
        if device.problem:
            console.print(Text(f"  cannot be asked: {device.problem}"), soft_wrap=True)
        elif device.modes:
            console.print(_table(device.modes))
        else:
            console.print("  delivers no pixel format that can be read", highlight=False)


def _table(modes: tuple[CaptureMode, ...]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2))
    for heading in ("", "--pixel-format", "--size", "--rate"):
        table.add_column(heading)
    for mode in modes:
        size = "any" if mode.size_wh is None else f"{mode.size_wh[0]}x{mode.size_wh[1]}"
        table.add_row("", mode.pixel_format, size, ", ".join(f"{rate:g}" for rate in mode.rates_hz))
    return table
