"""Confirms tracks, not boxes: a weak candidate is shown where its track is strong, within a bounded look ahead.

The detector's single confidences are noisy: a nodule drops below any useful threshold in every third frame, and a
vessel rises above it now and then. Over five frames the two part. Measured on the `cine` sweeps in docs/experiments.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar

from streamer.types import Nodule

Item = TypeVar("Item")

CONFIRMING_FRAMES = 5
"""Supporting frames over which a track's confidence is averaged: as many as it must last to count for the patient."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationRule:
    """From when on a track is shown.

    Attributes:
        track_confidence: least mean confidence over `CONFIRMING_FRAMES` successive supporting frames, 0 to 1.
        image_confidence: least mean confidence in a scene of fewer frames than that, such as a still, 0 to 1.
        look_ahead_frames: frames that a result waits for what comes after it.
    """

    track_confidence: float
    image_confidence: float
    look_ahead_frames: int


@dataclass(slots=True)
class _Track:
    recent: deque[float] = field(default_factory=lambda: deque(maxlen=CONFIRMING_FRAMES))
    number: int | None = None
    confirmed: bool = False
    last_frame: int = 0


class TrackConfirmation(Generic[Item]):
    """Holds back what belongs to each frame until it is known which of its candidates are shown.

    Memory is bounded: at most `look_ahead_frames` items wait, and a track is forgotten with the scene it was in, or
    once nothing that waits can show it.

        confirmation = TrackConfirmation(rule, count(1), patience_frames=5)
        for frame in frames:
            for item, nodules in confirmation.add(frame, candidates, confidences, new_scene=False): ...
        for item, nodules in confirmation.end(): ...
    """

    def __init__(self, rule: ConfirmationRule, numbers: Iterator[int], *, patience_frames: int) -> None:
        """Start with nothing waiting.

        Args:
            rule: from when on a track is shown.
            numbers: where the numbers of shown tracks come from: candidates that are never confirmed take none.
            patience_frames: frames that a track survives without a detection.
        """
        self._rule, self._numbers, self._patience = rule, numbers, patience_frames
        self._waiting: deque[tuple[Item, tuple[Nodule, ...]]] = deque()
        self._tracks: dict[int, _Track] = {}
        self._frames = 0
        self._scene_frames = 0

    def add(
        self, item: Item, candidates: Sequence[Nodule], confidences: Sequence[float], *, new_scene: bool
    ) -> list[tuple[Item, tuple[Nodule, ...]]]:
        """Take the next frame's candidates; give what is settled by them, in frame order.

        Args:
            item: whatever belongs to the frame; it comes back with its nodules.
            candidates: tracked detections of the frame.
            confidences: the detector's confidence of each of them in this frame, 0 to 1.
            new_scene: whether no track goes on from the frame before.
        """
        settled = self.end() if new_scene else []
        self._frames += 1
        self._scene_frames += 1
        for candidate, confidence in zip(candidates, confidences, strict=True):
            track = self._tracks.setdefault(candidate.track_id, _Track())
            track.recent.append(confidence)
            track.last_frame = self._frames
            if len(track.recent) == CONFIRMING_FRAMES and _mean(track.recent) >= self._rule.track_confidence:
                track.confirmed = True
        self._waiting.append((item, tuple(candidates)))
        while len(self._waiting) > self._rule.look_ahead_frames:
            settled.append(self._settle())
        self._forget()
        return settled

    def end(self) -> list[tuple[Item, tuple[Nodule, ...]]]:
        """Give what still waits: the scene is over, and so are its tracks."""
        if self._scene_frames < CONFIRMING_FRAMES:
            for track in self._tracks.values():
                seen_throughout = len(track.recent) == self._scene_frames
                track.confirmed |= seen_throughout and _mean(track.recent) >= self._rule.image_confidence
        settled = [self._settle() for _ in range(len(self._waiting))]
        self._tracks.clear()
        self._scene_frames = 0
        return settled

    def _settle(self) -> tuple[Item, tuple[Nodule, ...]]:
        item, candidates = self._waiting.popleft()
        shown = []
        for candidate in candidates:
            track = self._tracks[candidate.track_id]
            if track.confirmed:
                if track.number is None:
                    track.number = next(self._numbers)
                shown.append(replace(candidate, track_id=track.number))
        return item, tuple(sorted(shown, key=lambda nodule: nodule.track_id))

    def _forget(self) -> None:
        oldest = self._frames - self._patience - self._rule.look_ahead_frames
        gone = [number for number, track in self._tracks.items() if track.last_frame < oldest]
        for number in gone:
            del self._tracks[number]


def _mean(values: deque[float]) -> float:
    return sum(values) / len(values)
