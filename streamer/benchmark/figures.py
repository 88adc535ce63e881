"""Figures of one viewing: how many frames reached the screen, how soon and how late.

A frame counts as shown when the page's canvas was redrawn with other pixels than before and the browser has come to its
next refresh; each position in the clip counts once.

Two latencies, both to the screen, each from the detector's answer for a frame, so that waiting for its turn, tracking,
outline and class, drawing, JPEG, transfer and display are all in them:
- `latency_ms`: how much later a frame came than in a perfect viewer, which shows it at once, but no faster than the
  clip's own pace. Where the analysis is the slower of the two, that is the time since the detector's answer.
- `answer_to_screen_ms`: the plain difference. An analysis that runs ahead of playback makes it long on purpose.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streamer.benchmark.browser import Viewing


@dataclass(frozen=True, slots=True, kw_only=True)
class Percentiles:
    """Median and 95th percentile in milliseconds; None where nothing was shown."""

    p50: float | None
    p95: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AppFigures:
    """What a viewing came to.

    Attributes:
        frames_shown_per_second: distinct frames shown over the time from the first to the last.
        distinct_frames_shown: positions of the clip that were on the screen.
        frames: length of the clip.
        clip_fps: the clip's own pace.
        analysed_per_second: frames the detector answered a second, while the page was served.
        first_overlay_ms: from the click to the first frame on the screen; None where nothing was shown.
        latency_ms: see the module.
        answer_to_screen_ms: see the module.
        server_cpu_percent: of one core.
        clock_error_ms: by how much times in the browser may be off against the server's.
    """

    frames_shown_per_second: float
    distinct_frames_shown: int
    frames: int
    clip_fps: float
    analysed_per_second: float
    first_overlay_ms: float | None
    latency_ms: Percentiles
    answer_to_screen_ms: Percentiles
    server_cpu_percent: float
    clock_error_ms: float


@dataclass(frozen=True, slots=True)
class Answered:
    """When the detector had answered for a frame (`time.perf_counter`), and its time in the clip."""

    at_s: float
    time_s: float


def figures(viewing: Viewing, answered: Mapping[int, Answered], *, frames: int, seconds: float) -> AppFigures:
    """What a viewing of a clip of `frames` frames and `seconds` seconds came to."""
    shown_s = first_shown(viewing)
    due_s = perfect_viewer(answered)
    late_ms = [1000 * (at_s - due_s[position]) for position, at_s in shown_s.items()]
    since_ms = [1000 * (at_s - answered[position].at_s) for position, at_s in shown_s.items()]
    return AppFigures(
        frames_shown_per_second=_rate(list(shown_s.values())),
        distinct_frames_shown=len(shown_s),
        frames=frames,
        clip_fps=round(frames / seconds, 2),
        analysed_per_second=_rate([answer.at_s for answer in answered.values()]),
        first_overlay_ms=round(1000 * (min(shown_s.values()) - viewing.clicked_s), 1) if shown_s else None,
        latency_ms=_percentiles(late_ms),
        answer_to_screen_ms=_percentiles(since_ms),
        server_cpu_percent=round(100 * viewing.cpu_share, 1),
        clock_error_ms=round(1000 * viewing.clock_error_s, 2),
    )


def first_shown(viewing: Viewing) -> dict[int, float]:
    """Positions that were shown, and when each came first; a frame that left the pixels as they were is not one."""
    shown_s: dict[int, float] = {}
    pixels = 0  # of a canvas on which nothing was drawn
    for shown in viewing.shown:
        if shown.pixels != pixels:
            shown_s.setdefault(shown.position, shown.at_s)
        pixels = shown.pixels
    return shown_s


def perfect_viewer(answered: Mapping[int, Answered]) -> dict[int, float]:
    """When a viewer without delay shows each frame: once it is answered, and no faster than the clip's pace."""
    due_s: dict[int, float] = {}
    before: Answered | None = None
    due = 0.0
    for position, answer in sorted(answered.items()):
        due = answer.at_s if before is None else max(answer.at_s, due + answer.time_s - before.time_s)
        due_s[position], before = due, answer
    return due_s


def _rate(moments_s: Sequence[float]) -> float:
    """Events a second, over the time from the first to the last."""
    span_s = max(moments_s, default=0.0) - min(moments_s, default=0.0)
    return round((len(moments_s) - 1) / span_s, 2) if span_s > 0 else 0.0


def _percentiles(values_ms: Sequence[float]) -> Percentiles:
    if not values_ms:
        return Percentiles(p50=None, p95=None)
    p50, p95 = np.percentile(values_ms, (50, 95))
    return Percentiles(p50=round(float(p50), 1), p95=round(float(p95), 1))
