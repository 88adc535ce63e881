"""Files of a reader study: the readers' ratings and the network's predictions, read and checked row by row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamer.errors import DataError
from streamer.studies.areas import Bools, Floats
from streamer.studies.csv_file import read_rows
from streamer.studies.design import Ratings
from streamer.studies.scale import Scale, scale_named, scale_of

_TRUTH = {"0": False, "1": True, "benign": False, "malignant": True}
_ALIASES = {"treatment": "scenario", "image": "case", "probability": "score", "malignancy": "score", "label": "truth"}
_REQUIRED = ("reader", "scenario", "case", "truth", "rating")


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderRatings:
    """All ratings of a study, at the level of images.

    Attributes:
        ratings: scenarios, readers and cases (images).
        cases: name of each case, of length n.
        patients: patient of each case, of length n; the case itself where the file names none.
        scale: what the ratings mean.
        groups: group of each reader, such as "senior"; empty where the file names none.
    """

    ratings: Ratings
    cases: tuple[str, ...]
    patients: tuple[str, ...]
    scale: Scale
    groups: Mapping[str, str]

    @property
    def clusters(self) -> npt.NDArray[np.int64]:
        """Number of each case's patient, from 0, shape (n,)."""
        return np.unique(np.array(self.patients), return_inverse=True)[1].astype(np.int64)

    @property
    def has_patients(self) -> bool:
        """Whether a patient has more than one case, so that two levels differ."""
        return len(set(self.patients)) < len(self.patients)

    def by_patient(self) -> ReaderRatings:
        """The greatest rating over a patient's images; malignant if any image is.

        An image that was not rated does not count; a patient without a rated image has none.
        """
        names = tuple(dict.fromkeys(self.patients))
        place = {name: number for number, name in enumerate(names)}
        row = np.array([place[name] for name in self.patients])
        truth = np.zeros(len(names), np.bool_)
        np.logical_or.at(truth, row, self.ratings.truth)
        scores = np.full((*self.ratings.scores.shape[:2], len(names)), -np.inf)
        for case, patient in enumerate(row):
            scores[:, :, patient] = np.fmax(scores[:, :, patient], self.ratings.scores[:, :, case])
        scores[np.isneginf(scores)] = np.nan
        return ReaderRatings(
            ratings=Ratings(
                treatments=self.ratings.treatments, readers=self.ratings.readers, truth=truth, scores=scores
            ),
            cases=names,
            patients=names,
            scale=self.scale,
            groups=self.groups,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Predictions:
    """What the network says of each case.

    Attributes:
        scores: of each case by name; higher is more suspicious.
        calls: whether each case is called malignant, by name; empty where the file does not say.
        truth: whether a case is malignant, by name; without the cases of which the file does not say.
        patients: of each case by name, the case itself where the file names none.
    """

    scores: Mapping[str, float]
    calls: Mapping[str, bool]
    truth: Mapping[str, bool] = field(default_factory=dict)
    patients: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Row:
    line: int
    reader: str
    scenario: str
    case: str
    patient: str
    group: str
    truth: bool
    rating: str


def read_ratings(path: Path, *, scale: str | None = None) -> ReaderRatings:
    """Read a CSV of ratings: columns reader, scenario (or treatment), case, truth, rating; patient and group if any.

    Args:
        path: the file.
        scale: what ratings can be, see `scale_named`; default: C-TIRADS where 4a, 4b or 4c occur, else 1 to 5.

    Raises:
        DataError: the file cannot be read, or a row is wrong; row and rule are named.
    """
    rows = [_row(line, row, path) for line, row in read_rows(path, _REQUIRED, aliases=_ALIASES)]
    ruler = scale_of(row.rating for row in rows) if scale is None else scale_named(scale)
    seen: dict[tuple[str, str, str], int] = {}
    facts: dict[str, _Row] = {}
    values: dict[tuple[str, str, str], float] = {}
    for row in rows:
        key = (row.scenario, row.reader, row.case)
        if key in seen:
            raise DataError(
                f"{path}, row {row.line}: reader {row.reader!r} rates case {row.case!r} in scenario "
                f"{row.scenario!r} again; the first time is row {seen[key]}: keep one"
            )
        seen[key] = row.line
        first = facts.setdefault(row.case, row)
        for name in ("truth", "patient"):
            if getattr(first, name) != getattr(row, name):
                raise DataError(
                    f"{path}, row {row.line}: {name} of case {row.case!r} differs from that in row {first.line}"
                )
        try:
            values[key] = ruler.parse(row.rating)
        except ValueError as error:
            raise DataError(f"{path}, row {row.line}: {error}; another scale is named with --scale") from error
    return _assemble(rows, values, facts, ruler, path)


def read_predictions(path: Path) -> Predictions:
    """Read a CSV of predictions: columns case (or image), score (or probability); call, truth, patient if any.

    Raises:
        DataError: the file cannot be read, or a row is wrong; row and rule are named.
    """
    scores: dict[str, float] = {}
    calls: dict[str, bool] = {}
    truth: dict[str, bool] = {}
    patients: dict[str, str] = {}
    for line, row in read_rows(path, ("case", "score"), aliases=_ALIASES):
        place = f"{path}, row {line}"
        if not row["case"]:
            raise DataError(f"{place}: case is empty: fill it in")
        if row["case"] in scores:
            raise DataError(f"{place}: case {row['case']!r} has a prediction already: keep one")
        try:
            value = float(row["score"])
        except ValueError:
            value = float("nan")
        if not isfinite(value):
            raise DataError(f"{place}: the score {row['score']!r} is no number")
        scores[row["case"]] = value
        if call := row.get("call", "").lower():
            if call not in _TRUTH:
                raise DataError(f"{place}: call is benign or malignant, got {row['call']!r}")
            calls[row["case"]] = _TRUTH[call]
        if (word := row.get("truth", "").lower()) in _TRUTH:
            truth[row["case"]] = _TRUTH[word]
        patients[row["case"]] = row.get("patient", "") or row["case"]
    if calls and len(calls) < len(scores):
        raise DataError(f"{path}: {len(scores) - len(calls)} rows have no call; fill in the column for all or for none")
    return Predictions(scores=scores, calls=calls, truth=truth, patients=patients)


def for_cases(predictions: Mapping[str, float], cases: Sequence[str]) -> Floats:
    """The predictions of these cases, in their order, shape (n,).

    Raises:
        DataError: a case has none.
    """
    for case in cases:
        if case not in predictions:
            raise DataError(f"the predictions lack case {case!r}: predict every case that was rated")
    return np.array([float(predictions[case]) for case in cases], np.float64)


def _assemble(
    rows: Sequence[_Row],
    values: Mapping[tuple[str, str, str], float],
    facts: Mapping[str, _Row],
    scale: Scale,
    path: Path,
) -> ReaderRatings:
    scenarios = tuple(dict.fromkeys(row.scenario for row in rows))
    readers = tuple(dict.fromkeys(row.reader for row in rows))
    cases = tuple(facts)
    scores = np.full((len(scenarios), len(readers), len(cases)), np.nan)
    column = {case: number for number, case in enumerate(cases)}
    at_scenario = {name: number for number, name in enumerate(scenarios)}
    at_reader = {name: number for number, name in enumerate(readers)}
    for (scenario, reader, case), value in values.items():
        scores[at_scenario[scenario], at_reader[reader], column[case]] = value
    truth: Bools = np.array([row.truth for row in facts.values()], np.bool_)
    groups: dict[str, str] = {}
    for row in rows:
        if groups.setdefault(row.reader, row.group) != row.group:
            raise DataError(f"{path}, row {row.line}: reader {row.reader!r} has another group than before")
    try:
        ratings = Ratings(treatments=scenarios, readers=readers, truth=truth, scores=scores)
    except DataError as error:
        raise DataError(f"{path}: {error}") from error
    return ReaderRatings(
        ratings=ratings,
        cases=cases,
        patients=tuple(row.patient or row.case for row in facts.values()),
        scale=scale,
        groups={reader: group for reader, group in groups.items() if group},
    )


def _row(line: int, row: Mapping[str, str], path: Path) -> _Row:
    for name in _REQUIRED:
        if not row[name]:
            rule = {
                "truth": "every case needs its truth, benign or malignant",
                "rating": "leave the row out for a case that was not read",
            }.get(name, "fill it in")
            raise DataError(f"{path}, row {line}: {name} is empty: {rule}")
    if row["truth"].lower() not in _TRUTH:
        raise DataError(f"{path}, row {line}: truth is benign or malignant (or 0, 1), got {row['truth']!r}")
    return _Row(
        line=line,
        reader=row["reader"],
        scenario=row["scenario"],
        case=row["case"],
        patient=row.get("patient", ""),
        group=row.get("group", ""),
        truth=_TRUTH[row["truth"].lower()],
        rating=row["rating"],
    )
