"""Boxes of two implementations, alike or not."""

from __future__ import annotations

from streamer.benchmark.agreement import agreement
from streamer.geometry import Box

BOX: Box = (100, 100, 200, 200)
NEAR: Box = (101, 100, 201, 202)
OFF: Box = (110, 100, 210, 200)  # IoU 0.82
OTHER: Box = (300, 300, 380, 390)


def test_near_boxes_in_any_order_and_empty_frames_agree() -> None:
    found = agreement([(BOX, OTHER), (), (BOX,)], [(OTHER, NEAR), (), (BOX,)])
    assert (found.frames, found.share, found.same_boxes) == (3, 1.0, True)


def test_a_shifted_a_missing_and_an_additional_box_disagree() -> None:
    found = agreement([(BOX,), (BOX,), (), (BOX,)], [(OFF,), (), (BOX,), (BOX,)])
    assert (found.frames, found.share, found.same_boxes) == (4, 0.25, False)


def test_equal_boxes_are_partners_one_by_one() -> None:
    assert agreement([(BOX, BOX)], [(NEAR, BOX)]).share == 1


def test_two_boxes_may_not_share_a_partner() -> None:
    assert agreement([(BOX, OTHER)], [(BOX, NEAR)]).share == 0


def test_a_few_frames_may_differ() -> None:
    ours = [(BOX,)] * 20
    assert agreement(ours, [(BOX,)] * 18 + [()] * 2).same_boxes
    assert not agreement(ours, [(BOX,)] * 17 + [()] * 3).same_boxes


def test_only_frames_of_both_are_compared() -> None:
    assert agreement([(BOX,)] * 9, [(BOX,), ()]).frames == 2
    nothing = agreement([(BOX,)], [])
    assert (nothing.frames, nothing.share, nothing.same_boxes) == (0, None, False)
