"""report.html: one page that needs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment
from markupsafe import Markup

from streamer._pixels import data_url, jpeg_bytes
from streamer._templates import html_templates
from streamer.outputs.colour_map import COLOURS
from streamer.outputs.heatmap import NoduleHeatmaps
from streamer.outputs.overlay import clock, percent, track_colour
from streamer.outputs.schema import NoduleEntry, Report
from streamer.outputs.size_text import area_text, axes_text
from streamer.pipeline.aggregation import decimals_apart, decisive
from streamer.types import Image

_WIDEST_PICTURE_PX = 1400
_JPEG_QUALITY = 88  # a picture is then about 100 kB on the page; the PNG beside it has every pixel
_NOTES_TEMPLATE = "reader_notes.html.j2"
_NOTES_BEGIN, _NOTES_END = "<!-- reader's notes -->", "<!-- end of reader's notes -->"  # no text of a user holds a "<"
_MAX_PICTURES = 24  # keeps the page quick to open; all pictures lie beside it


def render_html(
    report: Report, pictures: Mapping[int, Path], timeline: bytes | None, heat: NoduleHeatmaps | None = None
) -> str:
    """The page for a report.

    Args:
        report: what to say.
        pictures: PNG of a nodule's key frame by track number.
        timeline: SVG of malignancy over time; None where there is nothing to plot.
        heat: heat maps of the nodules with a picture; None for a page without them.
    """
    counted = sorted((entry for entry in report.nodules if entry.qualifies), key=lambda entry: -entry.malignancy_max)
    deciding = None if report.patient_malignancy is None else decisive(report.nodules)
    # What decides comes first: the reader should see what the verdict rests on.
    shown = sorted((entry for entry in counted if entry.track in pictures), key=lambda entry: entry is not deciding)
    shown = shown[:_MAX_PICTURES]
    heats = [None if heat is None else heat.picture(entry.track) for entry in shown]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            report=report,
            counted=counted,
            decisive=deciding,
            point=report.threshold if deciding is None or deciding.threshold is None else deciding.threshold,
            decimals=_decimals(report, deciding),
            brief=len(report.nodules) - len(counted),
            unmeasured=sum(entry.key_nodule.long_axis_mm is None for entry in counted),
            pictures=[
                (entry, _jpeg_uri(_read(pictures[entry.track])), None if picture is None else _jpeg_uri(picture))
                for entry, picture in zip(shown, heats, strict=True)
            ],
            without_heat=set() if heat is None else heat.empty,
            heat_failure=None if heat is None else heat.failure,
            heat_colours=["#{:02x}{:02x}{:02x}".format(*COLOURS[level]) for level in range(0, 256, 51)],
            timeline=None if timeline is None else data_url("image/svg+xml", timeline),
            settings=list(_flat(report.settings)),
        )
    )


def with_reader_notes(page: str, report: Report) -> str:
    """A page that `render_html` made, with the reader's notes that stand in `report`, and all else as it was."""
    before, _, rest = page.partition(_NOTES_BEGIN)
    _, _, after = rest.partition(_NOTES_END)
    return before + _environment().get_template(_NOTES_TEMPLATE).render(report=report) + after


def _environment() -> Environment:
    environment = html_templates("streamer.outputs")
    environment.filters |= {
        "called": _called,
        "percent": _percent,
        "clock": clock,
        "colour": _css_colour,
        "axes": axes_text,
        "area": area_text,
    }
    environment.globals |= {"notes_begin": Markup(_NOTES_BEGIN), "notes_end": Markup(_NOTES_END)}
    return environment


def _percent(probability: float, decimals: int = 1) -> Markup:
    return Markup("{}&nbsp;%").format(percent(probability, decimals).removesuffix(" %"))


def _called(nodule: NoduleEntry) -> str:
    """What is said of a nodule that counts."""
    if not nodule.decides:
        return "seen too briefly"
    return "malignant" if nodule.malignant else "benign"


def _decimals(report: Report, deciding: NoduleEntry | None) -> int:
    """Decimals of percent with which the maximum that decides is seen on its side of the threshold."""
    if deciding is None:
        return 1
    threshold = report.threshold if deciding.threshold is None else deciding.threshold
    return decimals_apart(deciding.malignancy_max, threshold, least=3) - 2


def _css_colour(track: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*track_colour(track))


def _read(path: Path) -> Image:
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR_RGB)
    assert image is not None, "the file was written by this run"
    return np.asarray(image, np.uint8)


def _jpeg_uri(image: Image) -> str:
    """A picture, made smaller for the page."""
    if image.shape[1] > _WIDEST_PICTURE_PX:
        height = round(image.shape[0] * _WIDEST_PICTURE_PX / image.shape[1])
        image = np.asarray(cv2.resize(image, (_WIDEST_PICTURE_PX, height), interpolation=cv2.INTER_AREA), np.uint8)
    return data_url("image/jpeg", jpeg_bytes(image, _JPEG_QUALITY))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Nested settings as pairs of dotted name and value."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, _plain(value)


def _plain(value: object) -> str:
    if value is None:
        return "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)
