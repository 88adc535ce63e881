"""Analyses only what a frame shows of tissue: each view by itself, what is found mapped back to the frame's pixels.

Text, scales, other modes and ECG strips around a view are never seen by the networks; those that lie in it are painted
black, and what is found there all the same is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np

from streamer.pipeline.analyser import (
    FrameAnalyser,
    FrameCandidates,
    FrameFindings,
    checked_candidates,
    checked_findings,
)
from streamer.types import Candidate, Finding, Frame, Image, ScanView

_MAX_HIDDEN = 0.5
"""Share of a box that may lie in a hidden part: beyond it the box is more of that than of tissue."""

_Place = TypeVar("_Place", bound=Candidate)


def detect_in_views(analyser: FrameAnalyser, frames: Sequence[Frame]) -> list[FrameCandidates]:
    """Candidates of each frame, in order, in the frame's own pixels.

    All views of all frames go to the analyser in one call; a frame without views goes as it is.

    Args:
        analyser: loaded networks.
        frames: at least one.

    Raises:
        TypeError, ValueError: the analyser's answer is none, see `checked_candidates`.
    """
    if not any(frame.views for frame in frames):
        return checked_candidates(analyser, frames)
    parts = [part for frame in frames for part in _parts(frame)]
    detected = iter(checked_candidates(analyser, parts))
    return [_joined(frame, [next(detected) for _ in range(max(1, len(frame.views)))]) for frame in frames]


def characterise_in_views(analyser: FrameAnalyser, frames: Sequence[FrameCandidates]) -> list[FrameFindings]:
    """A finding for each candidate, in order, in the frame's own pixels; each candidate is seen in its view alone.

    Args:
        analyser: loaded networks.
        frames: at least one, with candidates in the frame's pixels.

    Raises:
        TypeError, ValueError: the analyser's answer is none, see `checked_findings`.
    """
    if not any(one.frame.views for one in frames):
        return checked_findings(analyser, frames)
    parts = [_parts_of_candidates(one) for one in frames]
    found = iter(checked_findings(analyser, [part for ones in parts for part in ones]))
    return [_assembled(one, [next(found) for _ in ones]) for one, ones in zip(frames, parts, strict=True)]


def _parts(frame: Frame) -> list[Frame]:
    return [_part(frame, view) for view in frame.views] or [frame]


def _part(frame: Frame, view: ScanView) -> Frame:
    return replace(frame, image=_cut(frame.image, view), views=())


def _cut(image: Image, view: ScanView) -> Image:
    left, top, right, bottom = view.box_xyxy
    part = image[top:bottom, left:right]
    if not view.hidden:
        return np.ascontiguousarray(part)
    part = part.copy()
    for x0, y0, x1, y1 in view.hidden:
        part[y0 - top : y1 - top, x0 - left : x1 - left] = 0
    return part


def _joined(frame: Frame, parts: Sequence[FrameCandidates]) -> FrameCandidates:
    if not frame.views:
        return replace(parts[0], frame=frame)
    candidates = [
        moved
        for view, part in zip(frame.views, parts, strict=True)
        for candidate in part.candidates
        if _hidden_share(moved := _moved(candidate, *view.box_xyxy[:2]), view) <= _MAX_HIDDEN
    ]
    rejected = parts[0].rejected if all(part.rejected for part in parts) else ""
    return FrameCandidates(frame, tuple(candidates), _total_ms([part.timing_ms for part in parts]), rejected)


def _parts_of_candidates(one: FrameCandidates) -> list[FrameCandidates]:
    """Each candidate by itself in its view, in that view's pixels: they are few."""
    if not one.frame.views:
        return [one]
    return [
        FrameCandidates(_part(one.frame, view), (_moved(candidate, -view.box_xyxy[0], -view.box_xyxy[1]),), {})
        for candidate, view in zip(one.candidates, _views(one), strict=True)
    ]


def _assembled(one: FrameCandidates, parts: Sequence[FrameFindings]) -> FrameFindings:
    if not one.frame.views:
        return parts[0]
    findings = [_moved(part.findings[0], *view.box_xyxy[:2]) for part, view in zip(parts, _views(one), strict=True)]
    timing = one.timing_ms | _total_ms([part.timing_ms for part in parts])
    return FrameFindings(one.frame, tuple(findings), timing, one.rejected)


def _views(one: FrameCandidates) -> list[ScanView]:
    """The view of each candidate."""
    return [one.frame.view_at(candidate.box_xyxy) or one.frame.views[0] for candidate in one.candidates]


def _total_ms(timings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    stages = {stage for timing in timings for stage in timing}
    return {stage: sum(timing.get(stage, 0.0) for timing in timings) for stage in sorted(stages)}


def _moved(place: _Place, x: int, y: int) -> _Place:
    x0, y0, x1, y1 = place.box_xyxy
    changes: dict[str, Any] = {"box_xyxy": (x0 + x, y0 + y, x1 + x, y1 + y)}
    if isinstance(place, Finding):
        changes["contour_xy"] = place.contour_xy + np.array((x, y), np.int32)
        if place.heat is not None:
            left, top, right, bottom = place.heat.window_xyxy
            changes["heat"] = replace(place.heat, window_xyxy=(left + x, top + y, right + x, bottom + y))
    return replace(place, **changes)


def _hidden_share(candidate: Candidate, view: ScanView) -> float:
    """Share of the candidate's box in hidden parts, which do not overlap in practice."""
    x0, y0, x1, y1 = candidate.box_xyxy
    area = max((x1 - x0) * (y1 - y0), 1e-9)
    overlaps = (
        max(0.0, min(x1, right) - max(x0, left)) * max(0.0, min(y1, bottom) - max(y0, top))
        for left, top, right, bottom in view.hidden
    )
    return sum(overlaps) / area
