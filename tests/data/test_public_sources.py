"""The public folders as samples: labels, files, and splits that keep together what belongs together."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from streamer.data.pixels import load_pictures
from streamer.data.public_sources import OTHER_SOURCES, load_public, unit_of
from streamer.data.samples import Sample
from streamer.data.splits import check_splits
from streamer.errors import DataError


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> list[Sample]:
    return load_public(data_dir)


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds none of cine/"):
        load_public(tmp_path)


@pytest.mark.parametrize("table", ["clip,frame\na,0\n", "clip,frame,x0,y0,x1,y1,group,split\na,x,,,,,g,val\n"])
def test_another_layout(tmp_path: Path, table: str) -> None:
    (tmp_path / "cine").mkdir()
    (tmp_path / "cine" / "frames.csv").write_text(table)
    with pytest.raises(DataError, match="not in the public layout"):
        load_public(tmp_path)


def test_counts(samples: list[Sample]) -> None:
    """As the data's README gives them."""
    counted = Counter(sample.source for sample in samples)
    assert counted == {"cine": 2293, "tn3k": 2405, "ddti": 493, "gland": 717, "breast": 780}
    assert sum(1 for sample in samples if sample.source == "cine" and sample.has_nodule) == 1217
    labels = Counter(sample.label for sample in samples if sample.source == "tn3k")
    assert labels == {"benign": 1646, "malignant": 759}
    lesions = Counter(sample.label for sample in samples if sample.source == "breast")
    assert lesions == {"benign": 437, "malignant": 210, None: 133}
    outlined = [sample for sample in samples if sample.gland_mask is not None]
    assert {sample.source for sample in outlined} == {"gland"}
    assert len(outlined) == 717
    (picture,) = load_pictures(outlined[:1])
    assert picture.gland is not None
    assert 0.02 < (picture.gland > 127).mean() < 0.9


def test_what_is_known_of_place_and_patient(samples: list[Sample]) -> None:
    clips = {sample.image: sample.vendor for sample in samples if sample.source == "cine"}
    assert Counter(clips.values()) == {"layout 900x600": 37, "layout 686x528": 19}
    assert all(sample.hospital == sample.source for sample in samples)
    ddti = {sample.image.name: sample for sample in samples if sample.source == "ddti"}
    assert (ddti["ddti-558_1.jpg"].age, ddti["ddti-558_1.jpg"].sex) == (55, "M")
    assert (ddti["ddti-558_1.jpg"].tirads, ddti["ddti-560_1.jpg"].tirads) == ("4a", "4c")
    assert {one.tirads for one in ddti.values() if one.label == "benign"} == {"2", "3"}
    assert {one.tirads for one in ddti.values() if one.label == "malignant"} == {"4a", "4b", "4c", "5"}
    assert Counter(sample.sex for sample in ddti.values()) == {"F": 348, "M": 37, None: 108}
    assert all(sample.age is None and sample.sex is None for sample in samples if sample.source != "ddti")


def test_no_ultrasound_network_is_given_another_modality(samples: list[Sample]) -> None:
    assert set(OTHER_SOURCES) == {"scintigraphy"}
    assert not {sample.source for sample in samples} & set(OTHER_SOURCES)


@pytest.mark.parametrize(
    ("source", "unit"), [("scintigraphy", "image"), ("cine", "group"), ("a hospital's own", "patient")]
)
def test_the_unit_of_a_set_is_the_registered_one_in_any_modality(source: str, unit: str) -> None:
    assert unit_of(source) == unit


def test_the_second_look_at_the_sweeps(samples: list[Sample]) -> None:
    """As the data's README counts it: rows and kinds; sweeps of probably one patient are one group, in one split."""
    cine = [sample for sample in samples if sample.source == "cine"]
    assert sum(len(sample.unmarked_xyxy) for sample in cine) == 162 + 73
    assert sum(len(sample.ignore_xyxy) for sample in cine) == 845 - 162 - 73
    patients = {sample.image.stem: sample.group for sample in cine}
    assert patients["cine-048"] == patients["cine-049"] != patients["cine-050"]
    assert len({sample.group for sample in cine if sample.split == "val"}) == 8
    (picture,) = load_pictures([next(sample for sample in cine if sample.unmarked_xyxy)], max_side=300)
    scale = picture.grey.shape[1] / 900
    assert picture.unmarked_xyxy[0] == tuple(value * scale for value in picture.sample.unmarked_xyxy[0])


def test_tables_of_a_second_look_without_any(tmp_path: Path, data_dir: Path) -> None:
    """Who has the sweeps only has what they say; a verdict that nobody knows is refused."""
    (tmp_path / "cine").mkdir()
    row = "clip,frame,group,split,area_px,x0,y0,x1,y1\ncine-001,0,1,train,0,,,,\n"
    (tmp_path / "cine" / "frames.csv").write_text(row)
    (tmp_path / "cine" / "cine-001.mp4").symlink_to(data_dir / "cine" / "cine-001.mp4")
    (sample,) = load_public(tmp_path)
    assert (sample.group, sample.unmarked_xyxy, sample.ignore_xyxy) == ("cine-1", (), ())
    table = tmp_path / "cine" / "unmarked.csv"
    table.write_text("clip,frame,x0,y0,x1,y1,verdict,object,how\ncine-001,0,1,1,9,9,perhaps,1,by eye\n")
    with pytest.raises(DataError, match="perhaps"):
        load_public(tmp_path)


def test_no_patient_is_in_two_splits(samples: list[Sample]) -> None:
    check_splits(samples)
    patients: dict[str, set[str]] = defaultdict(set)
    for sample in samples:
        patients[sample.group].add(sample.source)
    assert all(len(sources) == 1 for sources in patients.values())


def test_no_image_is_in_two_splits(samples: list[Sample]) -> None:
    splits: dict[Path, set[str]] = defaultdict(set)
    for sample in samples:
        splits[sample.image].add(sample.split)
    assert all(len(found) == 1 for found in splits.values())


def test_every_source_has_both_splits(samples: list[Sample]) -> None:
    shares = {
        source: [sample.split for sample in samples if sample.source == source]
        for source in ("cine", "tn3k", "ddti", "gland", "breast")
    }
    for source, splits in shares.items():
        assert 0.1 < splits.count("val") / len(splits) < 0.35, source


@pytest.mark.parametrize("fold", [0, 3])
def test_the_fold_held_out_is_the_one_asked_for(data_dir: Path, fold: int) -> None:
    with (data_dir / "tn3k" / "labels.csv").open(encoding="utf-8") as stream:
        expected = {row["image"] for row in csv.DictReader(stream) if int(row["fold"]) == fold}
    found = load_public(data_dir, tn3k_val_fold=fold)
    assert {item.image.name for item in found if item.source == "tn3k" and item.split == "val"} == expected


def test_files_exist_and_boxes_are_boxes(samples: list[Sample]) -> None:
    for sample in samples:
        assert sample.image.is_file()
        assert sample.mask is None or sample.mask.is_file()
        assert sample.has_nodule or not sample.boxes_xyxy
        for left, top, right, bottom in sample.boxes_xyxy:
            assert 0 <= left < right
            assert 0 <= top < bottom
