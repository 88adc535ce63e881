"""The command that removes the patient from files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

_FAILED = 2


def deidentify(
    source: Annotated[Path, typer.Argument(metavar="IN", help="DICOM file, DICOMDIR, video, or a folder of them.")],
    output: Annotated[Path, typer.Argument(metavar="OUT", help="New folder; files in it are named by number.")],
    keep_dates_shifted: Annotated[
        bool,
        typer.Option("--keep-dates-shifted", help="Keep dates, all of a patient's moved by the same number of days."),
    ] = False,
    map_file: Annotated[
        Path | None,
        typer.Option("--map", help="Keep which is which in this file, so that later runs agree; secret."),
    ] = None,
    box: Annotated[
        list[str] | None,
        typer.Option(metavar="X0,Y0,X1,Y1", help="Keep this part of every picture, in pixels; repeat for more."),
    ] = None,
    without_ocr: Annotated[bool, typer.Option("--without-ocr", help="Do not look for letters.")] = False,
) -> None:
    """Remove the patient: header after PS3.15's basic profile, pixels outside the scan, metadata and sound of videos.

    Letters inside the scan cannot be guaranteed away: Tesseract looks for them, and you should, too.
    """
    from streamer.dicom.library import require_dicom

    require_dicom("de-identification", "dicomanonymizer")
    from streamer.deidentification.pseudonyms import Pseudonyms
    from streamer.deidentification.run import REPORT, Options
    from streamer.deidentification.run import deidentify as run
    from streamer.deidentification.text_search import can_search

    messages = Console(stderr=True)
    options = Options(
        boxes=tuple(_box(text) for text in box or ()), shift_dates=keep_dates_shifted, search_text=not without_ocr
    )
    if options.search_text and not can_search():
        _warn(messages, "letters inside the scan are not looked for: install tesseract (Debian: tesseract-ocr)")
    outcome = run(source, output, names=Pseudonyms(map_file), options=options, progress=typer.echo)
    for report in outcome.written:
        for found in report.text:
            _warn(messages, f"{report.file}: letters in frame {found.frame}, box {','.join(map(str, found.box))}")
    typer.echo(f"{len(outcome.written)} files written, {len(outcome.refused)} refused")
    if outcome.written:
        typer.echo(f"what was changed: {output / REPORT}")
    if outcome.refused:
        raise typer.Exit(_FAILED)


def _warn(console: Console, text: str) -> None:
    console.print(Text(f"warning: {text}", style="yellow"), soft_wrap=True)


def _box(text: str) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"expected four whole numbers X0,Y0,X1,Y1; got {text!r}", param_hint="--box") from None
    return left, top, right, bottom
