"""Boxes for stills that have none."""

from dataclasses import replace
from pathlib import Path

from streamer.data.proposals import load_proposer, propose_boxes
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
