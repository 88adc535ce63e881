"""The data manifest: one CSV line a still or clip frame. `docs/manifest.md` describes its columns."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import fields, replace
from math import isfinite
from pathlib import Path
from typing import TypeVar

from streamer.data.csv_columns import refuse_slips
from streamer.data.regions import boxes_of_mask
from streamer.data.samples import LABELS, SEXES, SPLITS, TIRADS, Dataset, Sample
from streamer.data.splits import check_splits, split_groups
from streamer.errors import DataError, cause
from streamer.geometry import Box

Choice = TypeVar("Choice", bound=str)

COLUMNS = tuple(field.name for field in fields(Sample) if field.name != "group")

_REQUIRED = ("image", "source", "patient")
_HAS_NODULE = {"": None, "yes": True, "no": False}
_OLDEST_YEARS = 130


def read_csv_manifest(path: Path, *, split_seed: int = 0) -> Dataset:
    """Read samples from a CSV manifest; sources that name no split are split 7:2:1 by patient.

    Args:
        path: the manifest; paths in it are relative to its folder.
        split_seed: see `split_groups`.

    Raises:
        DataError: the file cannot be read, lacks a column, or a row is wrong (the line is named), a source has a split
            in some rows only, or a patient stands in two splits.
    """
    by_source: dict[str, list[Sample]] = defaultdict(list)
    unsplit: dict[str, int] = defaultdict(int)
    seen: set[tuple[Path, int | None]] = set()
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            missing = [name for name in _REQUIRED if name not in (reader.fieldnames or ())]
            if missing:
                raise DataError(f"{path} lacks the column {missing[0]!r}; it needs {', '.join(_REQUIRED)}")
            refuse_slips(path, reader.fieldnames or (), COLUMNS)
            for read in reader:
                line = reader.line_num
                row = {name: read.get(name) or "" for name in COLUMNS}  # a short row leaves fields None
                sample = _parse(row, path, line)
                if (sample.image, sample.frame) in seen:
                    raise DataError(f"{path}, line {line}: this image stands there already; put its boxes in one row")
                seen.add((sample.image, sample.frame))
                by_source[sample.source].append(sample)
                unsplit[sample.source] += not row["split"]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the data manifest {path}: {cause(error)}") from error
    if not by_source:
        raise DataError(f"{path} has a header and no rows")
    splits = {}
    placed = {sample.group: sample.split for name, part in by_source.items() if not unsplit[name] for sample in part}
    for source, samples in by_source.items():
        if unsplit[source] not in (0, len(samples)):
            raise DataError(
                f"{path}: {unsplit[source]} of {len(samples)} rows of the source {source!r} have no split; fill in the "
                "column for all of a source, or for none"
            )
        splits[source] = "as given"
        if unsplit[source]:
            parted = split_groups(samples, split_seed)
            # A patient whom another source has placed already stays there.
            by_source[source] = [replace(one, split=placed.setdefault(one.group, one.split)) for one in parted]
            splits[source] = f"7:2:1 by patient, seed {split_seed}"
    samples = [sample for part in by_source.values() for sample in part]
    check_splits(samples)
    return Dataset(samples, splits)


def manifest_sources(path: Path) -> list[str]:
    """The sources that a manifest names, in the order of their first rows; none if it is no manifest.

    Raises:
        DataError: the file cannot be read.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return list(dict.fromkeys(row.get("source") or "" for row in csv.DictReader(stream)))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the data manifest {path}: {cause(error)}") from error


def _parse(row: Mapping[str, str], path: Path, line: int) -> Sample:
    place = f"{path}, line {line}"
    folder = path.resolve().parent
    for name in _REQUIRED:
        if not row[name]:
            raise DataError(f"{place}: {name} is empty")
    try:
        boxes, unmarked, ignored = (_parse_boxes(row[name]) for name in ("boxes_xyxy", "unmarked_xyxy", "ignore_xyxy"))
        frame = _parse_frame(row["frame"]) if row["frame"] else None
        age = _parse_age(row["age"]) if row["age"] else None
        split = _one_of(SPLITS, "split", row["split"]) or "train"  # provisional where empty
        label, sex = _one_of(LABELS, "label", row["label"]), _one_of(SEXES, "sex", row["sex"])
        tirads = _one_of(TIRADS, "tirads", row["tirads"].strip().lower().removeprefix("tr"))  # ACR's has "TR4"
        mask = folder / row["mask"] if row["mask"] else None
        has_nodule, boxes = _nodules(row["has_nodule"], boxes, mask)
    except ValueError as error:
        raise DataError(f"{place}: {error}") from error
    return Sample(
        image=folder / row["image"],
        source=row["source"],
        group=row["patient"],
        patient=row["patient"],
        split=split,
        frame=frame,
        mask=mask if boxes else None,
        gland_mask=folder / row["gland_mask"] if row["gland_mask"] else None,
        label=label,
        tirads=tirads,
        boxes_xyxy=boxes,
        unmarked_xyxy=unmarked,
        ignore_xyxy=ignored,
        has_nodule=has_nodule,
        hospital=row["hospital"] or None,
        vendor=row["vendor"] or None,
        region=row["region"] or None,
        age=age,
        sex=sex,
    )


def _nodules(answer: str, boxes: tuple[Box, ...], mask: Path | None) -> tuple[bool | None, tuple[Box, ...]]:
    """Whether a nodule is in view, and its boxes: those given, else those of the mask."""
    if answer not in _HAS_NODULE:
        raise ValueError(f"has_nodule must be yes, no or empty, got {answer!r}")
    if not boxes and mask is not None:
        boxes = boxes_of_mask(mask)
        if not boxes and answer != "no":
            raise ValueError(f"the mask {mask} is empty: draw the nodule, or say no in has_nodule")
    if boxes and answer == "no":
        raise ValueError("has_nodule is no, but there is a box or mask of one")
    return (True if boxes else _HAS_NODULE[answer]), boxes


def _parse_boxes(text: str) -> tuple[Box, ...]:
    return tuple(_parse_box(part) for part in text.split(";") if part.strip())


def _parse_box(text: str) -> Box:
    values = [float(value) for value in text.split()]
    if len(values) != 4 or not all(map(isfinite, values)) or not (values[0] < values[2] and values[1] < values[3]):
        raise ValueError(f"a box is 'left top right bottom', got {text.strip()!r}")
    return values[0], values[1], values[2], values[3]


def _parse_frame(text: str) -> int:
    if not text.isdecimal():
        raise ValueError(f"frame must be a number from 0 on, got {text!r}")
    return int(text)


def _parse_age(text: str) -> float:
    years = float(text)
    if not 0 <= years <= _OLDEST_YEARS:
        raise ValueError(f"age must be 0 to {_OLDEST_YEARS} years, got {text!r}")
    return years


def _one_of(choices: tuple[Choice, ...], name: str, text: str) -> Choice | None:
    if not text:
        return None
    for choice in choices:
        if choice == text:
            return choice
    raise ValueError(f"{name} must be one of {', '.join(choices)} or empty, got {text!r}")
