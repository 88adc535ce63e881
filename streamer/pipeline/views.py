"""Analyses only what a frame shows of tissue: each view by itself, what is found mapped back to the frame's pixels.

Text, scales, other modes and ECG strips around a view are never seen by the networks; those that lie in it are painted
black, and what is found there all the same is dropped.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

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


@dataclass(frozen=True, slots=True, kw_only=True)
class _InView(Candidate):
    """A candidate in the frame's pixels that was detected in one of its views: there it is characterised, too."""

    detected: Candidate
    view: ScanView


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
        frames: at least one, with candidates of `detect_in_views`.

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
        return parts[0]
    candidates = [
        _moved(candidate, view) if isinstance(candidate, Finding) else _in_view(candidate, view)
        for view, part in zip(frame.views, parts, strict=True)
        for candidate in part.candidates
        if _hidden_share(candidate, view) <= _MAX_HIDDEN
    ]
    rejected = parts[0].rejected if all(part.rejected for part in parts) else ""
    return FrameCandidates(frame, tuple(candidates), _total_ms([part.timing_ms for part in parts]), rejected)


def _parts_of_candidates(one: FrameCandidates) -> list[FrameCandidates]:
    """Each candidate by itself in its view, as it was detected there: they are few."""
    if not one.frame.views:
        return [one]
    return [FrameCandidates(_part(one.frame, each.view), (each.detected,), {}) for each in _in_views(one)]


def _assembled(one: FrameCandidates, parts: Sequence[FrameFindings]) -> FrameFindings:
    if not one.frame.views:
        return parts[0]
    found = iter(_moved(part.findings[0], each.view) for part, each in zip(parts, _in_views(one), strict=True))
    findings = [candidate if isinstance(candidate, Finding) else next(found) for candidate in one.candidates]
    timing = one.timing_ms | _total_ms([part.timing_ms for part in parts])
    return FrameFindings(one.frame, tuple(findings), timing, one.rejected)


def _in_views(one: FrameCandidates) -> list[_InView]:
    return [candidate for candidate in one.candidates if isinstance(candidate, _InView)]


def _total_ms(timings: Sequence[Mapping[str, float]]) -> dict[str, float]:
    stages = {stage for timing in timings for stage in timing}
    return {stage: sum(timing.get(stage, 0.0) for timing in timings) for stage in sorted(stages)}


def _in_view(candidate: Candidate, view: ScanView) -> _InView:
    return _InView(box_xyxy=_moved_box(candidate, view), confidence=candidate.confidence, detected=candidate, view=view)


def _moved(finding: Finding, view: ScanView) -> Finding:
    left, top = view.box_xyxy[:2]
    contour, heat = finding.contour_xy + np.array((left, top), np.int32), finding.heat
    if heat is not None:
        from_x, from_y, to_x, to_y = heat.window_xyxy
        heat = replace(heat, window_xyxy=(from_x + left, from_y + top, to_x + left, to_y + top))
    return replace(finding, box_xyxy=_moved_box(finding, view), contour_xy=contour, heat=heat)


def _moved_box(candidate: Candidate, view: ScanView) -> tuple[float, float, float, float]:
    left, top = view.box_xyxy[:2]
    x0, y0, x1, y1 = candidate.box_xyxy
    return x0 + left, y0 + top, x1 + left, y1 + top


def _hidden_share(candidate: Candidate, view: ScanView) -> float:
    """Share of the box, in the view's pixels, in hidden parts, which do not overlap in practice."""
    x0, y0, x1, y1 = _moved_box(candidate, view)
    area = max((x1 - x0) * (y1 - y0), 1e-9)
    overlaps = (
        max(0.0, min(x1, right) - max(x0, left)) * max(0.0, min(y1, bottom) - max(y0, top))
        for left, top, right, bottom in view.hidden
    )
    return sum(overlaps) / area
