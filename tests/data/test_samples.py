"""The data manifest: what is written is read, and what is wrong is named with its line."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.data.samples import Sample, check_splits, describe, held_out, read_manifest, thin, write_manifest
from streamer.errors import DataError

HEADER = "image,source,patient,split,frame,mask,boxes_xyxy,has_nodule,label\n"


def sample(**changes: object) -> Sample:
    plain = Sample(image=Path("a.png"), source="s", patient="p", split="train")
    return replace(plain, **changes)  # type: ignore[arg-type]


def read(folder: Path, text: str) -> list[Sample]:
    path = folder / "data.csv"
    path.write_text(text, encoding="utf-8")
    return read_manifest(path)


def test_samples_come_back(tmp_path: Path) -> None:
    samples = [
        sample(image=tmp_path / "Bilder, neu" / "ä.png", patient="Zoë; 1"),
        sample(image=tmp_path / "c.mp4", frame=0, has_nodule=False),
        sample(image=Path("/elsewhere/d.png"), mask=tmp_path / "m.png", label="malignant", has_nodule=True),
        sample(image=tmp_path / "e.png", boxes_xyxy=((1.5, 2, 3, 4), (0, 0, 123.456789, 9)), has_nodule=True),
    ]
    write_manifest(samples, tmp_path / "data.csv")
    assert read_manifest(tmp_path / "data.csv") == samples
    assert "Bilder, neu/ä.png" in (tmp_path / "data.csv").read_text(encoding="utf-8")  # relative: the folder may move


def test_the_least_that_is_needed(tmp_path: Path) -> None:
    (found,) = read(tmp_path, "split,image,patient,source\nval,a.png,p,s\n")
    assert found == sample(image=tmp_path / "a.png", split="val")


def test_a_table_from_a_spreadsheet(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_bytes(b"\xef\xbb\xbfimage,source,patient,split\r\na.png,s,p,test\r\n")
    assert read_manifest(tmp_path / "data.csv")[0].split == "test"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "lacks the column 'image'"),
        ("image,source,patient\na,b,c\n", "lacks the column 'split'"),
        (HEADER + "a,s,p,train\n" + "a,s,p,dev\n", "line 3: split must be one of train, val, test, got 'dev'"),
        (HEADER + "a,s,p\n", "line 2: split is empty"),
        (HEADER + "a,s,,train\n", "line 2: patient is empty"),
        (HEADER + "a,s,p,train,x\n", "line 2: invalid literal"),
        (HEADER + "a,s,p,train,,,1 2 3\n", "line 2: a box is 'left top right bottom', got '1 2 3'"),
        (HEADER + "a,s,p,train,,,5 2 3 4\n", "line 2: a box is"),
        (HEADER + "a,s,p,train,,,1 2 nan 4\n", "line 2: a box is"),
        (HEADER + "a,s,p,train,,,1 2 x 4\n", "line 2: could not convert"),
        (HEADER + "a,s,p,train,,,,maybe\n", "line 2: has_nodule must be yes, no or empty, got 'maybe'"),
        (HEADER + "a,s,p,train,,,,,cancer\n", "line 2: label must be one of benign, malignant, normal or empty"),
        (HEADER + "a,s,p,train\nb,s,p,val\n", "patient 'p' is in the splits 'train' and 'val'"),
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
        read_manifest(tmp_path / "data.csv")
    with pytest.raises(DataError, match="cannot read the data manifest"):
        read_manifest(tmp_path)


def test_thinning_counts_frames_by_clip_and_stills_by_source() -> None:
    frames = [sample(image=Path(f"{clip}.mp4"), frame=number) for clip in "ab" for number in range(5)]
    stills = [sample(image=Path(f"{number}.png"), source="t") for number in range(4)]
    kept = thin([*frames, *stills], 2)
    assert [(item.image.name, item.frame) for item in kept] == [
        *[("a.mp4", number) for number in (0, 2, 4)],
        *[("b.mp4", number) for number in (0, 2, 4)],
        ("0.png", None),
        ("2.png", None),
    ]
    assert thin(frames, 1) == frames


def test_splits_are_checked_by_patient() -> None:
    check_splits([sample(), sample(image=Path("b")), sample(patient="q", split="val")])
    with pytest.raises(DataError, match="keep each in one"):
        check_splits([sample(), sample(split="test")])


@given(st.text(min_size=1), st.floats(0, 1))
def test_holding_out_is_the_same_every_time_and_monotonic(key: str, fraction: float) -> None:
    assert held_out(key, fraction) == held_out(key, fraction)
    assert held_out(key, 1.0)
    assert not held_out(key, 0.0)
    if held_out(key, fraction / 2):
        assert held_out(key, fraction)


def test_description_counts() -> None:
    samples = [sample(has_nodule=True, label="benign"), sample(patient="q", has_nodule=False)]
    assert describe(samples) == "2 images of 2 patients, 1 with a nodule; 1 benign"
