"""Samples with their pixels: sizes, frames of clips, phantom pictures."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.data.pixels import load_pictures, phantom_pictures
from streamer.data.samples import Sample
from streamer.errors import DataError
from tests.sources.media import read_number, write_clip


def still(folder: Path, width: int, height: int) -> Sample:
    image = np.zeros((height, width), np.uint8)
    image[height // 4 : height // 2, width // 4 : width // 2] = 200
    cv2.imwrite(str(folder / "ä.png"), image)
    box = (width / 4, height / 4, width / 2, height / 2)
    return Sample(
        image=folder / "ä.png", mask=folder / "ä.png", source="s", group="p", split="train", boxes_xyxy=(box,)
    )


@pytest.mark.parametrize(
    ("size_wh", "stored_wh"), [((1440, 400), (720, 200)), ((300, 900), (240, 720)), ((80, 60), (80, 60))]
)
def test_large_pictures_shrink_with_boxes_and_mask(
    tmp_path: Path, size_wh: tuple[int, int], stored_wh: tuple[int, int]
) -> None:
    sample = still(tmp_path, *size_wh)
    (picture,) = load_pictures([replace(sample, gland_mask=sample.mask)])
    assert picture.grey.shape[::-1] == stored_wh
    assert picture.mask is not None
    assert picture.gland is not None
    np.testing.assert_array_equal(picture.gland, picture.mask)
    rows, columns = np.nonzero(picture.mask > 127)
    found = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert picture.boxes_xyxy[0] == pytest.approx(found, abs=1)


def test_frames_of_a_clip_are_those_named(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=9)
    named = [Sample(image=clip, frame=number, source="s", group="p", split="train") for number in (0, 3, 8)]
    numbers = [read_number(np.repeat(picture.grey[..., None], 3, axis=2)) for picture in load_pictures(named)]
    assert numbers == [0, 3, 8]
    with pytest.raises(DataError, match="has 9 frames; the data name frame 9"):
        load_pictures([replace(named[0], frame=9)])


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    sample = still(tmp_path, 80, 60)
    with pytest.raises(DataError, match="cannot read the image"):
        load_pictures([replace(sample, image=tmp_path / "absent.png")])
    with pytest.raises(DataError, match=r"absent\.mp4"):
        load_pictures([replace(sample, image=tmp_path / "absent.mp4", frame=0)])
    cv2.imwrite(str(tmp_path / "small.png"), np.zeros((6, 8), np.uint8))
    with pytest.raises(DataError, match="is 8x6 px, its image 80x60 px"):
        load_pictures([replace(sample, mask=tmp_path / "small.png")])


def test_phantom_pictures_are_reproducible_and_boxed() -> None:
    pictures = phantom_pictures(3, 2000, moments=2)
    again = phantom_pictures(2, 2000, moments=2)
    assert len(pictures) == 3
    assert [picture.sample.group for picture in pictures] == ["phantom-2000", "phantom-2000", "phantom-2001"]
    for one, other in zip(pictures, again, strict=False):
        np.testing.assert_array_equal(one.grey, other.grey)
    for picture in pictures:
        assert (picture.mask is not None) == bool(picture.boxes_xyxy) == picture.sample.has_nodule
        for left, top, right, bottom in picture.boxes_xyxy:
            assert 0 <= left < right <= picture.grey.shape[1]
            assert 0 <= top < bottom <= picture.grey.shape[0]
            assert picture.mask is not None
            assert picture.mask[int(top) : int(bottom), int(left) : int(right)].any()
