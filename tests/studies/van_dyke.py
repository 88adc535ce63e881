"""The published reader study that the tests use."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest

from streamer.studies.design import Ratings


def van_dyke_path() -> Path:
    """Its file; skips the test where it is not there."""
    data = Path(os.environ.get("STREAMER_DATA", Path(__file__).resolve().parents[2].parent / "shared" / "data"))
    path = data / "readers" / "vandyke.csv"
    if not path.is_file():
        pytest.skip(f"no {path}: set STREAMER_DATA")
    return path


def van_dyke(column: str = "case") -> Ratings:
    """Its ratings, with the cases of a column."""
    with van_dyke_path().open() as stream:
        rows = list(csv.DictReader(stream))
    cases = list(dict.fromkeys(row[column] for row in rows))
    scores, truth = np.full((2, 5, len(cases)), np.nan), np.zeros(len(cases), np.bool_)
    for row in rows:
        case = cases.index(row[column])
        scores[int(row["treatment"]) - 1, int(row["reader"]) - 1, case] = float(row["rating"])
        truth[case] = row["truth"] == "1"
    return Ratings(treatments=("1", "2"), readers=tuple("12345"), truth=truth, scores=scores)
