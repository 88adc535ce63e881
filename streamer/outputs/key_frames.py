"""Keeps the frame that set each running nodule's maximum, and turns it into a picture once the nodule has gone."""

from __future__ import annotations

from dataclasses import dataclass

import cv2

from streamer.outputs.folder import OutputFolder, output_errors, picture_name
from streamer.outputs.heatmap import NoduleHeatmaps
from streamer.outputs.nodule_figure import nodule_image
from streamer.types import Frame, FrameResult, Nodule

# A picture of 1508x716 px, made beside the running analysis: 23 ms and 624 kB; at level 1, all filters tried, 37 ms and
# 684 kB; at level 3 56 ms and 617 kB.
_PNG = (
    cv2.IMWRITE_PNG_STRATEGY, cv2.IMWRITE_PNG_STRATEGY_RLE, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_SUB
)  # fmt: skip


@dataclass(slots=True)
class _Candidate:
    """A nodule's best view so far; `view` is empty once it has been written or found too brief."""

    malignancy: float
    view: tuple[Frame, Nodule] | None
    last_seen: int
    support: int = 0


class KeyPictures:
    """Pictures of one clip's nodules.

    A view is a reference to the frame: no copy and no encoding while the maximum still rises. Frames are held for
    running tracks only, so memory does not grow with the clip's length.

    Args:
        folder: where the pictures go, unfinished.
        min_track_frames: frames that must support a nodule that counts; briefer ones get no picture.
        max_missed_frames: frames without a detection that a track survives.
        heat: given what the classifier saw in each view that becomes a picture.
    """

    def __init__(
        self,
        folder: OutputFolder,
        *,
        min_track_frames: int,
        max_missed_frames: int,
        heat: NoduleHeatmaps | None = None,
    ) -> None:
        self._folder = folder
        self._min_track_frames = min_track_frames
        self._max_missed_frames = max_missed_frames
        self._heat = heat
        self._candidates: dict[int, _Candidate] = {}
        self._running: set[int] = set()
        self._frames = 0

    def update(self, result: FrameResult) -> None:
        """Look at the next frame of the clip.

        Raises:
            OutputError: a picture cannot be written.
        """
        self._frames += 1
        for nodule in result.nodules:
            candidate = self._candidates.setdefault(nodule.track, _Candidate(-1.0, None, self._frames))
            candidate.last_seen = self._frames
            candidate.support += 1
            if nodule.malignancy > candidate.malignancy:
                candidate.malignancy = nodule.malignancy
                candidate.view = result.frame, nodule
                self._running.add(nodule.track)
        gone = [
            track
            for track in self._running
            if self._frames - self._candidates[track].last_seen > self._max_missed_frames + 1
        ]
        for track in gone:
            self._write(track)

    def finish(self) -> None:
        """The clip has ended: write what is left.

        Raises:
            OutputError: a picture cannot be written.
        """
        for track in sorted(self._running):
            self._write(track)

    def _write(self, track: int) -> None:
        candidate = self._candidates[track]
        view, candidate.view = candidate.view, None
        self._running.discard(track)
        # In a clip shorter than the minimum, every frame counts.
        if view is None or candidate.support < min(self._min_track_frames, self._frames):
            return
        if self._heat is not None:
            self._heat.keep(*view)
        bgr = cv2.cvtColor(nodule_image(*view), cv2.COLOR_RGB2BGR)
        _, data = cv2.imencode(".png", bgr, _PNG)
        path = self._folder.partial(picture_name(track))
        with output_errors(path):
            path.write_bytes(data.tobytes())
