"""Heavy augmentation: boxes stay on their nodules, black stays black, nothing happens unless it is asked for."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.training import detector
from streamer.training.detector import DetectorTask
from streamer.training.distortion import coarser, hide, shine_through, warp, with_grey_levels_of
from tests.training.tiny import config, picture

SEEDS = st.integers(0, 10_000)
NONE = np.zeros((0, 4), np.float32)


def nodule(box: tuple[int, int, int, int], shape: tuple[int, int] = (160, 200)) -> np.ndarray:
    grey = np.zeros(shape, np.uint8)
    x0, y0, x1, y1 = box
    cv2.ellipse(grey, (((x0 + x1) / 2, (y0 + y1) / 2), (x1 - x0, y1 - y0), 0), 255, -1)
    return grey


@given(SEEDS)
def test_a_warped_box_stays_around_its_nodule(seed: int) -> None:
    box = (60, 50, 130, 90)
    grey = nodule(box)
    boxes = np.array([box], np.float32)
    (warped, twice), (moved,), (region,) = warp(
        [grey, np.stack([grey, grey], 2)], boxes, boxes, np.random.default_rng(seed)
    )
    rows, columns = np.nonzero(warped > 127)
    np.testing.assert_allclose(moved, [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], atol=2.5)
    np.testing.assert_array_equal(region, moved)
    np.testing.assert_allclose(twice[..., 1].astype(int), warped, atol=8)  # interpolated otherwise


def test_warping_tilts_and_stretches_to_both_sides() -> None:
    box = (40, 40, 120, 80)
    shapes = [
        warp([nodule(box)], np.array([box], np.float32), NONE, np.random.default_rng(seed))[1][0] for seed in range(60)
    ]
    ratios = [(x1 - x0) / (y1 - y0) for x0, y0, x1, y1 in shapes]
    assert min(ratios) < 1.6
    assert max(ratios) > 2.4


def test_grey_levels_are_those_of_the_other_picture_and_black_stays_black() -> None:
    rng = np.random.default_rng(0)
    image, other = rng.integers(1, 100, (80, 80), np.uint8), rng.integers(100, 250, (60, 90), np.uint8)
    image[:40] = 0
    matched = with_grey_levels_of(image, other)
    assert not matched[:40].any()
    np.testing.assert_allclose(np.quantile(matched[40:], [0.1, 0.5, 0.9]), np.quantile(other, [0.1, 0.5, 0.9]), atol=4)
    order = np.argsort(image[40:], axis=None)
    assert (np.diff(matched[40:].ravel()[order].astype(int)) >= 0).all()


@pytest.mark.parametrize("black", ["image", "other"])
def test_without_grey_levels_nothing_is_matched(black: str) -> None:
    grey, empty = np.full((8, 8), 9, np.uint8), np.zeros((8, 8), np.uint8)
    image, other = (empty, grey) if black == "image" else (grey, empty)
    np.testing.assert_array_equal(with_grey_levels_of(image, other), image)


@given(SEEDS)
def test_a_coarser_picture_keeps_its_size_and_its_mean(seed: int) -> None:
    rng = np.random.default_rng(seed)
    grey = rng.integers(0, 256, (90, 130), np.uint8)
    blurred = coarser(grey, rng)
    assert blurred.shape == grey.shape
    assert blurred.mean() == pytest.approx(grey.mean(), abs=3)
    assert blurred.std() < 0.8 * grey.std()


@given(SEEDS)
def test_no_nodule_is_hidden_by_more_than_a_quarter_at_once(seed: int) -> None:
    grey = np.full((100, 120), 250, np.uint8)
    boxes = np.array([[10, 10, 30, 30], [60, 40, 110, 90]], np.float32)
    hidden = hide(grey, boxes, np.random.default_rng(seed))
    assert (grey == 250).all()
    for x0, y0, x1, y1 in boxes.astype(int):
        assert (hidden[y0:y1, x0:x1] != 250).mean() <= 3 * 0.26  # three rectangles at most
    if seed == 0:
        assert (hidden != 250).any()


def test_two_pictures_shine_through_about_equally() -> None:
    dark, bright = np.zeros((4, 4), np.uint8), np.full((4, 4), 200, np.uint8)
    levels = [int(shine_through(bright, dark, np.random.default_rng(seed))[0, 0]) for seed in range(40)]
    assert 20 <= min(levels) < max(levels) <= 180
    assert np.mean(levels) == pytest.approx(100, abs=12)


def task(**options: float) -> DetectorTask:
    return DetectorTask(config("detector", batch=4, **options), [picture(number) for number in range(8)], [])


def canvas(of: DetectorTask, seed: int) -> detector._Canvas:
    return of._canvas(0, (160, 128), np.random.default_rng(seed))


def test_nothing_is_distorted_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("warp", "with_grey_levels_of", "coarser", "hide", "shine_through"):
        monkeypatch.setattr(detector, name, lambda *_: pytest.fail("distorted"))
    for seed in range(20):
        canvas(task(), seed)


def test_asked_for_each_distortion_comes_as_often_as_it_should(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = dict.fromkeys(("warp", "with_grey_levels_of", "coarser", "hide", "shine_through"), 0)

    def counted(name: str) -> object:
        real = getattr(detector, name)

        def call(*given: object) -> object:
            counts[name] += 1
            return real(*given)

        return call

    for name in counts:
        monkeypatch.setattr(detector, name, counted(name))
    distorting = task(distortion=1.0, mosaic=0.0)
    rng = np.random.default_rng(0)
    for _ in range(400):
        distorting._canvas(0, (160, 128), rng)
    pictures = 400 + counts["shine_through"]
    for name, share in (("warp", 0.7), ("with_grey_levels_of", 0.3), ("coarser", 0.25)):
        assert counts[name] / pictures == pytest.approx(share, abs=0.08), name
    for name, share in (("hide", 0.3), ("shine_through", 0.15)):
        assert counts[name] / 400 == pytest.approx(share, abs=0.06), name


def test_a_blended_picture_has_the_nodules_of_both(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "_BLENDED", 1.0)
    monkeypatch.setattr(detector, "_HIDDEN", 0.0)
    blending = task(distortion=1.0, mosaic=0.0)
    rng = np.random.default_rng(3)
    blended = blending._canvas(0, (160, 128), rng)
    again = np.random.default_rng(3)
    first = blending._undistorted(0, (160, 128), again)
    again.random()
    second = blending._undistorted(int(again.integers(8)), (160, 128), again)
    np.testing.assert_array_equal(blended.boxes, np.concatenate([first.boxes, second.boxes]))


def test_pictures_with_masks_are_not_blended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detector, "_BLENDED", 1.0)
    monkeypatch.setattr(detector, "shine_through", lambda *_: pytest.fail("blended"))
    assert canvas(task(distortion=1.0, mask_weight=0.5), 0).masks
