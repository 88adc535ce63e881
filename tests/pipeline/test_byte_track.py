"""The tracker follows boxes as the library's ByteTrack does, bit by bit, and assigns as scipy does."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import numpy as np
import numpy.typing as npt
import pytest
import supervision as sv
from scipy.optimize import linear_sum_assignment
from trackers import ByteTrackTracker

from streamer.pipeline._assignment import assigned
from streamer.pipeline.byte_track import BoxTracker, iou_matrix

Boxes = npt.NDArray[np.float32]


def scenes(seed: int, frames: int = 60) -> Iterator[Boxes]:
    """Up to four nodules that drift, vanish, come back, and change places in the list."""
    rng = np.random.default_rng(seed)
    centres, sizes = rng.uniform(50, 250, (4, 2)), rng.uniform(20, 90, (4, 2))
    for _ in range(frames):
        centres += rng.normal(0, 6, centres.shape)
        seen = rng.permutation(4)[: rng.integers(0, 5)]
        yield np.hstack([centres[seen] - sizes[seen] / 2, centres[seen] + sizes[seen] / 2]).astype(np.float32)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(("max_missed", "min_iou"), [(0, 0.2), (1, 0.0), (5, 0.2)])
def test_tracks_are_those_of_the_library_bit_by_bit(seed: int, max_missed: int, min_iou: float) -> None:
    library = ByteTrackTracker(
        lost_track_buffer=max_missed,
        track_activation_threshold=0.0,
        high_conf_det_threshold=0.0,
        minimum_consecutive_frames=1,
        minimum_iou_threshold=min_iou,
    )
    ours = BoxTracker(max_missed_frames=max_missed, min_iou=min_iou)
    numbers = count()
    for boxes in scenes(seed):
        library.update(sv.Detections(xyxy=boxes, confidence=np.ones(len(boxes), np.float32)))
        for known in library.tracks:
            if known.tracker_id == -1:  # as the analysis numbers them: or it is forgotten after one missed frame
                known.tracker_id = next(numbers)
        ours.update(boxes)
        assert len(ours.tracks) == len(library.tracks)
        for track, other in zip(ours.tracks, library.tracks, strict=True):
            np.testing.assert_array_equal(track.box_xyxy, other.get_state_bbox())
            assert track.missed == other.time_since_update


def test_each_box_gets_its_track_in_order() -> None:
    tracker = BoxTracker(max_missed_frames=1, min_iou=0.2)
    here, there = (10.0, 10.0, 30.0, 26.0), (60.0, 20.0, 90.0, 44.0)
    first = tracker.update(np.array([here, there]))
    assert tracker.update(np.array([there, here])) == first[::-1]
    assert tracker.update(np.zeros((0, 4))) == []
    assert tracker.tracks == first


@pytest.mark.parametrize("shape", [(1, 1), (1, 4), (4, 1), (2, 2), (3, 5), (6, 4), (8, 8)])
def test_the_assignment_is_that_of_scipy(shape: tuple[int, int]) -> None:
    for seed in range(200):
        rng = np.random.default_rng(seed)
        tied = rng.choice([0, 0.25, 0.5, 0.75], shape)
        overlaps = (tied if seed % 2 else rng.uniform(0, 1, shape)).astype(np.float32)
        rows, columns = linear_sum_assignment(overlaps, maximize=True)
        assert list(assigned(overlaps)) == list(zip(rows, columns, strict=True))


def test_overlaps_are_those_of_supervision() -> None:
    first, *others = (boxes for seed in range(4) for boxes in scenes(seed, 20) if len(boxes))
    for boxes in others:
        overlaps = iou_matrix(first.astype(np.float64), boxes.astype(np.float64))
        np.testing.assert_array_equal(overlaps, sv.box_iou_batch(first, boxes))
    point = np.zeros((1, 4))
    assert iou_matrix(point, point)[0, 0] == 0


def test_overlaps_of_tiny_and_empty_boxes() -> None:
    tiny, empty = np.array([[0.0, 0.0, 0.5, 0.5]]), np.array([[3.0, 3.0, 3.0, 3.0]])
    assert iou_matrix(np.concatenate([tiny, empty]), np.concatenate([tiny, empty])).tolist() == [[1.0, 0.0], [0.0, 0.0]]


def test_a_track_has_no_number_before_it_gets_one() -> None:
    (track,) = BoxTracker(max_missed_frames=1, min_iou=0.3).update(np.array([[0.0, 0.0, 4.0, 4.0]]))
    assert track.number is None
