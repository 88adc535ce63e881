"""Keeps the frame that set each running nodule's maximum, and turns it into a picture once the nodule has gone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from streamer._pixels import png_bytes
from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.folder import output_errors, picture_name
from streamer.outputs.nodule_figure import nodule_image
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import ClipInfo, Frame, FrameResult, Nodule

# A picture of 1508x716 px, made beside the running analysis: 23 ms and 624 kB; at level 1, all filters tried, 37 ms and
# 684 kB; at level 3 56 ms and 617 kB.
_PNG = (
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB
)  # fmt: skip


@dataclass(slots=True)
class _Candidate:
    """A nodule's best view so far."""

    malignancy: float
    view: tuple[Frame, Nodule]
    qualifies: bool = False


class KeyFrameSink(BaseSink):
    """Pictures of nodules at the frame that set their maximum.

    A view is a reference to the frame: no copy and no encoding while the maximum still rises. Frames are held for
    running tracks only, so memory does not grow with the clip's length.
    """

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        self._running: dict[int, _Candidate] = {}

    def start_clip(self, info: ClipInfo) -> None:  # noqa: ARG002
        """Begin with no track running."""
        self._running.clear()

    def write(self, result: FrameResult) -> None:
        """Look at the next frame of the clip.

        Raises:
            OutputError: a picture cannot be written.
        """
        for track in result.ended_tracks:
            ended = self._running.pop(track, None)
            if ended is not None and ended.qualifies:
                self._draw(track, ended)
        for nodule in result.nodules:
            candidate = self._running.setdefault(nodule.track_id, _Candidate(-1.0, (result.frame, nodule)))
            candidate.qualifies = nodule.qualifies
            if nodule.malignancy > candidate.malignancy:
                candidate.malignancy, candidate.view = nodule.malignancy, (result.frame, nodule)

    def end_clip(self, summary: ClipSummary | None) -> None:  # noqa: ARG002
        """Draw what is left: in a short clip a nodule may come to qualify by the clip's end.

        Raises:
            OutputError: a picture cannot be written.
        """
        for track in sorted(self._running):
            self._draw(track, self._running[track])
        self._running.clear()

    def abort(self) -> None:
        """Draw nothing more."""
        self._running.clear()

    def close(self, report: StudyReport | None) -> None:
        """Keep the pictures of the nodules that qualify."""
        for track in () if report is None else report.tracks:
            name = picture_name(track.track_id)
            if track.qualifies and self._context.folder.partial(name).exists():
                self._context.pictures[track.track_id] = name
                self._context.commit(name)

    def _draw(self, track: int, candidate: _Candidate) -> None:
        if self._context.heatmaps is not None:
            self._context.heatmaps.keep(*candidate.view)
        path = self._context.folder.partial(picture_name(track))
        with output_errors(path):
            path.write_bytes(png_bytes(nodule_image(*candidate.view), _PNG))
