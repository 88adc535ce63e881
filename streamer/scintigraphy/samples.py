"""A hospital's labelled images: a folder a class (and a centre), or a CSV; splits by whole patients.

Folder: `CENTRE/CLASS/IMAGE` or `CLASS/IMAGE`; the file's name is the patient, as in the paper (one image a patient).
CSV: columns `image` and `label`, and where known `patient`, `centre`, `split` (train, val, external), `frame`,
`colour_map` and `mask`; paths are relative to the CSV.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from sklearn.model_selection import StratifiedGroupKFold

from streamer.errors import DataError
from streamer.scintigraphy.classes import CLASSES, Diagnosis, parse_class, required_class
from streamer.scintigraphy.colour_maps import COLOUR_MAPS
from streamer.scintigraphy.csv_rows import csv_rows
from streamer.scintigraphy.read import is_hidden, is_image

Split = Literal["train", "val", "external"]

FOLDS = 5
"""Folds of the cross-validation; the first of them is also the paper's 8:2 split."""
ONE_CENTRE = "one centre"
"""Name of the centre where the data name none."""

_REQUIRED = ("image", "label")
_COLUMNS = (*_REQUIRED, "patient", "centre", "split", "frame", "colour_map", "mask")
_TRUTH = "truth.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScintigraphySample:
    """One labelled image.

    Attributes:
        image: file.
        patient: the unit that is never split; ids of different centres never coincide.
        label: the class.
        centre: the hospital.
        split: train and val of the internal centre, external for the others.
        frame: of a DICOM file; None for the view that `read_image` chooses.
        colour_map: of a coloured export; None to find out.
        mask: a phantom's true regions; None where there is no truth.
    """

    image: Path
    patient: str
    label: Diagnosis
    centre: str
    split: Split = "train"
    frame: int | None = None
    colour_map: str | None = None
    mask: Path | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScintigraphyData:
    """Samples in their splits, and in words how they came there.

    Attributes:
        samples: all of them.
        internal: centre that trains and validates.
        rule: how the splits were made.
    """

    samples: tuple[ScintigraphySample, ...]
    internal: str
    rule: str

    def part(self, split: Split) -> list[ScintigraphySample]:
        """The samples of a split."""
        return [sample for sample in self.samples if sample.split == split]

    @property
    def digest(self) -> str:
        """Checksum of names, labels and splits, which a resumed run must share."""
        lines = [f"{one.patient}\t{one.image.name}\t{one.label}\t{one.split}" for one in self.samples]
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()


def read_samples(path: Path, *, internal: str | None = None, seed: int = 0) -> ScintigraphyData:
    """Read labelled images and split them: the internal centre 8:2 by patient and class, other centres external.

    Args:
        path: folder or CSV.
        internal: the centre to train on; None for the one with most patients.
        seed: of the split; the same seed always splits the same patients alike.

    Raises:
        DataError: nothing is found, a class is empty, a patient stands in two classes or two splits, a line is wrong,
            or the centre is not there.
    """
    samples = _from_csv(path) if path.is_file() else _from_folder(path)
    _one_class_a_patient(samples)
    if any(sample.split for sample, given in samples if given):
        return _as_given([sample for sample, _ in samples], all(given for _, given in samples), path)
    parts = [sample for sample, _ in samples]
    patients = Counter(centre for centre, _ in {(sample.centre, sample.patient) for sample in parts})
    if internal is not None and internal not in patients:
        raise DataError(f"{path} has no centre {internal!r}; it has {', '.join(sorted(patients))}")
    chosen = internal or max(sorted(patients), key=lambda name: patients[name])
    inside = [sample for sample in parts if sample.centre == chosen]
    _every_class(inside, f"{path}, centre {chosen!r}" if len(patients) > 1 else str(path))
    split = fold_split(inside, 0, seed=seed)
    outside = [replace(sample, split="external") for sample in parts if sample.centre != chosen]
    rule = f"{chosen}: 8:2 by patient and class, seed {seed}"
    rule += f"; external: {', '.join(sorted(set(patients) - {chosen}))}" if outside else "; no external centre"
    return ScintigraphyData(samples=(*split, *outside), internal=chosen, rule=rule)


def fold_split(samples: Sequence[ScintigraphySample], fold: int, *, seed: int = 0) -> list[ScintigraphySample]:
    """Hold one of five folds out for validation: whole patients, each class in the same share.

    Raises:
        DataError: a class has fewer patients than there are folds.
    """
    ordered = sorted(samples, key=lambda sample: (sample.patient, str(sample.image)))
    counts = Counter(label for label, _ in {(sample.label, sample.patient) for sample in ordered})
    fewest = min(CLASSES, key=lambda label: counts[label])
    if counts[fewest] < FOLDS:
        raise DataError(f"too few patients of the class {fewest!r} to split them: {counts[fewest]} of at least {FOLDS}")
    labels, patients = [sample.label for sample in ordered], [sample.patient for sample in ordered]
    folds = StratifiedGroupKFold(n_splits=FOLDS, shuffle=True, random_state=seed)
    held = set(list(folds.split(np.zeros(len(ordered)), labels, patients))[fold][1].tolist())
    return [replace(sample, split="val" if number in held else "train") for number, sample in enumerate(ordered)]


def balance(samples: Iterable[ScintigraphySample]) -> str:
    """Class balance in a line.

    Example:
        >>> balance([])
        '0 images of 0 patients'
    """
    listed = list(samples)
    counts = Counter(sample.label for sample in listed)
    tail = ", ".join(f"{counts[label]} {label}" for label in CLASSES if counts[label])
    patients = len({sample.patient for sample in listed})
    return f"{len(listed)} images of {patients} patients" + (f": {tail}" if tail else "")


def _from_folder(root: Path) -> list[tuple[ScintigraphySample, bool]]:
    try:
        folders = sorted(entry for entry in root.iterdir() if entry.is_dir() and not is_hidden(entry))
    except OSError as error:
        raise DataError(f"cannot read the data {root}: {error.strerror}") from error
    masks = _truth_masks(root)
    if any(parse_class(folder.name) for folder in folders):
        return _of_centre(root, ONE_CENTRE, folders, masks)
    samples = []
    for centre in folders:
        inner = sorted(entry for entry in centre.iterdir() if entry.is_dir() and not is_hidden(entry))
        if any(parse_class(folder.name) for folder in inner):
            samples += _of_centre(centre, centre.name, inner, masks)
    if not samples:
        raise DataError(
            f"{root} holds no class folders: it needs {', '.join(CLASSES)}, at its top or in a folder a centre"
        )
    return samples


def _of_centre(
    root: Path, centre: str, folders: Sequence[Path], masks: Mapping[str, Path]
) -> list[tuple[ScintigraphySample, bool]]:
    samples = []
    for folder in folders:
        label = parse_class(folder.name)
        if label is None:
            raise DataError(f"{folder}: the folder's name is no class; the classes are {', '.join(CLASSES)}")
        files = sorted(file for file in folder.iterdir() if is_image(file))
        if not files:
            raise DataError(f"{folder}: the class is empty: it has no JPEG, PNG or DICOM file")
        for file in files:
            patient = f"{centre}/{file.stem}"
            sample = ScintigraphySample(
                image=file, patient=patient, label=label, centre=centre, mask=masks.get(file.stem)
            )
            samples.append((sample, False))
    _every_class([sample for sample, _ in samples], str(root))
    return samples


def _truth_masks(root: Path) -> dict[str, Path]:
    """A phantom's masks by patient, where its truth lies in the folder or the one above."""
    path = next((folder / _TRUTH for folder in (root, root.parent) if (folder / _TRUTH).is_file()), None)
    if path is None:
        return {}
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
    except (OSError, UnicodeDecodeError, csv.Error):  # a user's own file of that name
        return {}
    return {row["patient"]: path.parent / row["mask"] for row in rows if row.get("patient") and row.get("mask")}


def _from_csv(path: Path) -> list[tuple[ScintigraphySample, bool]]:
    samples, seen = [], set()
    for place, read in csv_rows(path, _REQUIRED, what="data", optional=_COLUMNS):
        sample, given = _parse({name: read.get(name, "") for name in _COLUMNS}, path, place)
        file = (sample.image.resolve(), sample.frame)
        if file in seen:
            raise DataError(f"{place}: this image stands there already")
        seen.add(file)
        samples.append((sample, given))
    return samples


def _parse(row: Mapping[str, str], path: Path, place: str) -> tuple[ScintigraphySample, bool]:
    if not row["image"]:
        raise DataError(f"{place}: image is empty")
    split, frame, colour_map = row["split"], row["frame"], row["colour_map"]
    if split and split not in get_args(Split):
        raise DataError(f"{place}: split is one of {', '.join(get_args(Split))} or empty, got {split!r}")
    if frame and not frame.isdecimal():
        raise DataError(f"{place}: frame must be a number from 0 on, got {frame!r}")
    if colour_map and colour_map not in COLOUR_MAPS:
        raise DataError(f"{place}: colour_map is one of {', '.join(COLOUR_MAPS)} or empty, got {colour_map!r}")
    image, centre = path.parent / row["image"], row["centre"] or ONE_CENTRE
    sample = ScintigraphySample(
        image=image,
        patient=f"{centre}/{row['patient'] or image.stem}",
        label=required_class(row["label"], place),
        centre=centre,
        frame=int(frame) if frame else None,
        colour_map=colour_map or None,
        mask=path.parent / row["mask"] if row["mask"] else None,
    )
    if split == "val":
        return replace(sample, split="val"), True
    return (replace(sample, split="external"), True) if split == "external" else (sample, bool(split))


def _as_given(samples: Sequence[ScintigraphySample], complete: bool, path: Path) -> ScintigraphyData:
    if not complete:
        raise DataError(f"{path}: some rows have a split and some have none; fill in the column for all, or for none")
    placed: dict[str, Split] = {}
    for sample in samples:
        known = placed.setdefault(sample.patient, sample.split)
        if known != sample.split:
            raise DataError(f"{path}: patient {sample.patient!r} is in the splits {known!r} and {sample.split!r}")
    for split in ("train", "val"):
        _every_class([sample for sample in samples if sample.split == split], f"{path}, split {split!r}")
    inside = sorted({sample.centre for sample in samples if sample.split == "train"})
    return ScintigraphyData(samples=tuple(samples), internal=", ".join(inside), rule="as given")


def _one_class_a_patient(samples: Sequence[tuple[ScintigraphySample, bool]]) -> None:
    known: dict[str, Diagnosis] = {}
    for sample, _ in samples:
        label = known.setdefault(sample.patient, sample.label)
        if label != sample.label:
            raise DataError(f"patient {sample.patient!r} is in the classes {label!r} and {sample.label!r}: keep one")


def _every_class(samples: Sequence[ScintigraphySample], place: str) -> None:
    found = {sample.label for sample in samples}
    for label in CLASSES:
        if label not in found:
            raise DataError(f"{place}: the class {label!r} is empty")
