"""Which candidates are shown: by the strength of their track, within a bounded look ahead, in order."""

from __future__ import annotations

from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.confirmation import CONFIRMING_FRAMES, ConfirmationRule, TrackConfirmation
from streamer.types import Nodule
from tests.fakes import finding

WEAK, STRONG = 0.2, 0.8


def nodule(track: int, score: float = 0.5) -> Nodule:
    plain = finding((10.0, 10.0, 30.0, 30.0), confidence=score)
    return Nodule(track_id=track, track_confidence=score, qualifies=True, finding=plain)


def run(
    frames: list[dict[int, float]], *, look_ahead: int = 10, cuts: tuple[int, ...] = (), threshold: float = 0.46
) -> tuple[list[list[int]], list[int]]:
    """Numbers shown in each frame, and how many results had come after each frame was added."""
    rule = ConfirmationRule(track_confidence=threshold, image_confidence=0.36, look_ahead_frames=look_ahead)
    confirmation: TrackConfirmation[int] = TrackConfirmation(rule, count(1), patience_frames=5)
    shown: list[tuple[int, list[int]]] = []
    arrived = []
    for index, scores in enumerate(frames):
        settled = confirmation.add(
            index, [nodule(track) for track in scores], list(scores.values()), new_scene=index in cuts
        )
        shown += [(item, [one.track_id for one in nodules]) for item, nodules in settled]
        arrived.append(len(shown))
    shown += [(item, [one.track_id for one in nodules]) for item, nodules in confirmation.end()]
    assert [item for item, _ in shown] == list(range(len(frames)))
    return [numbers for _, numbers in shown], arrived


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
    assert shown == [[]] * (CONFIRMING_FRAMES - 1) + [[1]] * 4
    assert arrived == list(range(1, 9))  # nothing waits


def test_weak_and_brief_tracks_are_never_shown_and_take_no_number() -> None:
    frames: list[dict[int, float]] = [{1: 0.3, 5: STRONG} if index != 6 else {1: 0.9, 2: 0.95} for index in range(20)]
    frames[:4] = [{9: 0.9} | scores for scores in frames[:4]]
    shown, _ = run(frames)
    assert {number for numbers in shown for number in numbers} == {1}
    assert shown[6] == []


@pytest.mark.parametrize(("score", "expected"), [(0.37, [[1]]), (0.35, [[]])])
def test_a_still_goes_by_the_confidence_of_images(score: float, expected: list[list[int]]) -> None:
    assert run([{3: score}])[0] == expected


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


def test_memory_does_not_grow_with_the_clip() -> None:
    rule = ConfirmationRule(track_confidence=0.4, image_confidence=0.3, look_ahead_frames=10)
    confirmation: TrackConfirmation[int] = TrackConfirmation(rule, count(1), patience_frames=5)
    for index in range(500):
        confirmation.add(index, [nodule(index)], [0.9], new_scene=False)
    assert len(confirmation._tracks) <= 17
