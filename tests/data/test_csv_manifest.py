"""The data manifest: what is written is read, and what is wrong is named with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.data.csv_manifest import COLUMNS, read_csv_manifest
from streamer.data.regions import MIN_REGION_PX
from streamer.data.samples import Sample
from streamer.errors import DataError
from tests.data.made_up import sample
from tests.data.manifest_file import write_manifest

DOCS = Path(__file__).resolve().parents[2] / "docs"
HEADER = "image,source,patient,split,frame,mask,boxes_xyxy,has_nodule,label,age,sex\n"


def read(folder: Path, text: str) -> list[Sample]:
    path = folder / "data.csv"
    path.write_text(text, encoding="utf-8")
    return read_csv_manifest(path).samples


def write_mask(path: Path, *boxes: tuple[int, int, int, int]) -> None:
    mask = np.zeros((100, 180), np.uint8)
    for x0, y0, x1, y1 in boxes:
        mask[y0:y1, x0:x1] = 255
    path.parent.mkdir(exist_ok=True)
    cv2.imwrite(str(path), mask)


def test_samples_come_back(tmp_path: Path) -> None:
    box = (1.5, 2.0, 3.0, 4.0)
    samples = [
        sample(image=tmp_path / "Bilder, neu" / "ä.png", group="Zoë; 1", hospital="A, B", age=0.5, sex="O"),
        sample(
            image=tmp_path / "c.mp4",
            frame=0,
            has_nodule=False,
            gland_mask=tmp_path / "g.png",
            vendor="v",
            region="r",
            age=58,
            sex="F",
        ),
        sample(image=Path("/elsewhere/d.png"), mask=tmp_path / "m.png", label="malignant", boxes_xyxy=(box,)),
        sample(image=tmp_path / "c.mp4", frame=7, mask=tmp_path / "m.png", boxes_xyxy=(box, (0, 0, 123.456789, 9))),
        sample(image=tmp_path / "c.mp4", frame=8, boxes_xyxy=(box,), unmarked_xyxy=(box,), ignore_xyxy=(box, box)),
    ]
    samples[2:] = [replace(item, has_nodule=True) for item in samples[2:]]
    write_manifest(samples, tmp_path / "data.csv")
    assert read_csv_manifest(tmp_path / "data.csv").samples == samples
    assert "Bilder, neu/ä.png" in (tmp_path / "data.csv").read_text(encoding="utf-8")  # relative: the folder may move


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "split,image,patient,source\nval,a.png,p,s\n")
    assert found == sample(image=tmp_path / "a.png", split="val")


def test_a_table_from_a_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"\xef\xbb\xbfimage,source,patient,split\r\na.png,s,p,test\r\n")
    assert read_csv_manifest(tmp_path / "data.csv").samples[0].split == "test"


def test_the_documented_example_is_read(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes((DOCS / "manifest-example.csv").read_bytes())
    write_mask(tmp_path / "masks" / "0002.png", (20, 30, 90, 80))
    dataset = read_csv_manifest(tmp_path / "data.csv")
    first, second, empty, frame, healthy = dataset.samples
    assert list(first.boxes_xyxy) == [(20, 30, 90, 80), (120, 40, 160, 70)]
    known = [first.tirads, first.hospital, first.vendor, first.region, first.age, first.sex]
    assert known == ["5", "City Hospital", "Scanner A", "North", 58, "F"]
    assert [second.boxes_xyxy, second.has_nodule] == [((20, 30, 90, 80),), True]
    assert [empty.frame, empty.has_nodule] == [11, False]
    assert [frame.frame, frame.boxes_xyxy] == [12, ((101, 55, 133, 80),)]
    assert [healthy.has_nodule, healthy.label, healthy.vendor] == [False, "normal", None]
    assert dataset.splits == {"city": "as given", "valley": "7:2:1 by patient, seed 0"}


@pytest.mark.parametrize(("written", "read_as"), [("4a", "4a"), ("4C", "4c"), ("TR5", "5"), ("", None)])
def test_tirads_as_kwak_and_acr_write_it(tmp_path: Path, written: str, read_as: str | None) -> None:
    (one,) = read(tmp_path, f"image,source,patient,tirads\na.png,s,p,{written}\n")
    assert one.tirads == read_as


def test_every_column_is_documented() -> None:
    page = (DOCS / "manifest.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1].strip(" `") for line in page.splitlines() if line.startswith("| `")]
    assert sorted(rows) == sorted(COLUMNS)
    assert f"at least {MIN_REGION_PX} pixels" in page


def test_a_mask_gives_the_boxes_that_are_not_given(tmp_path: Path) -> None:
    write_mask(tmp_path / "two.png", (10, 10, 50, 40), (60, 60, 90, 90), (150, 5, 153, 8))  # the last one is a speck
    write_mask(tmp_path / "none.png")
    found = read(
        tmp_path,
        HEADER + "a,s,p,,,two.png\nb,s,p,,,two.png,1 2 3 4\nc.mp4,s,p,,3,two.png\nd,s,p,,,none.png,,no\n",
    )
    both = ((10, 10, 50, 40), (60, 60, 90, 90))
    assert [item.boxes_xyxy for item in found] == [both, ((1, 2, 3, 4),), both, ()]
    assert [item.has_nodule for item in found] == [True, True, True, False]
    assert [item.mask is None for item in found] == [False, False, False, True]


def test_masks_that_contradict(tmp_path: Path) -> None:
    write_mask(tmp_path / "one.png", (10, 10, 50, 40))
    write_mask(tmp_path / "none.png")
    cv2.imwrite(str(tmp_path / "coded.png"), np.eye(60, dtype=np.uint8))
    cv2.imwrite(str(tmp_path / "photo.png"), np.tile(np.arange(200, dtype=np.uint8), (60, 1)))
    for row, message in [
        ("a,s,p,,,none.png", r"line 2: the mask .*none\.png is empty"),
        ("a,s,p,,,one.png,,no", "line 2: has_nodule is no, but there is a box or mask"),
        ("a,s,p,,,,1 2 3 4,no", "line 2: has_nodule is no, but there is a box or mask"),
        ("a,s,p,,,coded.png", r"coded\.png says 1 where it should say 255"),
        ("a,s,p,,,photo.png", r"photo\.png looks like a picture"),
        ("a,s,p,,,absent.png", r"cannot read the image .*absent\.png"),
    ]:
        with pytest.raises(DataError, match=message):
            read(tmp_path, HEADER + row + "\n")


def test_a_source_without_splits_is_split_by_patient(tmp_path: Path) -> None:
    rows = [f"{source}{number},{source},{source}{number % 20}" for source in "st" for number in range(60)]
    given = [f"u{number},u,u{number},test" for number in range(3)]
    text = "\n".join(["image,source,patient,split", *[f"{row}," for row in rows], *given])
    (tmp_path / "data.csv").write_text(text)
    dataset = read_csv_manifest(tmp_path / "data.csv", split_seed=4)
    assert dataset.splits == {**dict.fromkeys("st", "7:2:1 by patient, seed 4"), "u": "as given"}
    for source in "st":
        splits = [item.split for item in dataset.samples if item.source == source]
        assert (splits.count("train"), splits.count("val"), splits.count("test")) == (42, 12, 6)
    assert {item.split for item in dataset.samples if item.source == "u"} == {"test"}


def test_a_patient_of_two_sources_is_in_one_split(tmp_path: Path) -> None:
    rows = [f"{source}{number},{source},p{number}," for source in "st" for number in range(20)]
    given = [f"u{number},u,p{number},test" for number in range(3)]
    (tmp_path / "data.csv").write_text("\n".join(["image,source,patient,split", *rows, *given]))
    samples = read_csv_manifest(tmp_path / "data.csv").samples  # which refuses a patient in two
    assert {item.split for item in samples if item.group in ("p0", "p1", "p2")} == {"test"}
    assert {item.split for item in samples} == {"train", "val", "test"}


def test_a_line_is_named_as_an_editor_counts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="line 4: patient is empty"):
        read(tmp_path, "image,source,patient\na,s,p\n\nb,s,\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column 'image'"),
        ("image,source\na,b\n", "lacks the column 'patient'"),
        ("image,source,patient\n", "has a header and no rows"),
        ("image,source,patient,boxes\na,s,p,\n", "has a column 'boxes': call it 'boxes_xyxy'"),
        ("image,source,patient,Split\na,s,p,val\n", "has a column 'Split': call it 'split'"),
        ("image,source,patient,split,split\na,s,p,val,train\n", "has the column 'split' twice: keep one"),
        (HEADER + "a,s,p,train,,,1 2 inf 4\n", "line 2: a box is"),
        (HEADER + "a,s,p,train\na,s,p,train\n", "line 3: this image stands there already"),
        (HEADER + "a,s,p,train\n" + "a,s,p,dev\n", "line 3: split must be one of train, val, test or empty, got 'dev'"),
        (HEADER + "a,s,p\nb,s,q,train\n", "1 of 2 rows of the source 's' have no split"),
        (HEADER + "a,s,,train\n", "line 2: patient is empty"),
        (HEADER + "a,s,p,train,x\n", "line 2: frame must be a number from 0 on, got 'x'"),
        (HEADER + "a,s,p,train,-1\n", "line 2: frame must be a number from 0 on, got '-1'"),
        (HEADER + "a,s,p,train,,,1 2 3\n", "line 2: a box is 'left top right bottom', got '1 2 3'"),
        (HEADER + "a,s,p,train,,,5 2 3 4\n", "line 2: a box is"),
        (HEADER + "a,s,p,train,,,1 2 nan 4\n", "line 2: a box is"),
        (HEADER + "a,s,p,train,,,1 2 x 4\n", "line 2: could not convert"),
        (HEADER + "a,s,p,train,,,,maybe\n", "line 2: has_nodule must be yes, no or empty, got 'maybe'"),
        (HEADER + "a,s,p,train,,,,,cancer\n", "line 2: label must be one of benign, malignant, normal or empty"),
        (HEADER + "a,s,p,train,,,,,,old\n", "line 2: could not convert"),
        (HEADER + "a,s,p,train,,,,,,131\n", "line 2: age must be 0 to 130 years, got '131'"),
        (HEADER + "a,s,p,train,,,,,,nan\n", "line 2: age must be 0 to 130 years"),
        ("image,source,patient,tirads\na,s,p,6\n", "line 2: tirads must be one of 1, 2, 3, 4, 4a, 4b, 4c, 5 or empty"),
        (HEADER + "a,s,p,train,,,,,,,X\n", "line 2: sex must be one of F, M, O or empty, got 'X'"),
        (HEADER + "a,s,p,train\nb,s,p,val\n", "patient or group 'p' is in the splits 'train' and 'val'"),
    ],
)
def test_a_wrong_table(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError) as caught:
        read(tmp_path, text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b'image,source,patient,split\n"' + b"x" * 200_000])
def test_a_file_that_is_no_table(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.csv").write_bytes(content)
    with pytest.raises(DataError):
        read_csv_manifest(tmp_path / "data.csv")
    with pytest.raises(DataError, match="cannot read the data manifest"):
        read_csv_manifest(tmp_path)
