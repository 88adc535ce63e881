"""CSV files of studies: headings and rows that are refused, and text that no spreadsheet runs."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from streamer.errors import DataError
from streamer.studies.csv_file import csv_text, read_rows

ALIASES = {"image": "case", "probability": "score", "malignancy": "score"}


def written(folder: Path, text: str) -> Path:
    path = folder / "table.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_headings_are_read_in_any_case_and_under_their_other_names(tmp_path: Path) -> None:
    path = written(tmp_path, "\ufeffImage, PROBABILITY ,Note\na,0.5\n\nb, 0.25 ,x\n")
    assert read_rows(path, ("case", "score"), aliases=ALIASES) == [
        (2, {"case": "a", "score": "0.5", "note": ""}),
        (4, {"case": "b", "score": "0.25", "note": "x"}),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("case,score,score\na,1,2\n", "has the column 'score' twice: keep one"),
        ("case,score,Score \na,1,2\n", "has the column 'score' twice: keep one"),
        ("case,probability,malignancy\na,1,2\n", "has the column both 'probability' and 'malignancy': keep one"),
        ("case\na\n", "lacks the column 'score'; it needs case, score"),
        ("case,score\na,0,5\n", "row 2: 3 values for 2 columns: put quotes"),
        ("", "lacks the column 'case'"),
        ("case,score\n\n", "has a header and no rows"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_rows(written(tmp_path, text), ("case", "score"), aliases=ALIASES)


def test_columns_without_a_name_may_be_many(tmp_path: Path) -> None:
    path = written(tmp_path, "case,score,,\na,1,,\n")
    assert read_rows(path, ("case", "score"))[0][1]["score"] == "1"


@pytest.mark.parametrize("text", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "-", "'=1", "''@x", "=cmd|' /C calc'!A0"])
def test_what_a_spreadsheet_would_run_gets_an_apostrophe_and_loses_it_again(tmp_path: Path, text: str) -> None:
    path = written(tmp_path, csv_text(("name", text), [(text, text)]))
    with path.open(newline="", encoding="utf-8") as stream:
        cells = [cell for row in csv.reader(stream) for cell in row][1:]
    assert cells == [f"'{text}"] * 3
    assert read_rows(path, ("name",))[0][1]["name"] == text


@pytest.mark.parametrize("cell", [-0.25, "-0.25", "+1e-05", -3, "a=b", "'quoted'", "4a", "-.5"])
def test_numbers_and_other_text_stay_as_they_are(tmp_path: Path, cell: float | str) -> None:
    path = written(tmp_path, csv_text(("name", "other"), [(cell, None)]))
    assert path.read_text(encoding="utf-8").splitlines()[1] == f"{cell},"
    assert read_rows(path, ("name",))[0][1] == {"name": str(cell), "other": ""}
