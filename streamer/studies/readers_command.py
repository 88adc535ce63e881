"""The commands about reader studies: analyse one, plan one, simulate one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import isfinite
from pathlib import Path

import numpy as np

from streamer._files import write_whole
from streamer.errors import DataError
from streamer.metrics.estimate import Resampling
from streamer.studies.areas import COVARIANCE_METHODS, CovarianceMethod
from streamer.studies.csv_file import csv_text
from streamer.studies.design import Ratings
from streamer.studies.mrmc import analyse
from streamer.studies.page import results_folder, write_page
from streamer.studies.planning import Pilot, StudyDesign, plan
from streamer.studies.ratings import for_cases, read_predictions, read_ratings
from streamer.studies.readers import ReaderStudy, study_readers
from streamer.studies.readers_page import readers_page
from streamer.studies.scale import C_TIRADS
from streamer.studies.simulate import Cases, ReaderModel, simulate

_MAX_COUNT = 100_000
RATING_COLUMNS = ("reader", "group", "scenario", "case", "patient", "truth", "rating")


def run_readers(
    ratings: Path,
    output: Path,
    *,
    ai: Path | None = None,
    scale: str | None = None,
    baseline: str | None = None,
    threshold: float | None = None,
    covariance: str | None = None,
    resamples: int = 1000,
    progress: Callable[[str], None] = lambda _: None,
) -> ReaderStudy:
    """Analyse a reader study and write its page and tables.

    Raises:
        DataError: a file is wrong, or the method does not fit.
        OutputError: the folder cannot be written.
    """
    predictions = None if ai is None else read_predictions(ai)
    data = read_ratings(ratings, scale=scale)
    method = _method(covariance)
    with results_folder(output):
        study = study_readers(
            data,
            predictions,
            baseline=baseline,
            threshold=threshold,
            method=method,
            resampling=Resampling(resamples=resamples),
            progress=progress,
        )
        write_page(readers_page(study), output)
    return study


def pilot_of(ratings: Path, *, scale: str | None = None, scenarios: tuple[str, str] | None = None) -> Pilot:
    """The variances of a pilot study, at patient level where patients have several images.

    Args:
        ratings: its ratings.
        scale: of the ratings.
        scenarios: the two to compare; default: the first two of the file.

    Raises:
        DataError: the file is wrong, or has too few readers or scenarios.
    """
    data = read_ratings(ratings, scale=scale)
    if data.has_patients:
        data = data.by_patient()
    names = scenarios or data.ratings.treatments[:2]
    if len(names) < 2 or not set(names) <= set(data.ratings.treatments):
        raise DataError(f"a pilot compares two scenarios; {ratings} has {', '.join(data.ratings.treatments)}")
    rows = [data.ratings.treatments.index(name) for name in names]
    two = Ratings(
        treatments=tuple(names),
        readers=data.ratings.readers,
        truth=data.ratings.truth,
        scores=data.ratings.scores[rows],
    )
    found = analyse(two)
    assert found.components is not None, "readers and cases are random"
    return Pilot(components=found.components, cases=len(two.truth), area=found.means[0].value)


def plans(
    pilot: Pilot, *, difference: float, readers: Sequence[int], target: float, fixed_readers: bool, share: float | None
) -> list[tuple[int, StudyDesign | None]]:
    """The fewest cases for each number of readers.

    Raises:
        DataError: a value is out of range.
    """
    return [
        (
            count,
            plan(
                pilot,
                difference=difference,
                readers=count,
                target=target,
                population="cases" if fixed_readers else "both",
                malignant_share=share,
            ),
        )
        for count in readers
    ]


def cases_of(predictions: Path) -> Cases:
    """Cases with the network's scores: a file of predictions with the columns case, truth, score, and patient if any.

    Raises:
        DataError: the file is wrong or names no truth.
    """
    found = read_predictions(predictions)
    names = tuple(found.scores)
    for name in names:
        if name not in found.truth:
            raise DataError(f"{predictions}: case {name!r} has no truth, benign or malignant")
    return Cases(
        names=names,
        patients=tuple(found.patients[name] for name in names),
        truth=np.array([found.truth[name] for name in names], np.bool_),
        ai=for_cases(found.scores, names),
    )


def write_simulation(
    path: Path,
    model: ReaderModel,
    cases: Cases,
    *,
    scenarios: Sequence[str],
    readers: int,
    seniors: int,
    seed: int,
) -> None:
    """Simulate a reader study and write its ratings, C-TIRADS categories.

    Raises:
        DataError: the model does not fit.
        OutputError: the file cannot be written.
    """
    names = [f"reader-{number}" for number in range(1, readers + 1)]
    study = simulate(model, cases, scenarios=scenarios, readers=names, seed=seed)
    rows = [
        (
            name, "senior" if j < seniors else "junior", scenario, case, cases.patients[k],
            "malignant" if cases.truth[k] else "benign", C_TIRADS[int(study.scores[i, j, k]) - 1],
        )
        for i, scenario in enumerate(scenarios) for j, name in enumerate(names) for k, case in enumerate(cases.names)
    ]  # fmt: skip
    write_whole(path, csv_text(RATING_COLUMNS, rows).encode())


def counts_of(text: str, count: int, option: str) -> tuple[int, ...]:
    """As `numbers_of`, whole numbers up to 100,000.

    Raises:
        DataError: they are not.
    """
    numbers = numbers_of(text, count, option)
    if not all(number.is_integer() and 0 <= number <= _MAX_COUNT for number in numbers):
        raise DataError(f"{option} is {count} whole numbers from 0 to {_MAX_COUNT:,}, got {text!r}")
    return tuple(int(number) for number in numbers)


def numbers_of(text: str, count: int, option: str) -> tuple[float, ...]:
    """Numbers that an option lists, separated by commas.

    Raises:
        DataError: another count, or no numbers.
    """
    try:
        numbers = tuple(float(part) for part in text.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != count or not all(isfinite(number) for number in numbers):
        raise DataError(f"{option} is {count} numbers separated by commas, got {text!r}")
    return numbers


def _method(name: str | None) -> CovarianceMethod | None:
    for method in COVARIANCE_METHODS:
        if method == name:
            return method
    if name is not None:
        raise DataError(f"covariances are by {', '.join(COVARIANCE_METHODS)}, got {name!r}")
    return None
