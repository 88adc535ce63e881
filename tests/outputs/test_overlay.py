"""The overlay shows what was found and hides nothing of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.outputs.overlay import PALETTE, OverlayRenderer, clock, percent, track_colour
from streamer.pipeline.aggregation import decimals_apart
from streamer.settings import OverlaySettings
from streamer.types import FrameResult
from tests.outputs.study_example import example_clip, frame_result, nodule

SCREEN = example_clip(width=320, height=240)


def changed(result: FrameResult, settings: OverlaySettings | None = None) -> np.ndarray:
    """Where drawing changed the picture, shape (height, width)."""
    before = result.frame.image.copy()
    drawn = OverlayRenderer(settings or OverlaySettings()).draw(result)
    assert drawn.shape == before.shape
    assert drawn.dtype == np.uint8
    np.testing.assert_array_equal(result.frame.image, before)
    return np.asarray((drawn != before).any(axis=-1))


def test_nodule_is_tinted_at_unchanged_luminance() -> None:
    found = nodule(left=150, top=120)
    result = frame_result(0, found, clip=SCREEN)
    drawn = OverlayRenderer(OverlaySettings(boxes=False, labels=False)).draw(result)
    inside = drawn[128, 162].astype(float)
    assert inside[2] > inside[0], "track 1 is blue"
    luma = inside @ (0.2126, 0.7152, 0.0722)
    assert luma == pytest.approx(float(result.frame.image[128, 162, 0]), abs=1)


def test_settings_turn_drawing_off() -> None:
    result = frame_result(0, nodule(left=150, top=120), clip=SCREEN)
    bare = OverlaySettings(boxes=False, contours=False, labels=False)
    assert not changed(result, bare)[90:160, 120:210].any()
    assert changed(result)[90:160, 120:210].any()


def test_until_it_qualifies_a_nodule_has_corners_only() -> None:
    found = nodule(left=150, top=120)
    early = changed(frame_result(0, replace(found, qualifies=False), clip=SCREEN))[90:160, 120:210]
    corners = changed(frame_result(0, found, clip=SCREEN), OverlaySettings(contours=False, labels=False))
    assert early.any()
    np.testing.assert_array_equal(early, corners[90:160, 120:210])


def test_a_rejected_frame_says_so_across_the_middle() -> None:
    plain, rejected = frame_result(0, clip=SCREEN), replace(frame_result(0, clip=SCREEN), rejected="not a view")
    assert not changed(plain)[105:135, 80:240].any()
    banner = changed(rejected)
    assert banner[110:130, 140:180].any()
    assert not banner[:, :5][100:140].any()  # it fits the frame
    long = replace(plain, rejected="not a B-mode view of the neck, and a few words more than fit")
    assert changed(long)[105:135, 80:240].any()


@pytest.mark.parametrize(("left", "top"), [(280, 4), (4, 215), (290, 218), (4, 4), (150, 110)])
def test_text_keeps_off_the_nodule(left: int, top: int) -> None:
    """Wherever the nodule is, corners and labels, panel, time and notice stay outside its box."""
    result = frame_result(0, nodule(left=left, top=top), clip=SCREEN, patient_malignancy=0.5)
    without_contour = changed(result, OverlaySettings(contours=False))
    assert not without_contour[top : top + 16, left : left + 24].any()
    assert without_contour.sum() > 500


def test_patient_maximum_stands_in_the_upper_right_corner() -> None:
    one = OverlayRenderer(OverlaySettings()).draw(frame_result(0, clip=SCREEN, patient_malignancy=0.2))
    other = OverlayRenderer(OverlaySettings()).draw(frame_result(0, clip=SCREEN, patient_malignancy=0.9))
    rows, columns = np.nonzero((one != other).any(axis=-1))
    assert rows.max() < 60
    assert columns.min() > 180


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (95, 95), (97, 97), (242, 242), (2000, 100)])
def test_any_size(width: int, height: int) -> None:
    clip = example_clip(width=width, height=height)
    changed(frame_result(3, nodule(), nodule(2, left=-30, top=-5), clip=clip, patient_malignancy=0.4))


def test_nodule_without_outline() -> None:
    found = nodule(left=150, top=120)
    nothing = np.zeros((0, 2), np.int32)
    bare = replace(
        found, finding=replace(found.finding, contour_xy=nothing, long_axis_px=0.0, short_axis_px=0.0, area_px=0.0)
    )
    assert changed(frame_result(0, bare, clip=SCREEN)).any()


def test_colours_repeat_after_the_palette() -> None:
    assert track_colour(1) == track_colour(1 + len(PALETTE))
    assert len({track_colour(number) for number in range(1, len(PALETTE) + 1)}) == len(PALETTE)


@pytest.mark.parametrize(
    ("probability", "text"),
    [(0, "<1 %"), (0.004, "<1 %"), (0.5, "50 %"), (0.994, "99 %"), (0.996, ">99 %"), (1, ">99 %")],
)
def test_percent_claims_no_certainty(probability: float, text: str) -> None:
    assert percent(probability) == text


@pytest.mark.parametrize(
    ("time_s", "text"), [(0, "0:00.00"), (59.999, "1:00.00"), (62.125, "1:02.12"), (3600, "60:00.00")]
)
def test_clock(time_s: float, text: str) -> None:
    assert clock(time_s) == text


@given(st.integers(1, 9999), st.integers(1, 9999), st.sampled_from([2, 3]))
def test_percent_shows_a_probability_on_its_side_of_the_threshold(one: int, other: int, least: int) -> None:
    decimals = decimals_apart(one / 10_000, other / 10_000, least=least) - 2
    shown = percent(one / 10_000, decimals), percent(other / 10_000, decimals)
    assert (shown[0] == shown[1]) == (one == other)


@pytest.mark.parametrize("decimals", [0, 1, 2])
def test_percent_never_claims_certainty(decimals: int) -> None:
    assert percent(0.0, decimals).startswith("<")
    assert percent(1.0, decimals).startswith(">")
    assert percent(10.0 ** -(decimals + 2), decimals)[0] not in "<>"
