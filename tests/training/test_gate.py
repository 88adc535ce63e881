"""Fitting the gate: known views against other things, a threshold from groups that were not fitted."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import cv2
import numpy as np

from streamer._pixels import to_grey
from streamer.data.negatives import LIFTED_PROBES, LUNGS, negative_pictures
from streamer.models.gate import LIFTED, REJECTED
from streamer.phantom import simulate, write_clip
from streamer.training.gate import FALSE_ALARMS, Seen, fitted, leave_one_clip_out, phantom_views, pictures_of


def seen(centre: float, count: int, seed: int) -> Seen:
    """Two pictures a group; the groups differ more than the pictures of one."""
    rng = np.random.default_rng(seed)
    levels = np.repeat(rng.normal(0, 1, (count // 2, 20)), 2, axis=0)
    features = centre + levels + rng.normal(0, 0.1, (count, 20))
    return Seen(features.astype(np.float32), tuple(str(number // 2) for number in range(count)))


def test_other_things_are_told_from_views_that_were_not_seen() -> None:
    gate = fitted(
        {"cine": seen(0, 400, 0), "ddti": seen(0.3, 300, 1)}, {"discs": seen(2.5, 120, 2), "noise": seen(-3, 120, 3)}
    )
    assert (~gate.passes(seen(0, 2000, 4).features)).mean() < 2.5 * sum(FALSE_ALARMS)
    assert (~gate.passes(seen(2.5, 500, 5).features)).mean() > 0.95
    assert (~gate.passes(seen(-3, 500, 6).features)).mean() > 0.95


def test_what_is_like_nothing_that_was_taught_does_not_pass_either() -> None:
    """Pictures off to a side on which neither known views nor the taught other things lie."""
    strange = seen(0, 300, 7)
    strange.features[:, ::2] += 4
    strange.features[:, 1::2] -= 4
    gate = fitted({"cine": seen(0, 400, 0)}, {"discs": seen(2.5, 120, 2)})
    assert (~gate.passes(strange.features)).mean() > 0.95


def test_a_probe_in_the_air_is_told_from_other_things() -> None:
    others = {"discs": seen(3, 120, 2), LIFTED_PROBES: seen(-3, 120, 3)}
    gate = fitted({"cine": seen(0, 400, 0)}, others)
    assert gate.rejections(seen(-3, 60, 4).features).count(LIFTED) > 57
    assert gate.rejections(seen(3, 60, 5).features).count(REJECTED) > 57


def test_simulated_negatives_are_of_several_kinds_and_repeat_with_their_seed() -> None:
    pictures = list(negative_pictures(120, seed=1))
    assert {"scintigrams", "screens", "noise", "discs", "textures", LIFTED_PROBES, LUNGS} <= {
        picture.kind for picture in pictures
    }
    assert all(picture.grey.dtype == np.uint8 and min(picture.grey.shape) >= 480 for picture in pictures)
    again = list(negative_pictures(120, seed=1))
    assert all(np.array_equal(one.grey, other.grey) for one, other in zip(pictures, again, strict=True))


def test_a_clip_left_out_is_judged_by_the_others() -> None:
    """Two clips lie beyond the known views, on either side: neither tells of the other. Two alike do."""
    known = {"cine": seen(0, 400, 0)}
    one, alike, opposite = seen(2.5, 40, 1), seen(2.5, 40, 2), seen(-2.5, 40, 3)
    near, far = one.features * 0.5, opposite.features * 0.5  # near enough that the distance alone does not tell

    def clips(*features: np.ndarray) -> Seen:
        groups = tuple(f"clip {number}" for number, part in enumerate(features) for _ in part)
        return Seen(np.concatenate(features), groups)

    noise = seen(6, 60, 4)
    (told,) = leave_one_clip_out(known, {"noise": noise, "other clips": clips(near, alike.features * 0.5)})
    (not_told,) = leave_one_clip_out(known, {"noise": noise, "other clips": clips(near, far)})
    assert told.value > 0.9 > 0.7 > not_told.value
    assert (told.count, told.clusters, told.split) == (80, 2, "each clip by a fit to the others")
    assert leave_one_clip_out(known, {"noise": noise, "other clips": clips(near)}) == []
    assert leave_one_clip_out(known, {"noise": noise}) == []


def test_a_clip_unlike_the_others_is_not_taught_by_itself() -> None:
    """Two clips differ from known views in other features each: what tells one says nothing of the other."""
    known = {"cine": seen(0, 2000, 0)}
    features = 0.3 * np.concatenate([seen(0, 40, 1).features, seen(0, 40, 2).features])
    features[:40, :10] += 1.6
    features[40:, 10:] += 1.6
    clips = Seen(features.astype(np.float32), ("one",) * 40 + ("other",) * 40)
    others = {"noise": seen(6, 60, 4), "other clips": clips}
    assert (~fitted(known, others).passes(clips.features)).mean() > 0.9  # taught, both are told
    (left_out,) = leave_one_clip_out(known, others)
    assert left_out.value < 0.1


def test_every_third_simulated_view_is_of_the_demonstrations_scene() -> None:
    views = [grey for _, grey in phantom_views(4, seed=0)]
    *_, last = simulate(seed=3, frames=8)
    np.testing.assert_array_equal(views[3], to_grey(last.image))
    *_, last = simulate(seed=1, frames=8)
    assert not np.array_equal(views[1], to_grey(last.image))


def test_each_threshold_lets_its_own_share_of_known_views_fail() -> None:
    """Of 10,000 groups of two: about as many views of others as the constants say, by each score and the distance."""
    known, others = {"cine": seen(0, 20_000, 0)}, {LUNGS: seen(1, 400, 1), "noise": seen(-1, 400, 2)}
    gate = fitted(known, others)
    fresh = seen(0, 40_000, 3).features
    scores = gate.scores(fresh)
    found = (
        (scores[:, 0] < gate.min_scores[0]).mean(),
        (scores[:, 1] < gate.min_scores[1]).mean(),
        (gate.distances(fresh) > gate.max_distance).mean(),
    )
    np.testing.assert_allclose(found, FALSE_ALARMS, rtol=0.6)


def test_lungs_and_scintigrams_are_drawn_three_times_as_often() -> None:
    kinds = Counter(picture.kind for picture in negative_pictures(1200, seed=2))
    others = np.mean([count for kind, count in kinds.items() if kind not in {LUNGS, "scintigrams", "photographs"}])
    assert 2 < kinds[LUNGS] / others < 4
    assert 2 < kinds["scintigrams"] / others < 4


def test_simulated_lungs_are_taught_as_another_organ() -> None:
    """The second score tells the neck from other organs; without lungs among them it knows none here."""
    gate = fitted({"cine": seen(0, 400, 0)}, {LUNGS: seen(2.5, 120, 1), "noise": seen(-3, 120, 2)})
    assert (gate.scores(seen(2.5, 60, 3).features)[:, 1] < gate.min_scores[1]).mean() > 0.9


def test_pictures_of_a_folder_are_one_group_and_are_all_taken_up_to_a_number(tmp_path: Path) -> None:
    for number in range(25):
        cv2.imwrite(str(tmp_path / f"{number:02}.png"), np.full((32, 40), 10 * number, np.uint8))
    found = list(pictures_of(tmp_path, 100))
    assert {group for group, _ in found} == {str(tmp_path)}
    assert sorted(int(grey.mean()) for _, grey in found) == [10 * number for number in range(25)]
    assert [int(grey.mean()) for _, grey in pictures_of(tmp_path, 5)] == [0, 50, 100, 150, 200]


def test_a_folder_that_holds_one_clip_is_that_clip(tmp_path: Path) -> None:
    clip = tmp_path / "folder" / "clip.mp4"
    clip.parent.mkdir()
    write_clip(clip, simulate(frames=24))
    assert len(list(pictures_of(clip.parent, 3))) == len(list(pictures_of(clip, 3))) == 12
