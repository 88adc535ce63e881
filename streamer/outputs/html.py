"""report.html: one page that needs nothing but itself."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from streamer.overlay import clock, track_colour
from streamer.schema import Report

_WIDEST_PICTURE_PX = 1400
_JPEG_QUALITY = 88  # a picture is then about 100 kB on the page; the PNG beside it has every pixel
_MAX_PICTURES = 24  # keeps the page quick to open; all pictures lie beside it


def render_html(report: Report, pictures: Mapping[int, Path], timeline: bytes | None) -> str:
    """The page for a report.

    Args:
        report: what to say.
        pictures: PNG of a nodule's key frame by track number.
        timeline: SVG of malignancy over time; None where there is nothing to plot.
    """
    environment = Environment(
        loader=PackageLoader("streamer.outputs"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"percent": _percent, "clock": clock, "colour": _css_colour}
    counted = sorted((entry for entry in report.nodules if entry.qualifies), key=lambda entry: -entry.malignancy_max)
    shown = [entry for entry in counted if entry.track in pictures][:_MAX_PICTURES]
    return environment.get_template("report.html.j2").render(
        report=report,
        counted=counted,
        decisive=counted[0] if counted and report.patient_malignancy is not None else None,
        brief=len(report.nodules) - len(counted),
        pictures=[(entry, _jpeg_uri(pictures[entry.track])) for entry in shown],
        timeline=None if timeline is None else _data_uri("image/svg+xml", timeline),
        settings=list(_flat(report.settings)),
    )


def _percent(probability: float) -> Markup:
    """With one decimal, so that a value next to the threshold is seen on its side of it."""
    return Markup("{:.1f}&nbsp;%").format(100 * probability)


def _css_colour(track: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*track_colour(track))


def _jpeg_uri(path: Path) -> str:
    """A PNG file, made smaller for the page."""
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR)
    assert image is not None, "the file was written by this run"
    if image.shape[1] > _WIDEST_PICTURE_PX:
        height = round(image.shape[0] * _WIDEST_PICTURE_PX / image.shape[1])
        image = cv2.resize(image, (_WIDEST_PICTURE_PX, height), interpolation=cv2.INTER_AREA)
    _, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return _data_uri("image/jpeg", data.tobytes())


def _data_uri(media_type: str, data: bytes) -> str:
    return f"data:{media_type};base64,{base64.b64encode(data).decode()}"


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
