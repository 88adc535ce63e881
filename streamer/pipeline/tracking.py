"""Joins findings over time: which nodule in this frame is which nodule in the last."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
import supervision as sv
from trackers import ByteTrackTracker

from streamer.settings import TrackingSettings
from streamer.types import Finding, Image, TrackedFinding

_LIBRARY_RATE_HZ = 30.0
"""ByteTrack counts its memory in frames of this rate; at this rate one update is one frame."""
_UNNUMBERED = -1
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

    def update(self, image: Image, findings: Sequence[Finding], *, skipped: int = 0) -> tuple[TrackedFinding, ...]:
        """Number this frame's findings, in the order of their track numbers.

        A track's confidence is the mean of the detector's confidences so far: a nodule seen for long is surer than a
        transient false positive. Over `cine` val that ranks boxes better than each frame alone (docs/experiments.md).

        Args:
            image: the frame, to notice a scene cut, which ends all tracks.
            findings: what was found in it.
            skipped: frames of a live source that were dropped since the last one.
        """
        if self._is_cut(image, skipped):
            self.cuts += 1
            self._tracker = self._new_tracker()
            self._confidences.clear()
        nodules = self._track(findings)
        running = frozenset(one.tracker_id for one in self._tracker.tracks if one.tracker_id != _UNNUMBERED)
        self.ended = tuple(sorted(self._running - running))
        self._running = running
        return nodules

    def _track(self, findings: Sequence[Finding]) -> tuple[TrackedFinding, ...]:
        tracked = self._tracker.update(_as_detections(findings))
        if not findings:
            return ()
        # ByteTrack gives a track its identity in its second frame, and until then forgets it after one missed frame. A
        # nodule has its number from the first: new tracks stand at the end of both lists, in the same order.
        fresh = iter([tracklet for tracklet in self._tracker.tracks if tracklet.tracker_id == _UNNUMBERED])
        nodules = []
        for position, identity in zip(tracked.data["position"], _identities(tracked), strict=True):
            if identity == _UNNUMBERED:
                identity = next(self._numbers)
                next(fresh).tracker_id = identity
            finding = findings[int(position)]
            confidence = self._confidences[identity].add(finding.confidence)
            nodules.append(TrackedFinding(track_id=identity, track_confidence=confidence, finding=finding))
        return tuple(sorted(nodules, key=lambda nodule: nodule.track_id))

    def _new_tracker(self) -> ByteTrackTracker:
        return ByteTrackTracker(
            lost_track_buffer=self._settings.max_missed_frames,
            frame_rate=_LIBRARY_RATE_HZ,
            track_activation_threshold=0.0,  # the detector has chosen already: every finding belongs to a track
            high_conf_det_threshold=0.0,
            minimum_consecutive_frames=1,  # how long a track must last is the study's rule, not the tracker's
            minimum_iou_threshold=self._settings.min_iou,
        )

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


def _as_detections(findings: Sequence[Finding]) -> sv.Detections:
    return sv.Detections(
        xyxy=np.array([finding.box_xyxy for finding in findings], np.float32).reshape(-1, 4),
        confidence=np.array([finding.confidence for finding in findings], np.float32),
        data={"position": np.arange(len(findings))},
    )


def _identities(tracked: sv.Detections) -> list[int]:
    return [] if tracked.tracker_id is None else [int(identity) for identity in tracked.tracker_id]
