"""Boxes for stills that have none."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from streamer.data.pixels import Picture
from streamer.data.pseudo_boxes import confirmed_boxes, load_proposer, propose_boxes, truth_known
from streamer.models.detector import Detection, Detector
from tests.evaluation.pictures import DARK, bright_detector, picture


def without_boxes(level: int) -> list[tuple[float, float, float, float]]:
    shown = picture(level=level)
    unboxed = replace(shown, sample=replace(shown.sample, boxes_xyxy=()), boxes_xyxy=())
    return list(propose_boxes([unboxed], bright_detector())[0].boxes_xyxy)


def test_a_still_without_a_box_gets_the_detection() -> None:
    assert without_boxes(level=220) == [(20, 10, 52, 42)]


def test_where_nothing_is_detected_there_is_no_box() -> None:
    assert without_boxes(level=DARK) == []


def test_a_true_box_and_a_nodule_free_picture_stay_as_they_are() -> None:
    boxed, free = picture(((0, 0, 30, 30),)), replace(picture(), boxes_xyxy=())
    free = replace(free, sample=replace(free.sample, has_nodule=False))
    assert propose_boxes([boxed, free], bright_detector()) == [boxed, free]


def test_the_proposer_comes_from_a_weights_folder(weights_folder: Path) -> None:
    assert len(load_proposer(weights_folder)([picture().grey])) == 1


def unboxed(level: int = 220) -> Picture:
    """A still that is not known to be free of nodules, its bright box at (20, 10, 52, 42)."""
    shown = picture(level=level)
    return replace(shown, sample=replace(shown.sample, boxes_xyxy=(), has_nodule=True), boxes_xyxy=())


def one_sided(greys: Sequence[npt.NDArray[np.uint8]]) -> list[list[Detection]]:
    """Sees only what is left of column 53: of the mirror image, half the nodule (IoU 9 / 32)."""
    return bright_detector()([np.where(np.arange(grey.shape[1]) < 53, grey, 0).astype(np.uint8) for grey in greys])


def test_what_both_views_show_is_a_box() -> None:
    (found,) = confirmed_boxes([unboxed()], bright_detector(score=0.5), least=0.5)
    assert len(found.boxes_xyxy) == 1
    assert found.boxes_xyxy[0] == pytest.approx((20, 10, 52, 42))


@pytest.mark.parametrize(
    ("detector", "least", "level"),
    [
        (bright_detector(score=0.5), 0.51, 220),  # too unsure
        (bright_detector(), 0.1, DARK),  # nothing found
        (one_sided, 0.1, 220),  # the two views disagree
    ],
)
def test_a_still_that_is_not_confirmed_stays_out(detector: Detector, least: float, level: int) -> None:
    assert confirmed_boxes([unboxed(level)], detector, least) == []


def test_known_truth_is_not_touched() -> None:
    boxed, free = picture(((0, 0, 30, 30),)), replace(picture(), boxes_xyxy=())
    free = replace(free, sample=replace(free.sample, has_nodule=False))
    assert confirmed_boxes([boxed, free], bright_detector(), least=1.0) == [boxed, free]
    assert [truth_known(item) for item in (boxed, free, unboxed())] == [True, True, False]
