"""What is known of a picture's pixels, and that the detector's features learn it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from streamer.training.auxiliary_masks import MaskHead, at_feature_scale, masks_of
from streamer.training.detector import DetectorTask
from tests.training.tiny import config, picture


def test_what_is_known_of_a_pictures_pixels() -> None:
    with_mask = picture(0)
    assert with_mask.mask is not None
    layers = masks_of(with_mask)
    np.testing.assert_array_equal(layers[..., 0], with_mask.mask)
    assert layers[..., 1].min() == 255
    assert layers[..., 2:].max() == 0, "nobody has drawn the gland"
    with_box = replace(with_mask, mask=None)
    assert masks_of(with_box).max() == 0, "where in its box the nodule is nobody knows"
    empty = replace(with_box, boxes_xyxy=(), sample=replace(with_box.sample, has_nodule=False), gland=with_mask.mask)
    layers = masks_of(empty)
    assert (layers[..., 0].max(), layers[..., 1].min(), layers[..., 3].min()) == (0, 255, 255)
    np.testing.assert_array_equal(layers[..., 2], with_mask.mask)


def test_a_feature_gets_the_share_of_its_pixels() -> None:
    layers = np.zeros((16, 24, 4), np.uint8)
    layers[:8, 8:12, 0] = 255
    shares = at_feature_scale(layers)
    assert shares.shape == (4, 2, 3)
    assert shares[0].tolist() == [[0, 0.5, 0], [0, 0, 0]]


def task(weight: float) -> DetectorTask:
    torch.manual_seed(0)
    return DetectorTask(config("detector", mask_weight=weight), [picture(number) for number in range(8)], [])


def loss_of(one: DetectorTask) -> torch.Tensor:
    one.network.train()
    batch = next(one.batches(np.random.default_rng(0)))
    return one.loss(one.network, batch)


def test_masks_teach_the_detectors_features() -> None:
    """The same batch without their weight has another loss, and what the head learns reaches the backbone."""
    with_masks, without = task(1.0), task(0.0)
    assert isinstance(with_masks.training_only, MaskHead)
    assert not list(without.training_only.parameters())
    loss = loss_of(with_masks)
    assert loss.item() > loss_of(without).item() + 0.1
    batch = next(with_masks.batches(np.random.default_rng(0)))
    with_masks.network(batch["img"])
    with_masks.network.zero_grad()
    with_masks.training_only.loss(batch["masks"]).backward()  # type: ignore[no-untyped-call]
    first = next(with_masks.network.parameters()).grad
    assert first is not None
    assert first.abs().sum() > 0


def test_nothing_known_teaches_nothing() -> None:
    one = task(1.0)
    head = one.training_only
    assert isinstance(head, MaskHead)
    one.network.train()
    one.network(torch.zeros(1, 3, 64, 64))
    assert head.loss(torch.zeros(1, 4, 8, 8)).item() == 0
    with pytest.raises(RuntimeError, match="has not run"):
        head.loss(torch.zeros(1, 4, 8, 8))


def test_the_head_is_no_part_of_the_detector() -> None:
    assert task(1.0).network.state_dict().keys() == task(0.0).network.state_dict().keys()
