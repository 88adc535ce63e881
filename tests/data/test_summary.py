"""The class balance report."""

from __future__ import annotations

from streamer.data.samples import Sample
from streamer.data.summary import balance_table, balance_warnings, count
from tests.data.made_up import sample


def data() -> list[Sample]:
    return [
        sample(group="1", label="benign", has_nodule=True, vendor="x", sex="F"),
        sample(group="1", label="malignant", has_nodule=True, vendor="x", sex="F"),
        sample(group="2", label="malignant", has_nodule=True, split="val", vendor="y", hospital="s"),
        sample(group="3", source="t", has_nodule=False),
        sample(group="4", source="u", split="test"),
    ]


def test_counts() -> None:
    balance = count(data(), 10)
    assert (balance.images, balance.share, balance.groups) == (5, 0.5, 4)
    assert (balance.with_nodule, balance.without_nodule, balance.benign, balance.malignant) == (3, 1, 1, 2)
    assert count([], 0).share == 0


def test_a_row_for_each_source_and_split_then_for_what_else_is_known() -> None:
    rows = [line.split() for line in balance_table(data(), "class balance").text().splitlines()]
    assert ["s", "train", "2", "40%", "1", "2", "0", "1", "1"] in rows
    assert ["s", "val", "1", "20%", "1", "1", "0", "0", "1"] in rows
    assert ["t", "train", "1", "20%", "1", "0", "1", "0", "0"] in rows
    names = [row[0] for row in rows if row]
    assert (names.count("vendor"), names.count("sex")) == (2, 1)
    assert "hospital" not in names  # it is the source's name


def test_warnings_name_what_is_missing() -> None:
    assert balance_warnings(data()) == ["s, val: no benign images", "t has no val images"]
