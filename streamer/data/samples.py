"""What a network learns from: labelled images and clip frames, listed in one CSV manifest."""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Literal

from streamer.errors import DataError
from streamer.geometry import Box

Split = Literal["train", "val", "test"]
Label = Literal["benign", "malignant", "normal"]

SPLITS: tuple[Split, ...] = ("train", "val", "test")
LABELS: tuple[Label, ...] = ("benign", "malignant", "normal")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled image, or one frame of a clip.

    Attributes:
        image: still image, or clip when `frame` is given.
        frame: frame index in the clip, from 0; None for a still.
        mask: grey image of the same size, 255 inside the nodule; None where there is none.
        boxes_xyxy: nodule boxes in pixels (half-open); empty where there is no nodule or it is unknown.
        has_nodule: whether a nodule is in view; None if that is unknown.
        label: pathology-derived or reading-derived class; None if unknown.
        patient: the smallest unit that may be split; ids of different sources never coincide.
        source: data set, hospital or scanner layout the sample comes from.
        split: train, val or test.
    """

    image: Path
    source: str
    patient: str
    split: Split
    frame: int | None = None
    mask: Path | None = None
    boxes_xyxy: tuple[Box, ...] = ()
    has_nodule: bool | None = None
    label: Label | None = None


_REQUIRED = ("image", "source", "patient", "split")
_HAS_NODULE = {"": None, "yes": True, "no": False}
COLUMNS = tuple(field.name for field in fields(Sample))


def held_out(key: str, fraction: float) -> bool:
    """Whether `key` (a patient) belongs to the held-out `fraction`; the same on every machine and in every run."""
    digest = hashlib.sha256(key.encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < fraction


def write_manifest(samples: Iterable[Sample], path: Path) -> None:
    """Write samples as CSV; paths relative to the manifest's folder where they lie below it."""
    folder = path.resolve().parent
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        for sample in samples:
            row = {name: getattr(sample, name) for name in COLUMNS}
            for name in ("image", "mask"):
                row[name] = _relative(row[name], folder)
            row["boxes_xyxy"] = "; ".join(" ".join(f"{v:.10g}" for v in box) for box in sample.boxes_xyxy)
            row["has_nodule"] = {value: text for text, value in _HAS_NODULE.items()}[sample.has_nodule]
            writer.writerow({name: "" if value is None else value for name, value in row.items()})


def read_manifest(path: Path) -> list[Sample]:
    """Read samples from a CSV manifest.

    Raises:
        DataError: the file cannot be read, lacks a column, or a row is wrong (the line is named), or a patient stands
            in two splits.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} lacks the column {missing[0]!r}; it needs {', '.join(_REQUIRED)}")
            samples = [_parse(row, path, number) for number, row in enumerate(reader, start=2)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the data manifest {path}: {error}") from error
    check_splits(samples)
    return samples


def check_splits(samples: Sequence[Sample]) -> None:
    """Refuse data in which a patient stands in two splits.

    Raises:
        DataError: names the patient and both splits.
    """
    seen: dict[str, Split] = {}
    for sample in samples:
        known = seen.setdefault(sample.patient, sample.split)
        if known != sample.split:
            raise DataError(
                f"patient {sample.patient!r} is in the splits {known!r} and {sample.split!r}: keep each in one"
            )


def thin(samples: Iterable[Sample], stride: int) -> list[Sample]:
    """Every `stride`-th frame of each clip and every `stride`-th still of each source, in the given order."""
    position: Counter[Path | str] = Counter()
    kept = []
    for sample in samples:
        key = sample.image if sample.frame is not None else sample.source
        if position[key] % stride == 0:
            kept.append(sample)
        position[key] += 1
    return kept


def describe(samples: Sequence[Sample]) -> str:
    """Class balance in a line: images, patients, nodules, labels."""
    nodules = sum(1 for sample in samples if sample.has_nodule)
    labels = Counter(sample.label for sample in samples if sample.label)
    patients = len({sample.patient for sample in samples})
    tail = ", ".join(f"{count} {label}" for label, count in sorted(labels.items()))
    return f"{len(samples)} images of {patients} patients, {nodules} with a nodule" + (f"; {tail}" if tail else "")


def _parse(fields_read: Mapping[str, str | None], path: Path, line: int) -> Sample:
    place = f"{path}, line {line}"
    folder = path.resolve().parent
    row = {name: fields_read.get(name) or "" for name in COLUMNS}  # a short row leaves fields None
    for name in _REQUIRED:
        if not row[name]:
            raise DataError(f"{place}: {name} is empty")
    try:
        boxes = [_parse_box(text) for text in row["boxes_xyxy"].split(";") if text.strip()]
        frame = int(row["frame"]) if row["frame"] else None
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error
    split, label = row["split"], row["label"] or None
    if split not in SPLITS:
        raise DataError(f"{place}: split must be one of {', '.join(SPLITS)}, got {split!r}")
    if label is not None and label not in LABELS:
        raise DataError(f"{place}: label must be one of {', '.join(LABELS)} or empty, got {label!r}")
    if row["has_nodule"] not in _HAS_NODULE:
        raise DataError(f"{place}: has_nodule must be yes, no or empty, got {row['has_nodule']!r}")
    return Sample(
        image=folder / row["image"],
        source=row["source"],
        patient=row["patient"],
        split=split,
        frame=frame,
        mask=folder / row["mask"] if row["mask"] else None,
        label=label,
        boxes_xyxy=tuple(boxes),
        has_nodule=True if boxes else _HAS_NODULE[row["has_nodule"]],
    )


def _parse_box(text: str) -> Box:
    values = [float(value) for value in text.split()]
    if len(values) != 4 or not (values[0] < values[2] and values[1] < values[3]):
        raise ValueError(f"a box is 'left top right bottom', got {text.strip()!r}")
    return values[0], values[1], values[2], values[3]


def _relative(path: Path | None, folder: Path) -> str | None:
    if path is None:
        return None
    resolved = path.resolve()
    return str(resolved.relative_to(folder) if resolved.is_relative_to(folder) else resolved)
