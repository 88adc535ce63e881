"""A folder or a manifest, in the splits asked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from streamer.data.dataset import load_dataset
from streamer.errors import DataError
from tests.data.made_up import sample
from tests.data.manifest_file import write_manifest


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no training data at"):
        load_dataset(tmp_path / "absent")


def test_a_manifest_with_a_centre_left_out(tmp_path: Path) -> None:
    fields = [{"hospital": "A"}, {"hospital": "B"}, {"split": "val"}]
    samples = [sample(image=tmp_path / f"{n}.png", group=str(n), **one) for n, one in enumerate(fields, start=1)]
    write_manifest(samples, tmp_path / "data.csv")
    dataset = load_dataset(tmp_path / "data.csv", left_out="hospital=B")
    assert {item.group: item.split for item in dataset.samples} == {"1": "train", "2": "test", "3": "val"}


def test_a_public_set_left_out(data_dir: Path) -> None:
    dataset = load_dataset(data_dir, left_out="vendor=layout 686x528")
    left = {item.image.name for item in dataset.samples if item.split == "test"}
    assert len(left) == 19  # clips of that layout
    assert dataset.splits["cine"] == "as published; vendor=layout 686x528 is test"
    assert dataset.splits["ddti"] == "as published"
