"""Physicians' readings: a CSV of what each said of each image, and simulated readers of a stated skill."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from streamer.errors import DataError
from streamer.scintigraphy.classes import CLASSES, Diagnosis, required_class
from streamer.scintigraphy.csv_rows import csv_rows
from streamer.scintigraphy.samples import ScintigraphySample

Readings = dict[str, dict[str, Diagnosis]]
"""By reader: what was said, by patient (`CENTRE/ID`)."""

_COLUMNS = ("reader", "patient", "reading")
_MISTAKEN: Mapping[Diagnosis, Sequence[float]] = {
    "graves": (0.0, 0.7, 0.0, 0.3),
    "normal": (0.25, 0.0, 0.25, 0.5),
    "subacute": (0.0, 0.5, 0.0, 0.5),
    "tumour": (0.15, 0.5, 0.35, 0.0),
}
"""What a simulated reader says instead, in the order of the classes: set by hand, from how the classes look alike."""


def read_readings(path: Path, samples: Iterable[ScintigraphySample], *, others: bool = False) -> Readings:
    """Read physicians' readings.

    Args:
        path: CSV with the columns `reader`, `patient` (`CENTRE/ID`, or the ID where no other centre has it; that of an
            image without a patient is its name without suffix), `reading`.
        samples: the images that were read.
        others: leave readings of other patients out, instead of refusing them.

    Raises:
        DataError: a column is missing, a reading is no class, a patient is unknown or not unique, or was read twice;
            or no reading is left.
    """
    known = {sample.patient for sample in samples}
    short: dict[str, list[str]] = {}
    for patient in sorted(known):
        short.setdefault(patient.partition("/")[2], []).append(patient)
    readings: Readings = {}
    for place, row in csv_rows(path, _COLUMNS, what="readings"):
        name, patient, reading = (row[column] for column in _COLUMNS)
        if not name:
            raise DataError(f"{place}: reader is empty")
        found = [patient] if patient in known else short.get(patient, [])
        if others and not found:
            continue
        if len(found) != 1:
            problem = "no image of the data" if not found else f"{len(found)} images; write CENTRE/ID"
            raise DataError(f"{place}: the patient fits {problem}")
        own = readings.setdefault(name, {})
        if found[0] in own:
            raise DataError(f"{place}: {name!r} has read this patient already")
        own[found[0]] = required_class(reading, place)
    if not readings:
        raise DataError(f"{path}: no reading is of a patient among the predictions")
    return readings


def count_readings(path: Path) -> int:
    """Number of readings in a CSV.

    Raises:
        DataError: it cannot be read.
    """
    return sum(1 for _ in csv_rows(path, _COLUMNS, what="readings"))


def write_readings(path: Path, readings: Readings) -> None:
    """Write readings as the CSV that `read_readings` reads."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(_COLUMNS)
        writer.writerows((name, patient, said) for name, own in readings.items() for patient, said in own.items())


def simulate_reader(
    samples: Sequence[ScintigraphySample], *, internal: float, external: float, seed: int
) -> dict[str, Diagnosis]:
    """What a reader says who is right with a stated probability; no physician, no statement about physicians.

    Args:
        samples: the images read.
        internal, external: probability of a right answer on the internal centre's images and on others.
        seed: another seed, other mistakes.
    """
    rng = np.random.default_rng(seed)
    said: dict[str, Diagnosis] = {}
    for sample in samples:
        right = rng.random() < (external if sample.split == "external" else internal)
        other = CLASSES[int(rng.choice(len(CLASSES), p=_MISTAKEN[sample.label]))]
        said[sample.patient] = sample.label if right else other
    return said
