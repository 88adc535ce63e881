"""Malignancy over time, a panel a clip and a line a nodule, as SVG."""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from collections.abc import Iterable, Mapping

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import Stroke, withStroke

from streamer.outputs.overlay import track_colour
from streamer.outputs.schema import FrameLine, NoduleEntry, Report, VideoEntry

_MAX_POINTS = 1500  # a line; more than a printed page resolves
_INK = "#1b2733"
_MUTED = "#5b6b7a"

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

    Args:
        report: says which nodules count, their key frames, the threshold and the clips, of which there is at least one.
        curves: as from `read_curves`.
    """
    figure = Figure(figsize=(10, 0.55 + 2.3 * len(report.videos)), layout="constrained")
    panels = figure.subplots(len(report.videos), 1, squeeze=False)
    for axes, video in zip(panels[:, 0], report.videos, strict=True):
        _set_up(axes, video, report.threshold, named=len(report.videos) > 1)
        for nodule in report.nodules:
            if nodule.video == video.name and nodule.track in curves:
                _draw_curve(axes, nodule, curves[nodule.track])
    panels[-1, 0].set_xlabel("time in s", color=_MUTED, fontsize=9)
    buffer = io.BytesIO()
    # Text stays text, so that the browser finds the letters of any script; matplotlib's own font need not have them.
    with matplotlib.rc_context({"svg.fonttype": "none"}), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def _set_up(axes: Axes, video: VideoEntry, threshold: float, *, named: bool) -> None:
    if named:
        axes.set_title(video.name, loc="left", fontsize=10, color=_INK, fontweight="bold", parse_math=False)
    span = max(video.duration_s, 0.1)
    axes.set_xlim(-0.01 * span, 1.01 * span)
    axes.set_ylim(-0.02, 1.02)
    axes.set_yticks([0, 0.25, 0.5, 0.75, 1], ["0 %", "25 %", "50 %", "75 %", "100 %"])
    axes.set_ylabel("malignancy", color=_MUTED, fontsize=9)
    axes.tick_params(colors=_MUTED, labelsize=9, length=3)
    axes.grid(color="#e3e8ec", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color("#b8c2cb")
    axes.axhline(threshold, color=_INK, linewidth=1.2, linestyle=(0, (5, 3)))
    axes.annotate(
        f"threshold on a still {100 * threshold:.1f} %",
        (1, threshold),
        (-2, 3),
        xycoords=axes.get_yaxis_transform(),
        textcoords="offset points",
        ha="right",
        fontsize=8.5,
        color=_INK,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )


def _draw_curve(axes: Axes, nodule: NoduleEntry, curve: Curve) -> None:
    times, values = [time for time, _ in curve], [value for _, value in curve]
    marker = "o" if len(curve) == 1 else ""
    if not nodule.qualifies:
        axes.plot(times, values, color="#98a4af", linewidth=0.9, marker=marker, markersize=3)
        return
    colour = tuple(channel / 255 for channel in track_colour(nodule.track))
    rim = [Stroke(linewidth=3.2, foreground="#3a4650"), Stroke(linewidth=2.0, foreground=colour)]
    axes.plot(times, values, color=colour, linewidth=2, marker=marker, path_effects=rim, solid_joinstyle="round")
    peak = nodule.key_time_s, nodule.malignancy_max
    axes.plot(*peak, marker="o", markersize=8, color=colour, markeredgecolor=_INK, markeredgewidth=1.3)
    axes.annotate(
        f"#{nodule.track}",
        peak,
        (0, -15 if nodule.malignancy_max > 0.9 else 7),
        textcoords="offset points",
        ha="center",
        fontsize=9.5,
        fontweight="bold",
        color=_INK,
        path_effects=[withStroke(linewidth=3, foreground="white")],
    )
