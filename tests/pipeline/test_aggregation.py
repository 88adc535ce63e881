"""From nodules in frames to the patient: maximum, median, and what is too short to count."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.models.sweep_point import SweepOperatingPoint
from streamer.pipeline.aggregation import PatientAggregator, decimals_apart, decisive
from streamer.settings import Settings, StudySettings
from streamer.types import TrackedFinding
from tests.fakes import finding, frame


def tracked(track: int, malignancy: float, confidence: float = 0.8) -> TrackedFinding:
    return TrackedFinding(track_id=track, track_confidence=confidence, finding=finding(malignancy=malignancy))


def study(least: int = 5) -> PatientAggregator:
    return PatientAggregator(Settings(study=StudySettings(min_track_frames=least)))


def watch(
    seen: PatientAggregator,
    *tracks: tuple[int, Sequence[float | None]],
    video: str = "a.mp4",
    expected: int | None = 100,
    confidence: float = 0.8,
) -> list[float | None]:
    """Feed a clip, tracks given as number and malignancy by frame; return the running maximum."""
    seen.start_clip(video, expected)
    length = max(len(values) for _, values in tracks)
    running = []
    for index in range(length):
        found = [
            tracked(number, value, confidence) for number, values in tracks if (value := values[index]) is not None
        ]
        seen.add(frame(index, video=video), found)
        running.append(seen.running_maximum)
    seen.end_clip(video, length)
    return running


def test_maximum_median_and_key_frame() -> None:
    seen = study()
    watch(seen, (1, [None, 0.2, 0.9, None, 0.4, 0.9, 0.3]))
    (track,) = seen.tracks()
    assert (track.first_frame, track.last_frame, track.supporting_frames) == (1, 6, 5)
    assert (track.malignancy_max, track.malignancy_median) == (0.9, 0.4)
    assert (track.key_frame, track.key_time_s) == (2, 2 / 25)  # the first of two as high
    assert (track.key_nodule.malignancy, track.video, track.qualifies) == (0.9, "a.mp4", True)
    assert seen.patient_malignancy() == 0.9


@given(st.lists(st.integers(0, 10_000).map(lambda value: value / 10_000), min_size=1, max_size=40))
def test_median_is_that_of_all_values(values: list[float]) -> None:
    seen = study()
    watch(seen, (1, list(values)))
    (track,) = seen.tracks()
    assert track.malignancy_median == pytest.approx(statistics.median(values))
    assert track.malignancy_max == max(values)


@pytest.mark.parametrize(("rejected", "counts"), [(5, True), (6, False)])
def test_in_a_clip_of_mostly_rejected_frames_nothing_counts(rejected: int, counts: bool) -> None:
    seen = study()
    seen.start_clip("a.mp4", 10)
    for index in range(10):
        found = [tracked(1, 0.7)] if index < 5 else []
        seen.add(frame(index, video="a.mp4"), found, rejected="air" if index >= 10 - rejected else "")
    seen.end_clip("a.mp4", 10)
    assert (seen.rejections("a.mp4"), seen.is_rejected("a.mp4")) == ({"air": rejected}, not counts)
    assert seen.tracks()[0].qualifies == counts
    assert seen.patient_malignancy() == (0.7 if counts else None)


def test_a_short_track_does_not_count_but_is_listed() -> None:
    seen = study(least=5)
    running = watch(seen, (1, [0.3] * 10), (2, [0.99] * 4 + [None] * 6))
    assert seen.patient_malignancy() == 0.3
    assert [(track.track_id, track.qualifies) for track in seen.tracks()] == [(1, True), (2, False)]
    assert running == [None] * 4 + [0.3] * 6


def test_the_frame_that_makes_a_track_count_brings_its_maximum() -> None:
    assert watch(study(least=3), (1, [0.8, 0.1, 0.2, 0.9])) == [None, None, 0.8, 0.9]


def test_supporting_frames_need_not_be_neighbours() -> None:
    seen = study(least=3)
    watch(seen, (1, [0.5, None, 0.6, None, 0.7]))
    assert seen.patient_malignancy() == 0.7


@pytest.mark.parametrize("expected", [None, 1])
def test_a_still_needs_one_frame(expected: int | None) -> None:
    seen = study(least=5)
    watch(seen, (1, [0.6]), video="still.png", expected=expected)
    assert seen.patient_malignancy() == 0.6
    assert seen.tracks()[0].qualifies


def test_in_a_short_clip_every_frame_must_support() -> None:
    seen = study(least=5)
    watch(seen, (1, [0.6] * 3), (2, [0.9, 0.9, None]), expected=3)
    assert [track.qualifies for track in seen.tracks()] == [True, False]
    assert seen.patient_malignancy() == 0.6


@pytest.mark.parametrize(("announced", "length", "final"), [(2, 20, None), (100, 2, 0.6), (None, 2, 0.6)])
def test_a_wrong_announcement_is_mended_at_the_end(announced: int | None, length: int, final: float | None) -> None:
    """Containers guess; what counts in the end, and in the clips that follow, is the true length."""
    seen = study(least=5)
    watch(seen, (1, [0.6, 0.6] + [None] * (length - 2)), expected=announced)
    assert seen.patient_malignancy() == final
    assert watch(seen, (2, [0.1]), video="b.mp4") == [final]


@pytest.mark.parametrize(
    ("announced", "whole", "final"),
    [(None, False, None), (100, False, None), (2, False, 0.9), (None, True, 0.9), (100, True, 0.9)],
)
def test_what_breaks_off_or_is_live_is_not_short(announced: int | None, whole: bool, final: float | None) -> None:
    seen = study(least=5)
    seen.start_clip("a.mp4", announced)
    for index in range(2):
        seen.add(frame(index, video="a.mp4"), [tracked(1, 0.9)])
    seen.end_clip("a.mp4", 2, whole=whole)
    assert seen.patient_malignancy() == final


def test_a_clip_longer_than_announced_needs_more_support_at_once() -> None:
    """A run that is stopped never comes to the clip's end."""
    seen = study(least=5)
    seen.start_clip("a.mp4", 1)
    frames = [frame(index, video="a.mp4") for index in range(8)]
    running = []
    for one in frames:
        seen.add(one, [tracked(2, 0.6)] if one.index >= 3 else [tracked(1, 0.95)] if one.index == 0 else [])
        running.append(seen.running_maximum)
    assert running == [0.95, None, None] + [None] * 4 + [0.6]


def test_the_patient_is_the_maximum_over_clips() -> None:
    seen = study(least=2)
    watch(seen, (1, [0.4, 0.4]), video="a.mp4")
    running = watch(seen, (2, [0.2, 0.3, 0.7]), video="b.mp4")
    assert running == [0.4, 0.4, 0.7]
    assert [(track.track_id, track.video) for track in seen.tracks()] == [(1, "a.mp4"), (2, "b.mp4")]


def test_the_final_patient_is_the_maximum_over_all_that_qualify() -> None:
    """Also once every clip is closed, and whichever nodule came first."""
    for order in ([0.2, 0.9, 0.5], [0.9, 0.2, 0.5]):
        seen = study(least=2)
        clips: list[tuple[int, list[float | None]]] = [(number, [value] * 3) for number, value in enumerate(order)]
        watch(seen, *clips)
        assert seen.patient_malignancy() == seen.running_maximum == 0.9
        assert [track.malignancy_max for track in seen.tracks()] == order


@pytest.mark.parametrize(("cuts", "frames", "unrelated"), [(5, 10, False), (6, 10, True), (2, 3, True), (0, 1, False)])
def test_a_clip_whose_pictures_mostly_do_not_follow_one_another(cuts: int, frames: int, unrelated: bool) -> None:
    seen = study()
    seen.start_clip("a.mp4", frames)
    seen.start_clip("b.mp4", frames)
    seen.end_clip("a.mp4", frames, cuts=cuts)
    seen.end_clip("b.mp4", frames)
    assert seen.is_unrelated("a.mp4") is unrelated
    assert not seen.is_unrelated("b.mp4")


def test_a_nodule_is_as_it_was_found_and_its_key_nodule_says_whether_it_qualifies() -> None:
    seen = study(least=2)
    seen.start_clip("a.mp4", 100)
    one = tracked(7, 0.4)
    (nodule,) = seen.add(frame(0, video="a.mp4"), [one])
    assert (nodule.track_id, nodule.track_confidence, nodule.finding) == (7, 0.8, one.finding)
    assert not seen.tracks()[0].key_nodule.qualifies
    seen.add(frame(1, video="a.mp4"), [tracked(7, 0.3)])
    assert seen.tracks()[0].key_nodule.qualifies


def test_in_a_short_clip_nothing_qualifies_before_its_last_frame() -> None:
    assert watch(study(least=5), (1, [0.6] * 3), expected=3) == [None, None, 0.6]


def test_a_clip_longer_than_announced_needs_as_many_frames_as_it_has_so_far() -> None:
    """Announced as a still: a nodule seen in every frame qualifies all along, one that joins later does not yet."""
    seen = study(least=5)
    seen.start_clip("a.mp4", 1)
    running = []
    for index in range(3):
        found = [tracked(1, 0.6)] if index == 0 else [tracked(1, 0.6), tracked(2, 0.9)]
        seen.add(frame(index, video="a.mp4"), found)
        running.append(seen.running_maximum)
    assert running == [0.6, 0.6, 0.6]


def test_the_other_clips_maximum_stands_while_a_clip_turns_out_longer() -> None:
    seen = study(least=2)
    watch(seen, (1, [0.7] * 3), video="a.mp4")
    seen.start_clip("b.mp4", 1)
    for index in range(2):
        seen.add(frame(index, video="b.mp4"), [])
        assert seen.running_maximum == 0.7


def test_a_clip_must_be_announced() -> None:
    with pytest.raises(KeyError):
        study().add(frame(0, video="a.mp4"), [])


def test_without_a_nodule_there_is_no_probability() -> None:
    seen = study()
    seen.start_clip("a.mp4", 3)
    for index in range(3):
        assert seen.add(frame(index, video="a.mp4"), []) == ()
        assert seen.running_maximum is None
    seen.end_clip("a.mp4", 3)
    assert seen.tracks() == ()
    assert seen.patient_malignancy() is None
    assert seen.decision(SweepOperatingPoint(0.0)) == "no nodule"


def test_a_probability_of_zero_is_not_no_nodule() -> None:
    seen = study(least=1)
    assert watch(seen, (1, [0.0])) == [0.0]
    assert seen.decision(SweepOperatingPoint(0.5)) == "benign"


@pytest.mark.parametrize(
    ("malignancy", "decision"),
    [(0.5, "malignant"), (0.4999, "benign"), (1.0, "malignant"), (0.49996, "malignant"), (0.49994, "benign")],
)
def test_decision_at_the_threshold(malignancy: float, decision: str) -> None:
    seen = study()
    watch(seen, (1, [0.1, malignancy, 0.2, 0.1, 0.1, 0.1]))
    assert seen.decision(SweepOperatingPoint(0.5)) == decision


def test_over_more_frames_a_maximum_must_be_higher() -> None:
    """The same maximum: called in six frames, not in sixty; each track says what it was held against."""
    point = SweepOperatingPoint(0.5, deviation=0.5, correlation_frames=4)
    brief, long = study(), study()
    watch(brief, (1, [0.1] * 5 + [0.6]))
    watch(long, (1, [0.1] * 59 + [0.6]))
    assert (brief.decision(point), long.decision(point)) == ("malignant", "benign")
    for seen, frames in ((brief, 6), (long, 60)):
        (track,) = seen.tracks(point)
        assert (track.threshold, track.malignancy_max) == (point.over(frames), 0.6)


def test_another_nodule_than_that_of_the_maximum_may_decide() -> None:
    point = SweepOperatingPoint(0.5, deviation=0.5, correlation_frames=4)
    seen = study()
    watch(seen, (1, [0.1] * 59 + [0.6]), (2, [0.59] * 6 + [None] * 54))
    assert (seen.patient_malignancy(), seen.decision(point)) == (0.6, "malignant")
    deciding = decisive(seen.tracks(point))
    assert deciding is not None
    assert deciding.track_id == 2


def test_where_no_nodule_counts_none_speaks() -> None:
    assert decisive([]) is None


@pytest.mark.parametrize("maxima", [(0.6, 0.9), (0.9, 0.6)])
def test_of_several_nodules_the_greatest_maximum_speaks(maxima: tuple[float, float]) -> None:
    seen = study()
    watch(seen, *((number, [value] * 6) for number, value in enumerate(maxima, 1)))
    for threshold in (0.5, 0.95):  # of those called malignant, then of all
        deciding = decisive(seen.tracks(SweepOperatingPoint(threshold)))
        assert deciding is not None
        assert deciding.malignancy_max == 0.9


@pytest.mark.parametrize(
    ("frames", "clip", "decides"), [(7, 60, False), (7, 28, True), (8, 60, True), (9, 60, True), (5, 5, True)]
)
def test_what_was_seen_briefly_counts_and_does_not_decide(frames: int, clip: int, decides: bool) -> None:
    """A sum of confidences of 4, or a quarter of the clip: seven frames at 0.5 are less, eight are not."""
    seen = study()
    watch(seen, (1, [0.9] * frames + [None] * (clip - frames)), (2, [0.1] * clip), confidence=0.5)
    track = seen.tracks(SweepOperatingPoint(0.5))[0]
    assert (track.qualifies, track.decides) == (True, decides)
    assert seen.decision(SweepOperatingPoint(0.5)) == ("malignant" if decides else "undecided")
    assert seen.decision(SweepOperatingPoint(0.95)) == "benign"  # nobody reaches that
    assert seen.patient_malignancy() == 0.9  # the paper's maximum stays


@pytest.mark.parametrize(
    ("malignancy", "threshold", "decimals"),
    [(0.3, 0.3413, 2), (0.3368, 0.3413, 3), (0.34128, 0.3413, 2), (0.3412, 0.3413, 4), (0.34, 0.34, 2)],
)
def test_a_value_next_to_the_threshold_is_shown_on_its_side(malignancy: float, threshold: float, decimals: int) -> None:
    assert decimals_apart(malignancy, threshold, least=2) == decimals


def test_a_nodule_says_by_each_frame_whether_it_qualifies() -> None:
    seen = study(least=3)
    seen.start_clip("a.mp4", 100)
    told = [seen.add(frame(index, video="a.mp4"), [tracked(1, 0.5)])[0].qualifies for index in range(4)]
    assert told == [False, False, True, True]


def test_sizes_in_millimetres_where_the_spacing_is_known() -> None:
    """The fake outline spans 20 x 16 pixel centres' boxes: (10, 10) to (29, 25)."""
    seen = study()
    seen.start_clip("a.mp4", 100)
    (without,) = seen.add(frame(0, video="a.mp4"), [tracked(1, 0.5)])
    (known,) = seen.add(frame(1, video="a.mp4"), [tracked(1, 0.5)], (0.2, 0.1))
    assert without.size_mm is None
    assert known.size_mm is not None
    assert known.size_mm.area_mm2 == pytest.approx(320 * 0.02)
    assert known.size_mm.long_axis_mm == pytest.approx(math.hypot(19 * 0.2, 15 * 0.1) * (1 + 1 / math.hypot(19, 15)))
    assert seen.tracks()[0].largest_mm == known.size_mm
    seen.add(frame(2, video="a.mp4"), [tracked(1, 0.5)])  # a later frame without a scale takes nothing away
    assert seen.tracks()[0].largest_mm == known.size_mm


def test_of_a_clip_of_unknown_length_no_share_has_been_seen() -> None:
    seen = study()
    seen.start_clip("live", None)
    for index in range(7):
        seen.add(frame(index, video="live"), [tracked(1, 0.9, confidence=0.5)])
    assert [(track.qualifies, track.decides) for track in seen.tracks()] == [(True, False)]


def test_a_nodule_that_is_known_to_last_counts_at_once_and_stays_counted_when_the_run_is_broken_off() -> None:
    seen = study()
    seen.start_clip("a.mp4", 100)
    (nodule,) = seen.add(frame(0, video="a.mp4"), [tracked(1, 0.9)], ahead={1: 3, 2: 9})
    assert (nodule.qualifies, seen.running_maximum) == (False, None)
    (nodule,) = seen.add(frame(1, video="a.mp4"), [tracked(1, 0.4)], ahead={1: 3})
    assert (nodule.qualifies, seen.running_maximum) == (True, 0.9)
    (track,) = seen.tracks()
    assert (track.qualifies, track.supporting_frames, seen.patient_malignancy()) == (True, 2, 0.9)


def test_a_source_is_too_slow_only_where_its_clip_ended_as_such() -> None:
    seen = study()
    for name in ("slow", "quick"):
        seen.start_clip(name, None)
    seen.end_clip("slow", 3, whole=False, too_slow=True)
    seen.end_clip("quick", 3, whole=False)
    assert (seen.is_too_slow("slow"), seen.is_too_slow("quick")) == (True, False)
