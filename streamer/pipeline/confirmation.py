"""Confirms tracks, not boxes: a weak candidate is shown where its track is strong, within a bounded look ahead.

The detector's single confidences are noisy: a nodule drops below any useful threshold in every third frame, and a
vessel rises above it now and then. Over five frames the two part. Measured on the `cine` sweeps in docs/experiments.md.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, NamedTuple, TypeVar

from streamer.types import TrackedCandidate

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfirmationRule:
    """From when on a track is shown.

    Attributes:
        frames: supporting frames over which a track's confidence is averaged, at least 1.
        track_confidence: least mean confidence over that many successive supporting frames, 0 to 1.
        image_confidence: least mean confidence in a scene of fewer frames than that, such as a still, 0 to 1.
        look_ahead_frames: frames that a result waits for what comes after it.
    """

    frames: int
    track_confidence: float
    image_confidence: float
    look_ahead_frames: int


class Settled(NamedTuple, Generic[Item]):
    """A frame of which it is known what is shown in it.

    Attributes:
        item: what belongs to the frame.
        shown: its confirmed tracks, by number.
        ahead: in how many of the frames that still wait each of them is shown, too, by number.
        ended: numbers of the tracks that ended with it.
    """

    item: Item
    shown: tuple[TrackedCandidate, ...]
    ahead: Mapping[int, int]
    ended: tuple[int, ...]


@dataclass(slots=True)
class _Track:
    recent: deque[float]
    number: int | None = None
    confirmed: bool = False
    waiting_frames: int = 0


class TrackConfirmation(Generic[Item]):
    """Holds back what belongs to each frame until it is known which of its candidates are shown.

    Memory is bounded: at most `look_ahead_frames` items wait, and a track is forgotten when it has ended.

    Example:
        >>> confirmation = TrackConfirmation(rule, count(1))  # doctest: +SKIP
        >>> for frame in frames:  # doctest: +SKIP
        ...     for settled in confirmation.add(frame, candidates, ended=(), new_scene=False): ...
        >>> for settled in confirmation.end(): ...  # doctest: +SKIP
    """

    def __init__(self, rule: ConfirmationRule, numbers: Iterator[int]) -> None:
        """Start with nothing waiting.

        Args:
            rule: from when on a track is shown.
            numbers: where the numbers of shown tracks come from: candidates that are never confirmed take none.
        """
        self._rule, self._numbers = rule, numbers
        self._waiting: deque[tuple[Item, tuple[TrackedCandidate, ...], tuple[int, ...]]] = deque()
        self._tracks: dict[int, _Track] = {}
        self._scene_frames = 0

    def add(
        self, item: Item, candidates: Sequence[TrackedCandidate], *, ended: Sequence[int], new_scene: bool
    ) -> list[Settled[Item]]:
        """Take the next frame's candidates; give what is settled by them, in frame order.

        Args:
            item: whatever belongs to the frame; it comes back with what is shown.
            candidates: tracked candidates of the frame.
            ended: tracks that ended with this frame, by the candidates' numbers.
            new_scene: whether no track goes on from the frame before.
        """
        settled = []
        if new_scene:
            settled = self.end()
            self._tracks = {number: track for number, track in self._tracks.items() if number in ended}
        self._scene_frames += 1
        for tracked in candidates:
            track = self._tracks.setdefault(tracked.track_id, _Track(deque(maxlen=self._rule.frames)))
            track.recent.append(tracked.candidate.confidence)
            track.waiting_frames += 1
            if len(track.recent) == self._rule.frames and _mean(track.recent) >= self._rule.track_confidence:
                track.confirmed = True
        self._waiting.append((item, tuple(candidates), tuple(ended)))
        while len(self._waiting) > self._rule.look_ahead_frames:
            settled.append(self._settle())
        return settled

    def end(self) -> list[Settled[Item]]:
        """Give what still waits: the scene is over, and so are its tracks."""
        if self._scene_frames < self._rule.frames:
            for track in self._tracks.values():
                seen_throughout = len(track.recent) == self._scene_frames
                track.confirmed = seen_throughout and _mean(track.recent) >= self._rule.image_confidence
        self._scene_frames = 0
        return [self._settle() for _ in range(len(self._waiting))]

    def _settle(self) -> Settled[Item]:
        item, candidates, ended = self._waiting.popleft()
        shown, ahead = [], {}
        for tracked in candidates:
            track = self._tracks[tracked.track_id]
            track.waiting_frames -= 1
            if track.confirmed:
                if track.number is None:
                    track.number = next(self._numbers)
                shown.append(replace(tracked, track_id=track.number))
                ahead[track.number] = track.waiting_frames
        over = [self._tracks.pop(number, None) for number in ended]
        numbers = tuple(sorted(track.number for track in over if track is not None and track.number is not None))
        return Settled(item, tuple(sorted(shown, key=lambda one: one.track_id)), ahead, numbers)


def _mean(values: deque[float]) -> float:
    return sum(values) / len(values)
