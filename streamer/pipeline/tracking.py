"""Joins findings over time: which nodule in this frame is which nodule in the last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.pipeline.byte_track import BoxTracker
from streamer.settings import TrackingSettings
from streamer.types import Candidate, Image, TrackedCandidate

_THUMBNAIL = (32, 32)


class NoduleTracker:
    """Follows the nodules of one clip. Belongs to that clip alone.

    Attributes:
        cuts: how often the picture was another from one frame to the next.
        ended: numbers of the tracks that ended with the last update: they will not be seen again.
    """

    def __init__(self, settings: TrackingSettings, numbers: Iterator[int]) -> None:
        """Start without tracks.

        Args:
            settings: overlap, patience and scene cut.
            numbers: where track numbers come from.
        """
        self.cuts = 0
        self.ended: tuple[int, ...] = ()
        self._running: frozenset[int] = frozenset()
        self._settings, self._numbers = settings, numbers
        self._tracker = self._new_tracker()
        self._confidences: defaultdict[int, _RunningMean] = defaultdict(_RunningMean)
        self._thumbnail: npt.NDArray[np.float32] | None = None

    def update(
        self, image: Image, candidates: Sequence[Candidate], *, skipped: int = 0
    ) -> tuple[TrackedCandidate, ...]:
        """Number this frame's candidates, in the order of their track numbers.

        A track's confidence is the mean of the detector's confidences so far: a nodule seen for long is surer than a
        transient false positive. Over `cine` val that ranks boxes better than each frame alone (docs/experiments.md).

        Args:
            image: the frame, to notice a scene cut, which ends all tracks.
            candidates: what was detected in it.
            skipped: frames of a live source that were dropped since the last one.
        """
        if self._is_cut(image, skipped):
            self.cuts += 1
            self._tracker = self._new_tracker()
            self._confidences.clear()
        tracked = self._track(candidates)
        running = frozenset(track.number for track in self._tracker.tracks if track.number is not None)
        self.ended = tuple(sorted(self._running - running))
        self._running = running
        return tracked

    def _track(self, candidates: Sequence[Candidate]) -> tuple[TrackedCandidate, ...]:
        boxes = np.array([candidate.box_xyxy for candidate in candidates], np.float32).reshape(-1, 4)
        tracked = []
        for track, candidate in zip(self._tracker.update(boxes), candidates, strict=True):
            if track.number is None:
                track.number = next(self._numbers)
            confidence = self._confidences[track.number].add(candidate.confidence)
            tracked.append(TrackedCandidate(track_id=track.number, track_confidence=confidence, candidate=candidate))
        return tuple(sorted(tracked, key=lambda one: one.track_id))

    def _new_tracker(self) -> BoxTracker:
        settings = self._settings
        return BoxTracker(max_missed_frames=settings.max_missed_frames, min_iou=settings.min_iou)

    def _is_cut(self, image: Image, skipped: int) -> bool:
        # A sixteenth of the pixels, of green, which is most of luma: 0.03 ms at 686x528, all of them take 0.7.
        thinned = np.ascontiguousarray(image[::4, ::4, 1])
        thumbnail = cv2.resize(thinned, _THUMBNAIL, interpolation=cv2.INTER_AREA).astype(np.float32)
        last, self._thumbnail = self._thumbnail, thumbnail
        # In `cine` sweeps the largest difference grows with the root of the distance: 4.5 between neighbours, 6.9 over
        # 2 frames, 8.8 over 3, 13.4 over 6, 17.5 over 10, which is 0.56 to 0.69 of this limit.
        limit = self._settings.scene_cut * (1 + skipped) ** 0.5
        return last is not None and float(np.abs(thumbnail - last).mean()) > limit


@dataclass(slots=True)
class _RunningMean:
    count: int = 0
    value: float = 0.0

    def add(self, value: float) -> float:
        self.count += 1
        self.value += (value - self.value) / self.count
        return self.value
