"""A clip's follower: which candidates are shown, by the settings; what it keeps of a frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from streamer.pipeline.analyser import FrameCandidates
from streamer.pipeline.follower import ClipFollower
from streamer.settings import DetectionSettings, Settings, TrackingSettings
from streamer.types import Candidate
from tests.fakes import frame, grey_image

HERE, THERE = (8.0, 8.0, 24.0, 24.0), (40.0, 10.0, 56.0, 26.0)


def detected(index: int, *confidences: float, level: int = 60) -> FrameCandidates:
    """A frame with up to two candidates, in a picture that is so bright."""
    places = zip((HERE, THERE), confidences, strict=False)
    candidates = tuple(Candidate(box_xyxy=box, confidence=confidence) for box, confidence in places)
    return FrameCandidates(
        frame(index, image=grey_image(level)), candidates, {"detect": 1.0}, "air" if not candidates else ""
    )


def shown_with(
    confidences: Sequence[float], *, live: bool, track: float | None = 0.5, image: float | None = 0.3
) -> tuple[list[bool], int]:
    """Whether a candidate is shown in each frame, and how many results came before the end of the clip."""
    settings = Settings(
        tracking=TrackingSettings(confidence=track, look_ahead_frames=3), detection=DetectionSettings(confidence=image)
    )
    follower = ClipFollower(settings, live=live)
    settled = []
    for index, confidence in enumerate(confidences):
        settled += follower.add(detected(index, confidence))
    at_once = len(settled)
    settled += follower.end()
    assert [one.item.frame.index for one in settled] == list(range(len(confidences)))
    assert all(one.item.candidates == tuple(track.candidate for track in one.shown) for one in settled)
    assert {track.track_id for one in settled for track in one.shown} <= {1}  # the first that is shown is number 1
    return [bool(one.shown) for one in settled], at_once


def test_a_recording_looks_ahead_and_a_live_source_does_not() -> None:
    assert shown_with([0.6] * 6, live=False) == ([False] + [True] * 5, 3)
    assert shown_with([0.6] * 6, live=True) == ([False] * 4 + [True] * 2, 6)


def test_tracks_and_stills_are_confirmed_by_the_confidences_of_the_settings() -> None:
    assert shown_with([0.49] * 9, live=False)[0] == [False] * 9
    assert shown_with([0.29], live=False)[0] == [False]
    assert shown_with([0.31], live=False)[0] == [True]
    assert shown_with([0.01] * 9, live=True, track=None)[0] == [False] * 4 + [True] * 5  # no threshold of its own
    assert shown_with([0.01], live=False, image=None)[0] == [True]


def test_of_a_frame_only_what_is_shown_is_kept_and_the_time_that_tracking_took(monkeypatch: pytest.MonkeyPatch) -> None:
    follower = ClipFollower(Settings(tracking=TrackingSettings(confidence=0.5, look_ahead_frames=0)), live=False)
    settled = [one for index in range(8) for one in follower.add(detected(index, 0.2, 0.8))]
    assert [[one.box_xyxy for one in frame.item.candidates] for frame in settled] == [[]] * 4 + [[THERE]] * 4
    assert [[track.track_id for track in frame.shown] for frame in settled] == [[]] * 4 + [[1]] * 4
    assert set(settled[-1].item.timing_ms) == {"detect", "track"}
    clock = iter([7.0, 7.25])
    monkeypatch.setattr("streamer.pipeline.follower.time.perf_counter", lambda: next(clock))
    assert follower.add(detected(8, 0.2, 0.8))[0].item.timing_ms == {"detect": 1.0, "track": 250.0}
    monkeypatch.undo()
    (empty,) = follower.add(detected(9))
    assert empty.item.rejected == "air"


def test_a_cut_ends_the_tracks_and_is_counted() -> None:
    follower = ClipFollower(Settings(tracking=TrackingSettings(confidence=0.5)), live=False)
    settled = [one for index in range(6) for one in follower.add(detected(index, 0.8))]
    assert (settled, follower.cuts) == ([], 0)
    settled = [*follower.add(detected(6, 0.8, level=120))]
    assert ([one.item.frame.index for one in settled], follower.cuts) == ([*range(6)], 1)
    settled = [one for index in range(7, 12) for one in follower.add(detected(index, 0.8, level=120))] + follower.end()
    assert {track.track_id for one in settled for track in one.shown} == {2}


def test_over_a_pause_a_live_source_is_another_scene() -> None:
    def numbers(pause_s: float, *, live: bool) -> set[int]:
        follower = ClipFollower(Settings(tracking=TrackingSettings(confidence=0.5)), live=live)
        settled = []
        for index in range(20):
            one = detected(index, 0.8)
            late = replace(one.frame, time_s=index / 25 + (pause_s if index >= 10 else 0.0))
            settled += follower.add(replace(one, frame=late))
        return {track.track_id for one in [*settled, *follower.end()] for track in one.shown}

    assert numbers(0.0, live=True) == {1}
    assert numbers(3.0, live=True) == {1, 2}
    assert numbers(3.0, live=False) == {1}


@pytest.mark.parametrize(("skipped", "level", "last"), [(0, 72, 2), (3, 72, 1), (1, 70, 1), (0, 70, 2)])
def test_over_dropped_frames_the_picture_may_change_more(skipped: int, level: int, last: int) -> None:
    settings = Settings(tracking=TrackingSettings(confidence=0.5, scene_cut=8, look_ahead_frames=0))
    follower = ClipFollower(settings, live=False)
    settled = [one for index in range(6) for one in follower.add(detected(index, 0.8, level=60))]
    shown = [
        *settled,
        *(one for index in range(6, 12) for one in follower.add(detected(index + skipped, 0.8, level=level))),
    ]
    assert max(track.track_id for one in shown for track in one.shown) == last
