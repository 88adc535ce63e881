"""Splits: whole patients, in the same shares and the same every time; one centre left out."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamer.data.samples import SPLITS, Dataset, Label, Sample
from streamer.data.splits import check_splits, held_out, leave_out, split_groups
from streamer.errors import DataError
from tests.data.made_up import sample


def patients(count: int, label: Label, images: int = 1) -> list[Sample]:
    return [sample(group=f"{label}{number}", label=label) for number in range(count) for _ in range(images)]


def test_splits_are_checked_by_patient() -> None:
    check_splits([sample(), sample(frame=1), sample(group="q", split="val")])
    with pytest.raises(DataError, match="keep each in one"):
        check_splits([sample(), sample(split="test")])


@given(st.text(min_size=1), st.floats(0, 1))
def test_holding_out_is_the_same_every_time_and_monotonic(key: str, fraction: float) -> None:
    assert held_out(key, fraction) == held_out(key, fraction)
    assert held_out(key, 1.0)
    assert not held_out(key, 0.0)
    if held_out(key, fraction / 2):
        assert held_out(key, fraction)


@settings(max_examples=25)
@given(st.integers(0, 60), st.integers(0, 60), st.integers(1, 3), st.integers(0, 9))
def test_patients_are_split_whole_in_the_same_shares_for_each_class(
    benign: int, malignant: int, images: int, seed: int
) -> None:
    samples = [*patients(benign, "benign", images), *patients(malignant, "malignant", images)]
    split = split_groups(samples, seed)
    check_splits(split)
    for label, count in (("benign", benign), ("malignant", malignant)):
        found = Counter(item.split for item in split if item.label == label)
        for name, share in zip(SPLITS, (0.7, 0.2, 0.1), strict=True):
            assert abs(found[name] / images - share * count) < 2, (label, name)


def test_the_split_depends_on_the_seed_but_not_on_the_order() -> None:
    samples = patients(40, "benign")
    once = {item.group: item.split for item in split_groups(samples, 1)}
    again = {item.group: item.split for item in split_groups(samples[::-1], 1)}
    other = {item.group: item.split for item in split_groups(samples, 2)}
    assert once == again != other


def test_few_patients_reach_all_splits() -> None:
    assert {item.split for item in split_groups(patients(6, "benign"), 0)} == {"train", "val", "test"}


def centres() -> Dataset:
    samples = [
        sample(group="1", hospital="A", vendor="x"),
        sample(group="2", hospital="A", vendor="y", split="val"),
        sample(group="3", hospital="B", vendor="x", split="val"),
        sample(group="3", hospital="A", vendor="y", split="val"),
        sample(group="4", hospital="C", vendor="x", split="test"),
        sample(group="5", source="t"),
    ]
    return Dataset(samples, {"s": "as given", "t": "as given"})


def test_a_centre_left_out_is_the_test_split_and_nothing_else_is() -> None:
    left = leave_out(centres(), "hospital=B")
    assert [(item.group, item.hospital, item.split) for item in left.samples] == [
        ("1", "A", "train"),
        ("2", "A", "val"),
        ("5", None, "train"),
        ("3", "B", "test"),  # the same patient's image at A is left aside
    ]
    assert left.splits == {"s": "as given; hospital=B is test", "t": "as given"}
    assert {item.group for item in leave_out(centres(), "source=t").samples if item.split == "test"} == {"5"}


@pytest.mark.parametrize(
    ("centre", "message"),
    [
        ("hospital=Z", "there is no hospital 'Z' to leave out; known: A, B, C"),
        ("vendor=", "there is no vendor '' to leave out; known: x, y"),
        ("region=North", "the data name no region"),
        ("patient=3", "leave out one of hospital, vendor, region, source"),
    ],
)
def test_a_centre_that_is_not_there(centre: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        leave_out(centres(), centre)
