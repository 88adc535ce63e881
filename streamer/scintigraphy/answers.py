"""What networks and readers say of a set of images, as the tables and figures take it, and as a CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from streamer.errors import DataError
from streamer.metrics.multiclass import Answers, ClassFigures, OverallFigures, answers, class_figures, overall_figures
from streamer.scintigraphy.classes import CLASSES, Diagnosis, required_class
from streamer.scintigraphy.csv_rows import csv_rows
from streamer.scintigraphy.readings import Readings
from streamer.scintigraphy.samples import ScintigraphySample

SetName = Literal["internal validation", "external validation"]

_COLUMNS = ("image", "patient", "centre", "set", "truth", "answer", *(f"p_{name}" for name in CLASSES), "mark")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What one network or reader said of one set.

    Attributes:
        name: of the network or reader.
        answers: truth and answers.
        samples: the images, in the answers' order.
        overall, by_class: figures; the latter in the order of the classes.
    """

    name: str
    answers: Answers
    samples: tuple[ScintigraphySample, ...]
    overall: OverallFigures
    by_class: tuple[ClassFigures, ...]


def said_by(name: str, given: Answers, samples: Sequence[ScintigraphySample]) -> Said:
    """Answers with their figures."""
    return Said(
        name=name,
        answers=given,
        samples=tuple(samples),
        overall=overall_figures(given),
        by_class=tuple(class_figures(given, number) for number in range(given.classes)),
    )


def of_network(name: str, samples: Sequence[ScintigraphySample], probabilities: np.ndarray) -> Said:
    """A network's answers."""
    truth = [CLASSES.index(sample.label) for sample in samples]
    given = answers(truth, probabilities, [sample.patient for sample in samples])
    return said_by(name, given, samples)


def of_reader(name: str, samples: Sequence[ScintigraphySample], said: Mapping[str, Diagnosis]) -> Said | None:
    """A reader's answers on those images that the reader has read; None if that is none."""
    read = [sample for sample in samples if sample.patient in said]
    if not read:
        return None
    given = Answers(
        truth=np.array([CLASSES.index(sample.label) for sample in read], np.int64),
        said=np.array([CLASSES.index(said[sample.patient]) for sample in read], np.int64),
        patients=np.array([sample.patient for sample in read], np.str_),
        probabilities=None,
        classes=len(CLASSES),
    )
    return said_by(name, given, read)


def of_readers(samples: Sequence[ScintigraphySample], readings: Readings) -> list[Said]:
    """All readers who have read some of the images."""
    found = [of_reader(name, samples, said) for name, said in readings.items()]
    return [one for one in found if one is not None]


def on_the_same(model: Said, reader: Said) -> tuple[Answers, Answers]:
    """The model's answers on the images that the reader has read, and the reader's."""
    place = {(sample.image, sample.frame): number for number, sample in enumerate(model.samples)}
    rows = np.array([place[sample.image, sample.frame] for sample in reader.samples], np.int64)
    whole = model.answers
    part = Answers(
        truth=whole.truth[rows],
        said=whole.said[rows],
        patients=whole.patients[rows],
        probabilities=None if whole.probabilities is None else whole.probabilities[rows],
        classes=whole.classes,
    )
    return part, reader.answers


def predictions_csv(sets: Mapping[SetName, Said], marks: Mapping[Path, str]) -> str:
    """A network's answers on all sets, a line an image."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for name, said in sets.items():
        probabilities = said.answers.probabilities
        if probabilities is None:
            continue
        for number, sample in enumerate(said.samples):
            shown = [f"{value:.6f}" for value in probabilities[number]]
            answer = CLASSES[said.answers.said[number]]
            mark = marks.get(sample.image, "")
            writer.writerow(
                [sample.image.name, sample.patient, sample.centre, name, sample.label, answer, *shown, mark]
            )
    return stream.getvalue()


def read_predictions(path: Path) -> tuple[dict[SetName, Said], str]:
    """A network's answers, as `predictions_csv` wrote them, and the mark they carry.

    Raises:
        DataError: the file cannot be read or a line is wrong.
    """
    rows: dict[SetName, list[tuple[ScintigraphySample, list[float]]]] = {}
    marks = set()
    for number, (place, row) in enumerate(csv_rows(path, _COLUMNS, what="predictions")):
        name = row["set"]
        if name not in ("internal validation", "external validation"):
            raise DataError(f"{place}: there is no set {name!r}")
        sample = ScintigraphySample(
            image=Path(f"{number}/{row['image']}"),
            patient=row["patient"],
            label=required_class(row["truth"], place),
            centre=row["centre"],
            split="external" if name == "external validation" else "val",
        )
        rows.setdefault(name, []).append((sample, _probabilities(row, place)))  # type: ignore[arg-type]
        marks.add(row["mark"])
    sets = {
        name: of_network("model", [one for one, _ in part], np.array([values for _, values in part]))
        for name, part in rows.items()
    }
    return sets, "; ".join(sorted(marks - {""}))


def _probabilities(row: Mapping[str, str], place: str) -> list[float]:
    try:
        values = [float(row[f"p_{known}"]) for known in CLASSES]
    except ValueError:
        values = []
    if not values or not all(0 <= value <= 1 for value in values):
        raise DataError(f"{place}: the probabilities p_... must be numbers from 0 to 1")
    return values
