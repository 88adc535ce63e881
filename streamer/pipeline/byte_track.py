"""ByteTrack where the detector has chosen already: boxes to tracks by overlap with where each is expected.

Zhang et al., ECCV 2022 (arXiv 2110.06864): a Kalman filter of constant velocity predicts each track's box, boxes are
assigned to tracks so that the overlaps add up to most. Its second round, for weak boxes, is not needed here: all boxes
count alike. Written out because the library (`trackers`, which the tests compare it with, bit by bit) costs every start
half a second and 60 MB of what it imports, and each frame its general containers.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from streamer.pipeline._assignment import assigned

Floats = npt.NDArray[np.float64]

_STATE, _MEASURED = 8, 4
"""Corners x0, y0, x1, y1 and their velocities in pixels per frame; the corners are measured."""
_TRANSITION: Floats = np.eye(_STATE) + np.eye(_STATE, k=_MEASURED)
_OBSERVATION: Floats = np.eye(_MEASURED, _STATE)
_IDENTITY: Floats = np.eye(_STATE)
_PROCESS_NOISE: Floats = np.eye(_STATE) * 0.01
_MEASUREMENT_NOISE: Floats = np.eye(_MEASURED) * 0.1
"""Both in square pixels, as `trackers` tunes ByteTrack; a track's state begins with a variance of 1."""


class BoxTrack:
    """One object over time.

    Attributes:
        number: what the caller calls it; None while it has no name.
        missed: frames since it was last seen.
    """

    __slots__ = ("_covariance", "_state", "missed", "number")

    def __init__(self, box_xyxy: Floats) -> None:
        self.number: int | None = None
        self.missed = 0
        self._state: Floats = np.zeros((_STATE, 1))
        self._state[:_MEASURED, 0] = box_xyxy
        self._covariance: Floats = np.eye(_STATE)

    @property
    def box_xyxy(self) -> Floats:
        """Where it is, or is expected in the next frame; shape (4,)."""
        return self._state[:_MEASURED, 0]

    def predict(self) -> None:
        """Go on by a frame."""
        self.missed += 1
        self._state = _TRANSITION @ self._state
        self._covariance = _TRANSITION @ self._covariance @ _TRANSITION.T + _PROCESS_NOISE

    def update(self, box_xyxy: Floats) -> None:
        """Take what was seen of it in this frame."""
        self.missed = 0
        innovation = box_xyxy.reshape(_MEASURED, 1) - _OBSERVATION @ self._state
        projected = self._covariance @ _OBSERVATION.T
        gain = projected @ np.linalg.inv(_OBSERVATION @ projected + _MEASUREMENT_NOISE)
        self._state = self._state + gain @ innovation
        rest = _IDENTITY - gain @ _OBSERVATION  # Joseph's form, which stays symmetric
        self._covariance = rest @ self._covariance @ rest.T + gain @ _MEASUREMENT_NOISE @ gain.T


class BoxTracker:
    """Gives each frame's boxes to tracks; a box that fits none begins one.

    Args:
        max_missed_frames: a track that is not seen for more frames than this is over.
        min_iou: least overlap of a box with where its track is expected, 0 to 1.

    Attributes:
        tracks: those that are not over, in the order in which they began.

    Example:
        >>> tracker = BoxTracker(max_missed_frames=2, min_iou=0.3)
        >>> first, = tracker.update(np.array([[10.0, 10.0, 30.0, 26.0]]))
        >>> second, = tracker.update(np.array([[11.0, 10.0, 31.0, 26.0]]))
        >>> first is second
        True
    """

    def __init__(self, *, max_missed_frames: int, min_iou: float) -> None:
        self.tracks: list[BoxTrack] = []
        self._max_missed_frames, self._min_iou = max_missed_frames, min_iou

    def update(self, boxes_xyxy: npt.NDArray[np.float32] | Floats) -> list[BoxTrack]:
        """Take the next frame's boxes, shape (n, 4).

        Returns:
            The track of each box, in order.
        """
        boxes = boxes_xyxy.astype(np.float64)
        for track in self.tracks:
            track.predict()
        matched: dict[int, BoxTrack] = {}
        if self.tracks and len(boxes):
            overlaps = iou_matrix(np.stack([track.box_xyxy for track in self.tracks]), boxes)
            for row, column in assigned(overlaps):
                if overlaps[row, column] >= self._min_iou:
                    self.tracks[row].update(boxes[column])
                    matched[column] = self.tracks[row]
        found = [matched.get(position) or BoxTrack(box) for position, box in enumerate(boxes)]
        self.tracks += [track for position, track in enumerate(found) if position not in matched]
        self.tracks = [track for track in self.tracks if track.missed <= self._max_missed_frames]
        return found


def iou_matrix(ones: Floats, others: Floats) -> npt.NDArray[np.float32]:
    """Intersection over union of each of `ones` with each of `others`, shapes (n, 4) and (m, 4); shape (n, m)."""
    low = np.maximum(ones[:, None, :2], others[None, :, :2])
    high = np.minimum(ones[:, None, 2:], others[None, :, 2:])
    intersection = np.clip(high - low, 0.0, None).prod(axis=2)
    area, other_area = (np.prod(boxes[:, 2:] - boxes[:, :2], axis=1) for boxes in (ones, others))
    union = area[:, None] + other_area[None] - intersection
    iou: Floats = np.divide(intersection, union, out=np.zeros_like(union), where=union > 0)
    return iou.astype(np.float32)
