"""Follows one clip's candidates: tracks them, and settles in which frames they are shown."""

from __future__ import annotations

import time
from collections import deque
from dataclasses import replace
from itertools import count
from statistics import fmean, median

from streamer.pipeline.analyser import FrameCandidates
from streamer.pipeline.confirmation import ConfirmationRule, Settled, TrackConfirmation
from streamer.pipeline.tracking import NoduleTracker
from streamer.settings import Settings

_SHORTEST_PAUSE_S = 2.0
"""Silence of a live source that is no pause, however fast it is; dropped frames are far shorter."""
_INTERVALS_IN_PAUSE = 4
"""The tracker is reset after a silence of so many mean intervals between analysed frames."""
LONGEST_INTERVAL_S = 10.0
"""Over a longer silence nothing is followed. All three were measured: docs/reliability.md, "Live sources"."""
_INTERVALS = 15
"""Intervals that say how fast a source is."""


class ClipFollower:
    """Tracks one clip's candidates and settles which are shown, numbered from 1. Used by one thread at a time.

    Example:
        >>> follower = ClipFollower(Settings(), live=False)
        >>> follower.end()
        []
    """

    def __init__(self, settings: Settings, *, live: bool) -> None:
        """Start with nothing seen.

        Args:
            settings: how tracks are joined and confirmed.
            live: whether results cannot wait for what comes after them.
        """
        self._settings, self._live = settings.tracking, live
        self._candidates = count(1)
        self._tracker, self._pace = self._new_tracker(), _Pace()
        rule = ConfirmationRule(
            frames=settings.tracking.confirming_frames,
            track_confidence=settings.tracking.confidence or 0.0,
            image_confidence=settings.detection.confidence or 0.0,
            look_ahead_frames=0 if live else settings.tracking.look_ahead_frames,
        )
        self._confirmation: TrackConfirmation[FrameCandidates] = TrackConfirmation(rule, count(1))
        self._last_index, self._last_s = -1, 0.0

    @property
    def cuts(self) -> int:
        """How often the picture was another from one to the next."""
        return self._tracker.cuts

    @property
    def too_slow(self) -> bool:
        """Whether frames came too far apart for anything to be followed."""
        return self._pace.usual_interval_s > LONGEST_INTERVAL_S

    def add(self, detected: FrameCandidates) -> list[Settled[FrameCandidates]]:
        """Take the next frame; give those that are settled by it, in order, each with the candidates that are shown."""
        started = time.perf_counter()
        frame, tracker = detected.frame, self._tracker
        new_scene = self._live and self._last_index >= 0 and self._pace.is_pause(frame.time_s - self._last_s)
        if new_scene:
            self._tracker = tracker = self._new_tracker()
        cuts = tracker.cuts
        candidates = tracker.update(frame.image, detected.candidates, skipped=frame.index - self._last_index - 1)
        self._last_index, self._last_s = frame.index, frame.time_s
        track_ms = (time.perf_counter() - started) * 1000
        settled = self._confirmation.add(
            replace(detected, timing_ms={**detected.timing_ms, "track": track_ms}),
            candidates,
            ended=tracker.ended,
            new_scene=new_scene or tracker.cuts > cuts,
        )
        return [_with_shown(one) for one in settled]

    def end(self) -> list[Settled[FrameCandidates]]:
        """Give what still waits: no frame comes any more."""
        return [_with_shown(one) for one in self._confirmation.end()]

    def _new_tracker(self) -> NoduleTracker:
        return NoduleTracker(self._settings, self._candidates)


def _with_shown(settled: Settled[FrameCandidates]) -> Settled[FrameCandidates]:
    """The frame with those of its candidates that are shown, in the same order."""
    shown = tuple(one.candidate for one in settled.shown)
    return settled._replace(item=replace(settled.item, candidates=shown))


class _Pace:
    """How fast the frames of a live source are analysed: at its own rate, or at the machine's where that is less."""

    def __init__(self) -> None:
        self._recent_s: deque[float] = deque(maxlen=_INTERVALS)

    @property
    def usual_interval_s(self) -> float:
        """Median of the last intervals, in seconds; 0 before the second frame. Most pictures come so far apart."""
        return median(self._recent_s) if self._recent_s else 0.0

    def is_pause(self, interval_s: float) -> bool:
        """Whether the source fell silent, so that nothing is taken for what was seen before; notes the interval."""
        # The mean: pictures that wait in a buffer come at once, and halve the median for long.
        capped = [min(recent_s, LONGEST_INTERVAL_S) for recent_s in self._recent_s]
        mean_s = fmean(capped) if capped else interval_s
        self._recent_s.append(interval_s)
        limit_s = max(_SHORTEST_PAUSE_S, _INTERVALS_IN_PAUSE * mean_s)
        return interval_s > min(limit_s, LONGEST_INTERVAL_S)
