"""Malignancy over time, a panel per clip and a line per nodule, as SVG."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from streamer._templates import html_templates
from streamer.outputs.overlay import percent, track_colour
from streamer.outputs.schema import FrameLine, NoduleEntry, Report, VideoEntry

_MAX_POINTS = 1500  # a line; more than a printed page resolves
_WIDTH, _PLOT_HEIGHT = 720, 150
_LEFT, _RIGHT = 58, 8
_NAME_HEIGHT, _TICKS_HEIGHT, _TITLE_HEIGHT = 20, 24, 12
_MAX_TICKS = 10
_HIGH = 0.9
"""Peaks above this have their number below them: above there is no room."""

Curve = list[tuple[float, float]]
"""Time in seconds and malignancy, 0 to 1, in order of time."""


def read_curves(lines: Iterable[FrameLine], frames: Mapping[str, int]) -> dict[int, Curve]:
    """Collect each track's malignancy over time, thinned so that memory does not grow with the clips' length.

    Where frames are thinned, the highest value of each stretch is kept at its own time: no maximum is lost.

    Args:
        lines: content of `frames.jsonl`.
        frames: number of frames by clip name.
    """
    stretches: dict[int, dict[int, tuple[float, float]]] = defaultdict(dict)
    for line in lines:
        total = max(frames.get(line.video, 0), 1)
        stretch = line.frame if total <= _MAX_POINTS else line.frame * _MAX_POINTS // total
        for nodule in line.nodules:
            points = stretches[nodule.track]
            if stretch not in points or nodule.malignancy > points[stretch][1]:
                points[stretch] = line.time_s, nodule.malignancy
    return {track: [points[stretch] for stretch in sorted(points)] for track, points in stretches.items()}


def timeline_svg(report: Report, curves: Mapping[int, Curve]) -> bytes:
    """Plot the nodules' malignancy against time: qualifying ones in their colour, others thin and grey.

    Written from a template: a plotting library takes longer to import than a short clip to analyse.

    Args:
        report: says which nodules count, their key frames, the threshold and the clips, of which there is at least one.
        curves: as from `read_curves`.
    """
    named = len(report.videos) > 1
    step = _PLOT_HEIGHT + _TICKS_HEIGHT + (_NAME_HEIGHT if named else 8)
    panels = []
    for number, video in enumerate(report.videos):
        nodules = [one for one in report.nodules if one.video == video.name and one.track in curves]
        panel = _Panel(top=number * step + step - _PLOT_HEIGHT - _TICKS_HEIGHT, span_s=max(video.duration_s, 0.1))
        panels.append(panel.content(video, nodules, curves, report.threshold, named=named))
    picture = html_templates("streamer.outputs").get_template("timeline.svg.j2")
    height = len(panels) * step + _TITLE_HEIGHT
    return picture.render(width=_WIDTH, height=height, left=_LEFT, right=_WIDTH - _RIGHT, panels=panels).encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Panel:
    """Where a clip's plot lies: its upper edge and the time that it spans."""

    top: float
    span_s: float

    def x(self, time_s: float) -> float:
        share = (time_s / self.span_s + 0.01) / 1.02  # a margin of a hundredth on either side
        return round(_LEFT + share * (_WIDTH - _LEFT - _RIGHT), 2)

    def y(self, malignancy: float) -> float:
        return round(self.top + (1.02 - malignancy) / 1.04 * _PLOT_HEIGHT, 2)

    def content(
        self,
        video: VideoEntry,
        nodules: Sequence[NoduleEntry],
        curves: Mapping[int, Curve],
        threshold: float,
        *,
        named: bool,
    ) -> dict[str, object]:
        """What the template draws."""
        brief_first = sorted(nodules, key=lambda nodule: nodule.qualifies)
        return {
            "top": self.top,
            "bottom": self.top + _PLOT_HEIGHT,
            "name": video.name if named else None,
            "times": [(self.x(time_s), f"{time_s:g}") for time_s in ticks_s(self.span_s)],
            "shares": [(self.y(share / 100), f"{share} %") for share in range(0, 101, 25)],
            "threshold": (self.y(threshold), f"threshold on a still {percent(threshold, 1)}"),
            "lines": [self._line(nodule, curves[nodule.track]) for nodule in brief_first],
        }

    def _line(self, nodule: NoduleEntry, curve: Curve) -> dict[str, object]:
        return {
            "points": [(self.x(time_s), self.y(value)) for time_s, value in curve],
            "qualifies": nodule.qualifies,
            "colour": "#{:02x}{:02x}{:02x}".format(*track_colour(nodule.track)),
            "peak": (self.x(nodule.key_time_s), self.y(nodule.malignancy_max)),
            "label": f"#{nodule.track}",
            "label_dy": 19 if nodule.malignancy_max > _HIGH else -8,
        }


def ticks_s(span_s: float) -> list[float]:
    """Times to name on an axis from 0 to `span_s`: multiples of 1, 2 or 5 times a power of ten, at most ten of them.

    Example:
        >>> ticks_s(2.3)
        [0.0, 0.5, 1.0, 1.5, 2.0]
    """
    least = span_s / (_MAX_TICKS - 1)
    power = 10.0 ** math.floor(math.log10(least))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least)
    return [round(number * step, 9) for number in range(math.floor(span_s / step) + 1)]
