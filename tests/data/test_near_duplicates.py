"""Near-duplicates across splits: found where the picture is the same, not where it only looks alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.data.near_duplicates import (
    find_near_duplicates,
    merge_groups_sharing_images,
    raise_on_near_duplicates,
    without_near_duplicates,
)
from streamer.data.public_sources import load_public
from streamer.data.samples import Sample
from streamer.errors import DataError
from streamer.phantom import random_scene, simulate, write_clip
from streamer.types import Grey
from tests.data.made_up import sample


def view(seed: int, width: int = 320, height: int = 240) -> Grey:
    """A simulated view: all share the layout."""
    scene = random_scene(seed)
    (frame,) = simulate(
        seed=seed, frames=1, nodules=scene.nodules, neck=scene.neck, scanner=scene.scanner, width=width, height=height
    )
    return np.ascontiguousarray(frame.image[:, :, 0])


def saved(folder: Path, name: str, image: Grey) -> Sample:
    cv2.imwrite(str(folder / name), image)
    return sample(image=folder / name, group=name, split="val")


def with_calipers(image: Grey) -> Grey:
    drawn = image.copy()
    for x, y in ((90, 100), (180, 110), (130, 80), (135, 150)):
        cv2.drawMarker(drawn, (x, y), 255, cv2.MARKER_CROSS, 9)
    return drawn


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("again.png", lambda image: image),
        ("again.jpg", lambda image: image),
        ("smaller.png", lambda image: cv2.resize(image, (220, 160), interpolation=cv2.INTER_AREA)),
        ("cropped.png", lambda image: image[3:-2, 4:-3]),
        ("brighter.png", lambda image: np.clip(image * 1.4 + 12.0, 0, 255).astype(np.uint8)),
        ("calipers.png", with_calipers),
    ],
)
def test_the_same_picture_is_found_among_others(tmp_path: Path, name: str, change: Callable[[Grey], Grey]) -> None:
    seen = [saved(tmp_path, f"seen-{seed}.png", view(seed)) for seed in range(5)]
    duplicate, other = saved(tmp_path, name, change(view(2))), saved(tmp_path, "other.png", view(7))
    (found,) = find_near_duplicates(seen, [duplicate, other])
    assert (found.held, found.seen) == (duplicate, seen[2])
    assert without_near_duplicates([*seen, duplicate, other], [found]) == [*seen, other]


def test_even_images_are_no_near_duplicates(tmp_path: Path) -> None:
    black = [saved(tmp_path, f"{number}.png", np.full((60, 80), number, np.uint8)) for number in range(2)]
    assert find_near_duplicates(black[:1], black[1:]) == []


def test_each_rank_is_compared_with_all_before_it_and_not_with_itself(tmp_path: Path) -> None:
    images = [saved(tmp_path, f"{number}.png", view(seed)) for number, seed in enumerate((1, 1, 2, 2, 1))]
    found = find_near_duplicates(images[:2], images[2:4], images[4:])
    assert [(duplicate.held.group, duplicate.seen.group) for duplicate in found] == [("4.png", "0.png")]
    assert find_near_duplicates([], []) == find_near_duplicates(images) == []


def test_a_copied_clip_goes_whole(tmp_path: Path) -> None:
    scene = random_scene(4)
    frames = list(simulate(seed=4, frames=20, nodules=scene.nodules, width=320, height=240))
    for name in ("a.mp4", "b.mp4"):
        write_clip(tmp_path / name, frames)
    seen = [sample(image=tmp_path / "a.mp4", frame=number) for number in range(20)]
    held = [sample(image=tmp_path / "b.mp4", frame=number, split="val", group="q") for number in range(5, 20)]
    duplicates = find_near_duplicates(seen, held)
    assert {duplicate.held.frame for duplicate in duplicates} == {5, 13}  # every eighth of those listed
    assert without_near_duplicates([*seen, *held], duplicates) == seen
    with pytest.raises(DataError, match="has 20 frames; the data name frame 20"):
        find_near_duplicates([sample(image=tmp_path / "a.mp4", frame=20)], held)


def test_the_refusal_names_both_images_and_their_splits(tmp_path: Path) -> None:
    seen = [sample(image=tmp_path / "one.png")]
    cv2.imwrite(str(seen[0].image), view(1))
    duplicates = find_near_duplicates(seen, [saved(tmp_path, f"{number}.png", view(1)) for number in range(2)])
    with pytest.raises(DataError) as caught:
        raise_on_near_duplicates(duplicates, "do this")
    pair = f"{tmp_path}/0.png (s, val) is nearly the same image as {tmp_path}/one.png (s, train)"
    assert str(caught.value) == f"{pair} (1 more such pairs): do this"
    raise_on_near_duplicates([], "do this")


def test_real_near_duplicates_and_real_look_alikes(data_dir: Path) -> None:
    """DDTI holds the same cases under two numbers; TN3K 1103 and 1764 are one view; sweeps of one neck look alike."""
    samples = {item.image.name: item for item in load_public(data_dir) if not item.frame}
    seen = ["ddti-326_1.jpg", "ddti-294_1.jpg", "tn3k-1103.jpg", "ddti-347_2.jpg", "cine-064.mp4"]
    held = ["ddti-233_2.jpg", "ddti-551_1.jpg", "tn3k-1764.jpg", "ddti-583_2.jpg", "cine-065.mp4"]
    found = find_near_duplicates([samples[name] for name in seen], [samples[name] for name in held])
    assert [(duplicate.held.image.name, duplicate.seen.image.name) for duplicate in found] == list(
        zip(held, seen, strict=True)
    )[:3]


def test_patients_who_share_a_picture_are_one(tmp_path: Path) -> None:
    """Also over a third patient, and with all their other pictures."""
    images = [saved(tmp_path, f"{number}.png", view(seed)) for number, seed in enumerate((1, 2, 3, 2, 4, 4))]
    patients = ["a", "b", "c", "a", "d", "d"]
    found, duplicates = merge_groups_sharing_images(
        [replace(one, group=who) for one, who in zip(images, patients, strict=True)]
    )
    assert [one.group for one in found] == ["b", "b", "c", "b", "d", "d"]
    assert [(duplicate.held.image.name, duplicate.seen.image.name) for duplicate in duplicates] == [("3.png", "1.png")]
