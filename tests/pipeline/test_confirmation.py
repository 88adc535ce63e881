"""Which candidates are shown: by the strength of their track, within a bounded look ahead, in order."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.pipeline.confirmation import ConfirmationRule, Settled, TrackConfirmation
from streamer.types import Candidate, TrackedCandidate

WEAK, STRONG, FRAMES = 0.2, 0.8, 5


def candidate(track_id: int, confidence: float) -> TrackedCandidate:
    one = Candidate(box_xyxy=(8.0, 8.0, 24.0, 24.0), confidence=confidence)
    return TrackedCandidate(track_id=track_id, track_confidence=confidence, candidate=one)


def run(
    frames: list[dict[int, float]], *, look_ahead: int = 10, cuts: tuple[int, ...] = (), threshold: float = 0.46
) -> tuple[list[list[int]], list[int]]:
    """Numbers shown in each frame, and how many results had come after each frame was added."""
    rule = ConfirmationRule(
        frames=FRAMES, track_confidence=threshold, image_confidence=0.36, look_ahead_frames=look_ahead
    )
    confirmation: TrackConfirmation[int] = TrackConfirmation(rule, count(1))
    shown: list[Settled[int]] = []
    arrived = []
    for index, scores in enumerate(frames):
        candidates = [candidate(track, confidence) for track, confidence in scores.items()]
        shown += confirmation.add(index, candidates, ended=(), new_scene=index in cuts)
        arrived.append(len(shown))
    shown += confirmation.end()
    assert [one.item for one in shown] == list(range(len(frames)))
    return [[track.track_id for track in one.shown] for one in shown], arrived


def test_a_track_is_shown_whole_once_it_is_strong() -> None:
    frames = [{7: WEAK}] * 3 + [{7: STRONG}] * 6 + [{7: WEAK}] * 4
    shown, _ = run(frames)
    assert shown == [[1]] * len(frames)


def test_what_lies_further_back_than_the_look_ahead_is_gone() -> None:
    frames = [{7: WEAK}] * 20 + [{7: STRONG}] * 5
    shown, _ = run(frames, look_ahead=10)
    first = shown.index([1])
    # Three strong and two weak frames are 0.56 on average: the track is confirmed in frame 22.
    assert (first, shown[first:]) == (12, [[1]] * 13)


def test_without_looking_ahead_a_track_is_shown_from_its_confirmation_on() -> None:
    shown, arrived = run([{7: STRONG}] * 6 + [{7: WEAK}] * 2, look_ahead=0)
    assert shown == [[]] * (FRAMES - 1) + [[1]] * 4
    assert arrived == list(range(1, 9))  # nothing waits


def test_weak_and_brief_tracks_are_never_shown_and_take_no_number() -> None:
    frames: list[dict[int, float]] = [{1: 0.3, 5: STRONG} if index != 6 else {1: 0.9, 2: 0.95} for index in range(20)]
    frames[:4] = [{9: 0.9} | scores for scores in frames[:4]]
    shown, _ = run(frames)
    assert {number for numbers in shown for number in numbers} == {1}
    assert shown[6] == []


@pytest.mark.parametrize(("score", "expected"), [(0.37, [[1]]), (0.36, [[1]]), (0.35, [[]])])
def test_a_still_goes_by_the_confidence_of_images(score: float, expected: list[list[int]]) -> None:
    assert run([{3: score}])[0] == expected


def test_a_mean_at_the_threshold_confirms() -> None:
    assert run([{1: 0.5}] * FRAMES, threshold=0.5)[0] == [[1]] * FRAMES


def test_a_scene_as_long_as_a_confirmation_goes_by_the_confidence_of_tracks() -> None:
    assert run([{1: 0.4}] * FRAMES)[0] == [[]] * FRAMES
    assert run([{1: 0.4}] * (FRAMES - 1))[0] == [[1]] * (FRAMES - 1)


def test_the_end_of_a_track_that_was_never_seen_is_no_error() -> None:
    rule = ConfirmationRule(frames=FRAMES, track_confidence=0.46, image_confidence=0.36, look_ahead_frames=0)
    assert TrackConfirmation[int](rule, count(1)).add(0, [], ended=(9,), new_scene=False) == [Settled(0, (), {}, ())]


def test_what_waits_is_counted_ahead() -> None:
    rule = ConfirmationRule(frames=FRAMES, track_confidence=0.46, image_confidence=0.36, look_ahead_frames=5)
    confirmation: TrackConfirmation[int] = TrackConfirmation(rule, count(1))
    settled: list[Settled[int]] = []
    for index in range(10):
        candidates = [candidate(8, STRONG)] if index >= 6 else []  # too brief to be shown
        candidates += [candidate(7, STRONG)] if index not in (0, 2) else []
        settled += confirmation.add(index, candidates, ended=(), new_scene=False)
    settled += confirmation.end()
    counted = [dict(one.ahead) for one in settled]
    assert counted == [{}, {1: 4}, {}, *({1: frames} for frames in (5, 5, 4, 3, 2, 1, 0))]


def test_in_a_folder_of_stills_each_picture_stands_alone() -> None:
    frames = [{1: 0.5}, {2: 0.2}, {3: 0.4}]
    assert run(frames, cuts=(1, 2))[0] == [[1], [], [2]]


def test_a_short_clip_must_show_the_nodule_in_every_frame() -> None:
    assert run([{1: 0.9}, {}, {1: 0.9}])[0] == [[], [], []]
    assert run([{1: 0.3}, {1: 0.4}, {1: 0.5}])[0] == [[1], [1], [1]]


def test_a_cut_ends_what_was_seen_before_it() -> None:
    frames = [{1: STRONG}] * 3 + [{2: WEAK}] * 6
    assert run(frames, cuts=(3,))[0] == [[1]] * 3 + [[]] * 6


@given(
    st.lists(st.dictionaries(st.integers(1, 4), st.floats(0.05, 0.95), max_size=3), min_size=1, max_size=60),
    st.integers(0, 12),
)
def test_results_come_in_order_and_wait_for_no_more_than_the_look_ahead(
    frames: list[dict[int, float]], look_ahead: int
) -> None:
    _, arrived = run(frames, look_ahead=look_ahead)
    assert all(index + 1 - came <= look_ahead for index, came in enumerate(arrived))


def test_a_track_that_ends_is_told_under_the_number_it_was_shown_by_and_forgotten() -> None:
    rule = ConfirmationRule(frames=FRAMES, track_confidence=0.4, image_confidence=0.3, look_ahead_frames=10)
    confirmation: TrackConfirmation[int] = TrackConfirmation(rule, count(1))
    ended: list[tuple[int, tuple[int, ...]]] = []
    for index in range(500):
        life, age = divmod(index, 10)  # one track after another, every second of them weak
        weak = life % 2 == 1
        over = (100 + life - 1,) if age == 0 and life else ()
        found = [candidate(100 + life, WEAK if weak else STRONG)]
        ended += [(one.item, one.ended) for one in confirmation.add(index, found, ended=over, new_scene=False)]
    told = [(item, numbers) for item, numbers in ended if numbers]
    assert told[:3] == [(10, (1,)), (30, (2,)), (50, (3,))]
    assert len(confirmation._tracks) <= 4


def test_a_cut_ends_tracks_with_the_first_frame_behind_it() -> None:
    rule = ConfirmationRule(frames=FRAMES, track_confidence=0.4, image_confidence=0.3, look_ahead_frames=10)
    confirmation: TrackConfirmation[int] = TrackConfirmation(rule, count(1))
    for index in range(6):
        confirmation.add(index, [candidate(7, STRONG)], ended=(), new_scene=False)
    before = confirmation.add(6, [], ended=(7,), new_scene=True)
    assert [[track.track_id for track in one.shown] for one in before] == [[1]] * 6
    assert [one.ended for one in (*before, *confirmation.end())] == [()] * 6 + [(1,)]
