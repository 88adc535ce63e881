"""Numbers of nodules: from the first frame, through gaps, ended by time and by cuts, unique in a study."""

from __future__ import annotations

from itertools import count

import numpy as np
import pytest

from streamer.pipeline.tracking import NoduleTracker
from streamer.settings import TrackingSettings
from streamer.types import Finding, Image
from tests.fakes import finding, grey_image

HERE = (10.0, 10.0, 30.0, 26.0)
THERE = (40.0, 20.0, 60.0, 44.0)


def follow(tracker: NoduleTracker, frames: list[list[Finding]], image: Image | None = None) -> list[list[int]]:
    """Track numbers by frame."""
    picture = grey_image() if image is None else image
    return [[nodule.track_id for nodule in tracker.update(picture, found)] for found in frames]


def tracker(**settings: float) -> NoduleTracker:
    return NoduleTracker(TrackingSettings.model_validate(settings), count(1))


def test_a_nodule_has_its_number_from_the_first_frame() -> None:
    assert follow(tracker(), [[finding(HERE)]] * 4) == [[1]] * 4


@pytest.mark.parametrize("seen_before", [1, 2, 6])
@pytest.mark.parametrize("most", [0, 1, 2, 5])
def test_gaps_up_to_the_patience_are_survived(most: int, seen_before: int) -> None:
    """Also by a nodule seen in a single frame so far."""
    before: list[list[Finding]] = [[finding(HERE)]] * seen_before
    gap: list[list[Finding]] = [[]] * most
    numbers = follow(tracker(max_missed_frames=most), [*before, *gap, [finding(HERE)]])
    assert numbers == [[1]] * seen_before + [[]] * most + [[1]]


@pytest.mark.parametrize("seen_before", [1, 6])
@pytest.mark.parametrize("most", [0, 1, 5])
def test_longer_gaps_end_the_track(most: int, seen_before: int) -> None:
    frames: list[list[Finding]] = [*[[finding(HERE)]] * seen_before, *[[]] * (most + 2), [finding(HERE)]]
    assert follow(tracker(max_missed_frames=most), frames)[-1] == [2]


def test_two_nodules_keep_their_numbers_in_any_order() -> None:
    one, two = finding(HERE, confidence=0.7), finding(THERE, confidence=0.9)
    tracked = tracker()
    seen = [tracked.update(grey_image(), found) for found in ([one, two], [two, one], [one, two])]
    assert [[(nodule.track_id, nodule.candidate.confidence) for nodule in nodules] for nodules in seen] == [
        [(1, 0.7), (2, 0.9)]
    ] * 3


def test_a_second_nodule_comes_while_the_first_is_away() -> None:
    frames = [[finding(HERE)], [], [finding(THERE)], [finding(THERE), finding(HERE)], [finding(HERE)]]
    assert follow(tracker(), frames) == [[1], [], [2], [1, 2], [1]]


def test_a_moving_nodule_is_one_nodule() -> None:
    boxes = [(10.0 + 2 * step, 10.0, 30.0 + 2 * step, 26.0) for step in range(12)]
    assert follow(tracker(), [[finding(box)] for box in boxes]) == [[1]] * 12


@pytest.mark.parametrize("score", [0.01, 0.3, 0.7, 1.0])
def test_every_finding_belongs_to_a_track_whatever_its_score(score: float) -> None:
    assert follow(tracker(), [[finding(HERE, confidence=score), finding(THERE, confidence=0.9)]] * 3) == [[1, 2]] * 3


def test_a_scene_cut_starts_new_numbers() -> None:
    tracked = tracker()
    assert follow(tracked, [[finding(HERE)]] * 3) == [[1]] * 3
    assert follow(tracked, [[finding(HERE)]] * 3, image=grey_image(90)) == [[2]] * 3


def test_cuts_are_counted() -> None:
    tracked = tracker()
    cuts = []
    for level in (60, 60, 120, 120, 60, 120):
        tracked.update(grey_image(level), [])
        cuts.append(tracked.cuts)
    assert cuts == [0, 0, 1, 1, 2, 3]


def test_before_the_first_frame_nothing_has_happened() -> None:
    assert (tracker().cuts, tracker().ended) == (0, ())


def test_without_dropped_frames_the_limit_is_the_setting_itself() -> None:
    """A difference of 9 is a cut at a limit of 8; over one dropped frame the limit would be 11.3."""
    tracked = tracker(scene_cut=8)
    tracked.update(grey_image(60), [])
    tracked.update(grey_image(69), [])
    assert tracked.cuts == 1
    tracked.update(grey_image(60), [], skipped=1)
    assert tracked.cuts == 1


def test_a_change_of_gain_is_no_cut() -> None:
    tracked = tracker(scene_cut=8)
    assert follow(tracked, [[finding(HERE)]]) + follow(tracked, [[finding(HERE)]], grey_image(66)) == [[1], [1]]


def test_what_changes_over_dropped_frames_is_no_cut() -> None:
    for skipped, last in ((0, 2), (3, 1)):
        tracked = tracker(scene_cut=8)
        tracked.update(grey_image(60), [finding(HERE)])
        (nodule,) = tracked.update(grey_image(72), [finding(HERE)], skipped=skipped)
        assert nodule.track_id == last


def test_over_dropped_frames_the_limit_grows_with_the_root_of_the_distance() -> None:
    """Over three dropped frames a limit of 8 is 16, not 64."""
    tracked = tracker(scene_cut=8)
    tracked.update(grey_image(60), [])
    tracked.update(grey_image(77), [], skipped=3)
    assert tracked.cuts == 1


def test_speckle_is_no_cut_and_neither_is_a_colour_that_luma_hardly_has() -> None:
    speckle = np.random.default_rng(0)
    tracked = tracker(scene_cut=5)
    for _ in range(3):
        grey = speckle.integers(50, 90, (512, 512, 1), np.uint8)
        tracked.update(np.repeat(grey, 3, axis=2), [])
    assert tracked.cuts == 0
    blue = np.repeat(speckle.integers(50, 90, (512, 512, 1), np.uint8), 3, axis=2)
    blue[..., 2] = 200
    tracked.update(blue, [])
    assert tracked.cuts == 0


def test_a_difference_at_the_limit_is_no_cut() -> None:
    tracked = tracker(scene_cut=8)
    tracked.update(grey_image(60), [])
    tracked.update(grey_image(68), [])
    assert tracked.cuts == 0


def test_a_box_that_overlaps_too_little_is_another_nodule() -> None:
    moved = (HERE[0] + 8, HERE[1], HERE[2] + 8, HERE[3])  # an IoU of 12 / 28
    frames = [[finding(HERE)]] * 3 + [[finding(moved)]]
    assert follow(tracker(min_iou=0.4), frames)[-1] == [1]
    assert follow(tracker(min_iou=0.5), frames)[-1] == [2]


def test_a_change_of_frame_size_does_no_harm() -> None:
    tracked = tracker()
    assert follow(tracked, [[finding(HERE)]]) == [[1]]
    assert follow(tracked, [[finding(HERE)]], grey_image(width=301, height=77)) == [[1]]


def test_numbers_are_unique_over_clips() -> None:
    numbers = count(1)
    settings = TrackingSettings()
    first, second = NoduleTracker(settings, numbers), NoduleTracker(settings, numbers)
    assert follow(first, [[finding(HERE), finding(THERE)]] * 2) == [[1, 2]] * 2
    assert follow(second, [[finding(HERE)]] * 2) == [[3]] * 2
    assert follow(first, [[finding(HERE), finding(THERE)]]) == [[1, 2]]


def test_what_was_measured_is_kept() -> None:
    found = finding(HERE, confidence=0.8, malignancy=0.6)
    (nodule,) = tracker().update(grey_image(), [found])
    assert nodule.candidate is found
    assert (nodule.track_id, nodule.track_confidence) == (1, 0.8)


def test_the_track_confidence_is_the_mean_over_the_track_so_far() -> None:
    frames = [
        [finding(HERE, confidence=0.9)],
        [finding(HERE, confidence=0.5), finding(THERE, confidence=0.6)],
        [],
        [finding(HERE, confidence=0.4)],
    ]
    tracked = tracker()
    scores = [
        {nodule.track_id: nodule.track_confidence for nodule in tracked.update(grey_image(), found)} for found in frames
    ]
    assert scores == [{1: 0.9}, {1: pytest.approx(0.7), 2: 0.6}, {}, {1: pytest.approx(0.6)}]


def test_a_track_ends_once_and_is_not_seen_again() -> None:
    tracked = tracker(max_missed_frames=2)
    ended = []
    for found in ([finding(HERE)], [], [finding(HERE)], [], [], [], [finding(HERE)], [finding(HERE)]):
        tracked.update(grey_image(), found)
        ended.append(tracked.ended)
    assert ended == [(), (), (), (), (), (1,), (), ()]


def test_a_scene_cut_ends_all_tracks() -> None:
    tracked = tracker()
    tracked.update(grey_image(), [finding(HERE), finding(THERE)])
    tracked.update(grey_image(90), [finding(HERE)])
    assert tracked.ended == (1, 2)


def test_after_a_scene_cut_the_confidence_starts_anew() -> None:
    tracked = tracker()
    tracked.update(grey_image(), [finding(HERE, confidence=0.9)])
    (nodule,) = tracked.update(grey_image(90), [finding(HERE, confidence=0.5)])
    assert nodule.track_confidence == 0.5
