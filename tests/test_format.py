"""Tables as text."""

from __future__ import annotations

from streamer._format import TextTable

TABLE = TextTable(title="speed", headings=("stage", "ms", "of"), rows=[("crops", "12.0", "a|b"), ("all", "4.1", "c")])


def test_columns_are_aligned() -> None:
    assert TABLE.text().splitlines() == [
        "speed",
        "stage    ms   of",
        "-----  ----  ---",
        "crops  12.0  a|b",
        "all     4.1    c",
    ]


def test_markdown_keeps_pipes_inside_cells() -> None:
    assert TABLE.markdown().splitlines() == [
        "### speed",
        "",
        "| stage | ms | of |",
        "| --- | ---: | ---: |",
        "| crops | 12.0 | a\\|b |",
        "| all | 4.1 | c |",
    ]


def test_left_columns_and_no_title() -> None:
    table = TextTable(headings=("", "name"), rows=[("1", "b")], left=frozenset({1}))
    assert table.text() == "   name\n-  ----\n1  b"
    assert table.markdown() == "|  | name |\n| ---: | --- |\n| 1 | b |"
