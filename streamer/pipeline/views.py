"""Analyses only what a frame shows of tissue: each view by itself, what is found mapped back to the frame's pixels.

Text, scales, other modes and ECG strips around a view are never seen by the networks; those that lie in it are painted
black, and what is found there all the same is dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from streamer.pipeline.analyser import FrameAnalyser, FrameFindings, checked_findings
from streamer.types import Finding, Frame, Image, ScanView

_MAX_HIDDEN = 0.5
"""Share of a box that may lie in a hidden part: beyond it the box is more of that than of tissue."""


def analyse_views(analyser: FrameAnalyser, frames: Sequence[Frame]) -> list[FrameFindings]:
    """Findings for each frame, in order, in the frame's own pixels.

    All views of all frames go to the analyser in one call; a frame without views goes as it is.

    Args:
        analyser: loaded networks.
        frames: at least one.

    Raises:
        TypeError: the analyser's answer is not one `FrameFindings` per frame, in order.
    """
    if not any(frame.views for frame in frames):
        return checked_findings(analyser, frames)
    parts = [part for frame in frames for part in _parts(frame)]
    found = iter(checked_findings(analyser, parts))
    return [_joined(frame, [next(found) for _ in range(max(1, len(frame.views)))]) for frame in frames]


def _parts(frame: Frame) -> list[Frame]:
    if not frame.views:
        return [frame]
    return [replace(frame, image=_cut(frame.image, view), views=()) for view in frame.views]


def _cut(image: Image, view: ScanView) -> Image:
    left, top, right, bottom = view.box_xyxy
    part = image[top:bottom, left:right]
    if not view.hidden:
        return np.ascontiguousarray(part)
    part = part.copy()
    for x0, y0, x1, y1 in view.hidden:
        part[y0 - top : y1 - top, x0 - left : x1 - left] = 0
    return part


def _joined(frame: Frame, parts: Sequence[FrameFindings]) -> FrameFindings:
    if not frame.views:
        return replace(parts[0], frame=frame)
    findings = [
        moved
        for view, part in zip(frame.views, parts, strict=True)
        for finding in part.findings
        if _hidden_share(moved := _moved(finding, view), view) <= _MAX_HIDDEN
    ]
    stages = {stage for part in parts for stage in part.timing_ms}
    timing = {stage: sum(part.timing_ms.get(stage, 0.0) for part in parts) for stage in sorted(stages)}
    rejected = parts[0].rejected if all(part.rejected for part in parts) else ""
    return FrameFindings(frame, tuple(findings), timing, rejected)


def _moved(finding: Finding, view: ScanView) -> Finding:
    left, top = view.box_xyxy[:2]
    x0, y0, x1, y1 = finding.box_xyxy
    contour, heat = finding.contour_xy + np.array((left, top), np.int32), finding.heat
    if heat is not None:
        from_x, from_y, to_x, to_y = heat.window_xyxy
        heat = replace(heat, window_xyxy=(from_x + left, from_y + top, to_x + left, to_y + top))
    return replace(finding, box_xyxy=(x0 + left, y0 + top, x1 + left, y1 + top), contour_xy=contour, heat=heat)


def _hidden_share(finding: Finding, view: ScanView) -> float:
    """Share of the finding's box in hidden parts, which do not overlap in practice."""
    x0, y0, x1, y1 = finding.box_xyxy
    area = max((x1 - x0) * (y1 - y0), 1e-9)
    overlaps = (
        max(0.0, min(x1, right) - max(x0, left)) * max(0.0, min(y1, bottom) - max(y0, top))
        for left, top, right, bottom in view.hidden
    )
    return sum(overlaps) / area
