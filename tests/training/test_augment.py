"""Augmentation: boxes stay on their objects, masks on their pixels, up stays up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.training.augment import jittered_window, photometric, place, tilt_and_flip
from streamer.training.crops import as_input, training_crop
from streamer.training.detector import DetectorTask
from tests.training.tiny import config, picture

SEEDS = st.integers(0, 10_000)


@given(SEEDS, st.integers(40, 200), st.integers(40, 200), st.floats(0, 0.6), st.sampled_from([1.0, 1.7]))
def test_boxes_stay_on_objects(seed: int, width: int, height: int, scale: float, zoom: float) -> None:
    grey = np.zeros((120, 160), np.uint8)
    grey[30:70, 50:110] = 255
    box = np.array([[50, 30, 110, 70]], np.float32)
    rng = np.random.default_rng(seed)
    (cell,), boxes, _ = place([grey], box, (width, height), rng, scale=scale, zoom=zoom)
    assert cell.shape == (height, width)
    rows, columns = np.nonzero(cell > 127)
    if len(boxes):
        found = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        np.testing.assert_allclose(boxes[0], found, atol=2)
    else:  # less than 40 % was left
        assert rows.size < 0.45 * 60 * 40 * (zoom * min(width / 160, height / 120) * (1 + scale)) ** 2


@given(SEEDS)
def test_placing_keeps_the_shape_and_never_turns(seed: int) -> None:
    grey = np.zeros((100, 100), np.uint8)
    grey[26:74, 42:58] = 255  # stays whole where it is enlarged by the most, wherever it is put
    grey[26:34, 42:58] = 100  # dark end up
    box = np.array([[42, 26, 58, 74]], np.float32)
    (cell,), boxes, _ = place([grey], box, (200, 200), np.random.default_rng(seed), scale=0.3)
    (found,) = boxes
    assert (found[3] - found[1]) / (found[2] - found[0]) == pytest.approx(3, rel=0.05)
    middle = int((found[0] + found[2]) / 2)
    height = found[3] - found[1]
    assert cell[int(found[1] + 0.08 * height), middle] < cell[int(found[3] - 0.08 * height), middle]


def test_no_boxes_stay_no_boxes() -> None:
    (cell,), boxes, _ = place(
        [np.ones((50, 50), np.uint8)], np.zeros((0, 4), np.float32), (64, 64), np.random.default_rng(0), scale=0.2
    )
    assert boxes.shape == (0, 4)
    assert cell.any()


def test_what_lies_upon_an_image_goes_the_same_way() -> None:
    grey = np.random.default_rng(0).integers(0, 256, (60, 90), np.uint8)
    cells, _, _ = place(
        [grey, np.stack([grey, 255 - grey], axis=2)],
        np.zeros((0, 4), np.float32),
        (64, 48),
        np.random.default_rng(3),
        scale=0.4,
    )
    inside = cells[1].sum(axis=2) > 0
    np.testing.assert_array_equal(cells[1][..., 0], cells[0])
    np.testing.assert_allclose(cells[1][..., 1][inside], 255 - cells[0][inside].astype(int), atol=1)


@pytest.fixture(scope="module")
def mosaics() -> DetectorTask:
    """A detector's task on pictures in which the ellipses are the only bright things."""
    pictures = [picture(number) for number in range(4)]
    for made in pictures:
        assert made.mask is not None
        made.grey[:] = np.where(made.mask > 0, 200, 10)
    return DetectorTask(config("detector", mosaic=1.0), pictures, [])


@settings(max_examples=50)
@given(seed=SEEDS)
def test_a_mosaics_boxes_stay_on_objects(mosaics: DetectorTask, seed: int) -> None:
    (canvas,), boxes, _ = mosaics._mosaic(0, (160, 128), np.random.default_rng(seed))
    assert canvas.shape == (128, 160)
    for left, top, right, bottom in boxes.round().astype(int):
        inside = canvas[max(top, 0) : bottom, max(left, 0) : right]
        assert (inside > 100).mean() > 0.5


@given(SEEDS)
def test_photometry_keeps_size_and_place(seed: int) -> None:
    grey = np.full((60, 80), 40, np.uint8)
    grey[20:40, 30:50] = 160
    before = grey.copy()
    changed = photometric(grey, np.random.default_rng(seed))
    assert changed.shape == grey.shape
    assert changed.dtype == np.uint8
    np.testing.assert_array_equal(grey, before)


@given(SEEDS)
def test_image_and_mask_turn_together(seed: int) -> None:
    image = np.zeros((65, 65), np.uint8)
    image[10:50, 20:30] = 255
    turned = tilt_and_flip([image, image.copy()], np.random.default_rng(seed), degrees=15)
    np.testing.assert_array_equal(turned[0], turned[1])
    rows, columns = np.nonzero(turned[0] > 127)
    assert np.ptp(rows) > 1.5 * np.ptp(columns)  # still taller than wide
    assert rows.mean() < 32  # still above the middle


@given(SEEDS, st.floats(0, 0.3), st.floats(1, 1.6))
def test_a_jittered_window_still_shows_the_nodule(seed: int, shift: float, stretch: float) -> None:
    window = jittered_window((40, 30, 100, 70), np.random.default_rng(seed), margin=0.25, shift=shift, stretch=stretch)
    assert abs(window.side - 90) <= 90 * (stretch * (1 + 2 * shift) - 1) + 2  # two for rounding
    assert window.left < 70 < window.right
    assert window.top < 50 < window.bottom


def test_without_jitter_the_window_is_the_one_of_inference() -> None:
    window = jittered_window((40, 30, 100, 70), np.random.default_rng(0), margin=0.25, shift=0, stretch=1)
    assert (window.left, window.top, window.side) == (25, 5, 90)


def test_the_same_seed_gives_the_same_crop() -> None:
    made, settings_ = picture(1), config("segmenter")
    crops = [training_crop(made, made.boxes_xyxy[0], 64, settings_, np.random.default_rng(5)) for _ in range(2)]
    np.testing.assert_array_equal(crops[0][0], crops[1][0])
    crop, mask = crops[0]
    assert mask is not None
    assert crop.shape == mask.shape == (64, 64)


def test_input_is_normalised_as_in_inference() -> None:
    batch = as_input([np.full((64, 64), 51, np.uint8)], config("segmenter", mean=0.3, std=0.2))
    assert batch.shape == (1, 3, 64, 64)
    torch.testing.assert_close(batch, torch.full_like(batch, (0.2 - 0.3) / 0.2))


def test_regions_to_ignore_go_the_same_way_and_a_nodule_that_is_cut_off_becomes_one() -> None:
    box = np.array([[0, 0, 40, 40]], np.float32)
    region = np.array([[60, 60, 90, 90]], np.float32)
    cut = 0
    for seed in range(60):
        rng = np.random.default_rng(seed)
        _, boxes, ignored = place(
            [np.ones((100, 100), np.uint8)], box, (100, 100), rng, scale=0.1, zoom=2.0, ignored=region
        )
        assert len(boxes) + len(ignored) <= 2
        assert ((ignored >= 0) & (ignored <= 100)).all()
        cut += not len(boxes) and len(ignored) == 2
    assert cut > 0


def test_what_is_ignored_teaches_nothing() -> None:
    """A region to ignore over the whole picture takes every anchor out but those in the nodule."""
    plain = picture(0)
    everything = replace(plain, boxes_xyxy=(), ignore_xyxy=(plain.whole_view,))
    task = DetectorTask(config("detector", mosaic=0.0, scale=0.0, batch=1), [everything], [plain])
    task.network.train()
    (batch,) = task.batches(np.random.default_rng(0))
    shown = batch["img"][0, 0] > 0
    assert batch["ignored"].float().mean() > 0.8 * shown.float().mean()
    found = task.network(batch["img"])
    assert torch.isfinite(task.loss(lambda _: found, batch))
    unmarked = replace(plain, boxes_xyxy=(), unmarked_xyxy=plain.boxes_xyxy)
    task = DetectorTask(config("detector", mosaic=0.0, scale=0.0, batch=1), [unmarked], [unmarked])
    (batch,) = task.batches(np.random.default_rng(0))
    assert batch["bboxes"].shape == (1, 4)
    assert not batch["ignored"].any()
