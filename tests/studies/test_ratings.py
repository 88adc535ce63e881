"""Files of ratings and predictions: what is read, and what is refused with row and rule."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.errors import DataError
from streamer.studies.ratings import for_cases, read_predictions, read_ratings
from streamer.studies.scale import scale_named

HEADER = "reader,group,scenario,case,patient,truth,rating\n"


def rows(*, skip: str = "", change: dict[str, str] | None = None) -> str:
    """Two readers, one scenario, four images of two patients a class."""
    lines = []
    for reader in "AB":
        for number, (patient, truth) in enumerate(
            [("p1", "malignant"), ("p1", "malignant"), ("p2", "malignant"), ("p3", "benign"), ("p4", "benign")], 1
        ):
            key = f"{reader}{number}"
            rating = {"1": "4a", "2": "5", "3": "4c", "4": "3", "5": "4b"}[str(number)]
            if key != skip:
                line = f"{reader},senior,without,i{number},{patient},{truth},{rating}"
                lines.append((change or {}).get(key, line))
    return HEADER + "\n".join(lines) + "\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "ratings.csv"
    path.write_text(text)
    return path


def test_c_tirads_and_patients(tmp_path: Path) -> None:
    data = read_ratings(write(tmp_path, rows()))
    assert data.scale.name == "c-tirads"
    assert data.ratings.scores[0, 0].tolist() == [2, 5, 4, 1, 3]
    assert data.groups == {"A": "senior", "B": "senior"}
    patients = data.by_patient()
    assert patients.cases == ("p1", "p2", "p3", "p4")
    assert patients.ratings.scores[0, 0].tolist() == [5, 4, 1, 3]
    assert patients.ratings.truth.tolist() == [True, True, False, False]
    assert not patients.has_patients


def test_a_case_that_was_not_read_makes_the_design_partially_paired(tmp_path: Path) -> None:
    text = rows().replace("p2,malignant,4c", "p2,malignant,4c").replace("B,senior,without,i2,p1,malignant,5\n", "")
    data = read_ratings(write(tmp_path, text))
    assert data.ratings.design == "partially paired"
    assert np.isnan(data.ratings.scores[0, 1, 1])
    assert data.by_patient().ratings.scores[0, 1, 0] == 2  # of the image that was read


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"A2": "A,senior,without,i2,p1,malignant,6"}, r"row 3: the rating '6' is not one of 3, 4a, 4b, 4c, 5"),
        ({"A2": "A,senior,without,i2,p1,,5"}, r"row 3: truth is empty: every case needs its truth"),
        ({"A2": "A,senior,without,i2,p1,maybe,5"}, r"row 3: truth is benign or malignant"),
        ({"A2": "A,senior,without,i2,p1,malignant,"}, r"row 3: rating is empty: leave the row out"),
        ({"A2": "A,senior,without,i1,p1,malignant,5"}, r"row 3: reader 'A' rates case 'i1' .* the first time is row 2"),
        ({"B2": "B,senior,without,i2,p1,benign,5"}, r"row 8: truth of case 'i2' differs from that in row 3"),
        ({"B2": "B,senior,without,i2,p9,malignant,5"}, r"row 8: patient of case 'i2' differs"),
        ({"B2": "B,junior,without,i2,p1,malignant,5"}, r"row 8: reader 'B' has another group"),
    ],
)
def test_wrong_rows_are_named_with_the_rule(tmp_path: Path, change: dict[str, str], message: str) -> None:
    with pytest.raises(DataError, match=message):
        read_ratings(write(tmp_path, rows(change=change)))


def test_a_reader_with_one_class_only(tmp_path: Path) -> None:
    text = "".join(line for line in rows().splitlines(keepends=True) if not line.startswith("B") or "benign" in line)
    with pytest.raises(DataError, match="reader 'B' has rated 0 malignant and 2 benign cases in 'without'"):
        read_ratings(write(tmp_path, text))


def test_missing_column_and_file(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="lacks the column 'truth'"):
        read_ratings(write(tmp_path, "reader,scenario,case,rating\nA,x,1,3\n"))
    with pytest.raises(DataError, match="cannot read"):
        read_ratings(tmp_path / "none.csv")
    with pytest.raises(DataError, match="no rows"):
        read_ratings(write(tmp_path, HEADER))


def test_scales() -> None:
    assert scale_named("1-5").parse("4") == 4
    assert scale_named("0-100").parse("37.5") == 37.5
    assert scale_named("C-TIRADS").label(3) == "4b"
    with pytest.raises(ValueError, match="not a number from 0 to 100"):
        scale_named("0-100").parse("101")
    with pytest.raises(ValueError, match="not one of 1, 2, 3, 4, 5"):
        scale_named("1-5").parse("4.5")
    with pytest.raises(DataError, match="--scale"):
        scale_named("much")


def test_predictions(tmp_path: Path) -> None:
    path = tmp_path / "ai.csv"
    path.write_text("image,probability,call\ni1,0.9,malignant\ni2,0.1,benign\n")
    predictions = read_predictions(path)
    assert for_cases(predictions.scores, ("i2", "i1")).tolist() == [0.1, 0.9]
    assert predictions.calls == {"i1": True, "i2": False}
    with pytest.raises(DataError, match="lack case 'i3'"):
        for_cases(predictions.scores, ("i3",))
    path.write_text("case,score\ni1,high\n")
    with pytest.raises(DataError, match="row 2: the score 'high' is no number"):
        read_predictions(path)
    path.write_text("case,score\ni1,1\ni1,1\n")
    with pytest.raises(DataError, match="row 3: case 'i1' has a prediction already"):
        read_predictions(path)
    path.write_text("case,score,call\ni1,1,benign\ni2,1,\n")
    with pytest.raises(DataError, match="1 rows have no call"):
        read_predictions(path)
