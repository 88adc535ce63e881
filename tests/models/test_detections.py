"""Reading a YOLO head: threshold, order, suppression."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest

from streamer.models.detections import read_detections

Row = tuple[float, float, float, float, float]


def raw(*rows: Row) -> npt.NDArray[np.float32]:
    """Head output of centre, size and score rows."""
    return np.array(rows, np.float32).reshape(-1, 5).T


def read(
    output: npt.NDArray[np.float32], *, confidence: float = 0.3, nms_iou: float = 0.5, most: int = 10
) -> list[Row]:
    boxes, scores = read_detections(output, confidence=confidence, nms_iou=nms_iou, most=most)
    assert boxes.dtype == scores.dtype == np.float32
    assert boxes.shape == (len(scores), 4)
    rows = np.hstack([boxes, scores[:, None]]).round(6).tolist()
    return [(x0, y0, x1, y1, round(score, 6)) for x0, y0, x1, y1, score in rows]


def test_nothing_passes() -> None:
    assert read(raw((50, 50, 20, 10, 0.29))) == []
    assert read(raw()) == []
    assert read(raw((50, 50, 20, 10, np.nan))) == []


def test_centre_and_size_become_corners() -> None:
    assert read(raw((50, 40, 20, 10, 0.5))) == [(40, 35, 60, 45, 0.5)]


def test_best_first_and_no_more_than_asked() -> None:
    output = raw((50, 50, 20, 10, 0.4), (150, 50, 20, 10, 0.9), (250, 50, 20, 10, 0.6))
    assert [row[4] for row in read(output)] == pytest.approx([0.9, 0.6, 0.4])
    assert [row[0] for row in read(output, most=2)] == [140, 240]


@pytest.mark.parametrize(("shift", "kept"), [(0.0, 1), (6.0, 1), (7.0, 2), (30.0, 2)])
def test_overlapping_boxes_lose_to_the_better(shift: float, kept: int) -> None:
    """20 px wide and moved by 6 px: IoU 14/26 = 0.54; by 7 px: 13/27 = 0.48."""
    found = read(raw((50, 50, 20, 10, 0.5), (50 + shift, 50, 20, 10, 0.8)))
    assert len(found) == kept
    assert found[0][0] == 40 + shift


def test_boxes_side_by_side_at_negative_places_stay() -> None:
    assert len(read(raw((-5, -5, 20, 10, 0.5), (15, -5, 20, 10, 0.8)))) == 2


def test_a_score_above_one_is_cut() -> None:
    assert read(raw((50, 50, 20, 10, 1.001)))[0][4] == 1.0
