"""Fitting the gate: known views against other things, a threshold from groups that were not fitted."""

from __future__ import annotations

import numpy as np

from streamer.data.negatives import LIFTED_PROBES, negative_pictures
from streamer.models.gate import LIFTED, REJECTED
from streamer.training.gate import FALSE_ALARMS, Seen, fitted


def seen(centre: float, count: int, seed: int) -> Seen:
    """Two pictures a group; the groups differ more than the pictures of one."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.normal(0, 1, (count // 2, 20)), 2, axis=0)
    features = centre + levels + rng.normal(0, 0.1, (count, 20))
    return Seen(features.astype(np.float32), tuple(str(number // 2) for number in range(count)))


def test_other_things_are_told_from_views_that_were_not_seen() -> None:
    gate = fitted([seen(0, 400, 0), seen(0.3, 300, 1)], {"discs": seen(2.5, 120, 2), "noise": seen(-3, 120, 3)})
    assert (~gate.passes(seen(0, 2000, 4).features)).mean() < 2.5 * FALSE_ALARMS
    assert (~gate.passes(seen(2.5, 500, 5).features)).mean() > 0.95
    assert (~gate.passes(seen(-3, 500, 6).features)).mean() > 0.95


def test_what_is_like_nothing_that_was_taught_does_not_pass_either() -> None:
    """Pictures off to a side on which neither known views nor the taught other things lie."""
    strange = seen(0, 300, 7)
    strange.features[:, ::2] += 4
    strange.features[:, 1::2] -= 4
    gate = fitted([seen(0, 400, 0)], {"discs": seen(2.5, 120, 2)})
    assert (~gate.passes(strange.features)).mean() > 0.95


def test_a_probe_in_the_air_is_told_from_other_things() -> None:
    others = {"discs": seen(3, 120, 2), LIFTED_PROBES: seen(-3, 120, 3)}
    gate = fitted([seen(0, 400, 0)], others)
    assert gate.rejections(seen(-3, 60, 4).features).count(LIFTED) > 57
    assert gate.rejections(seen(3, 60, 5).features).count(REJECTED) > 57


def test_simulated_negatives_are_of_several_kinds_and_repeat_with_their_seed() -> None:
    pictures = list(negative_pictures(60, seed=1))
    assert {"scintigrams", "screens", "noise", "discs", "textures", LIFTED_PROBES} <= {
        picture.kind for picture in pictures
    }
    assert all(picture.grey.dtype == np.uint8 and min(picture.grey.shape) >= 480 for picture in pictures)
    again = list(negative_pictures(60, seed=1))
    assert all(np.array_equal(one.grey, other.grey) for one, other in zip(pictures, again, strict=True))
