"""The public data sets, as samples: cine sweeps, TN3K, DDTI, TG3K glands and breast lesions in one folder.

The layout is the one that the folder's own README describes. Splits keep what belongs together: cine by its given
group, DDTI by case, TN3K by its given fold, glands by blocks of 100 neighbouring numbers.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from streamer.data.samples import Sample, Split, held_out, read_manifest
from streamer.errors import DataError
from streamer.geometry import Box

HELD_OUT_FRACTION = 0.2
"""Share of DDTI cases and gland blocks kept for validation: the paper's 7:2:1 without its test part."""

MIN_REGION_PX = 30


def load_samples(data: Path, *, tn3k_val_fold: int = 0) -> list[Sample]:
    """All samples below `data`: a folder in the public layout, or a CSV manifest.

    Args:
        data: folder or manifest.
        tn3k_val_fold: fold of TN3K, 0 to 4, that is held out.

    Raises:
        DataError: nothing is there, or what is there is inconsistent.
    """
    if data.is_file():
        return read_manifest(data)
    if not data.is_dir():
        raise DataError(f"no training data at {data}: give a folder in the public layout or a CSV manifest")
    try:
        samples = [*_cine(data), *_ddti(data), *_tn3k(data, tn3k_val_fold), *_gland(data), *_breast(data)]
    except (KeyError, ValueError, csv.Error) as error:
        raise DataError(f"a table below {data} is not in the public layout: {type(error).__name__} {error}") from error
    if not samples:
        raise DataError(f"{data} holds none of cine/, ddti/, tn3k/, gland/, breast/")
    return samples


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _split(key: str) -> Split:
    return "val" if held_out(key, HELD_OUT_FRACTION) else "train"


def _cine(data: Path) -> Iterator[Sample]:
    for row in _rows(data / "cine" / "frames.csv"):
        frame = int(row["frame"])
        has_nodule = row["x0"] != ""
        yield Sample(
            image=data / "cine" / f"{row['clip']}.mp4",
            frame=frame,
            mask=data / "cine" / "masks" / row["clip"] / f"{frame:04d}.png" if has_nodule else None,
            boxes_xyxy=((float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])),)
            if has_nodule
            else (),
            has_nodule=has_nodule,
            patient=f"cine-{row['group']}",
            source="cine",
            split="val" if row["split"] == "val" else "train",
        )


def _ddti(data: Path) -> Iterator[Sample]:
    for row in _rows(data / "ddti" / "cases.csv"):
        mask = data / "ddti" / "masks" / f"{Path(row['image']).stem}.png"
        patient = f"ddti-{row['case']}"
        yield Sample(
            image=data / "ddti" / "images" / row["image"],
            mask=mask,
            boxes_xyxy=_boxes_of(mask),
            has_nodule=True,
            label={"benign": "benign", "malignant": "malignant"}.get(row["suspicion"]),  # type: ignore[arg-type]
            patient=patient,
            source="ddti",
            split=_split(patient),
        )


def _tn3k(data: Path, val_fold: int) -> Iterator[Sample]:
    for row in _rows(data / "tn3k" / "labels.csv"):
        yield Sample(
            image=data / "tn3k" / "images" / row["image"],
            has_nodule=True,
            label="malignant" if row["label"] == "malignant" else "benign",
            patient=f"tn3k-block-{row['block']}",
            source="tn3k",
            split="val" if int(row["fold"]) == val_fold else "train",
        )


def _gland(data: Path) -> Iterator[Sample]:
    for path in sorted((data / "gland" / "images").glob("*.jpg")):
        block = f"gland-block-{int(path.stem.split('-')[1]) // 100}"
        yield Sample(image=path, has_nodule=False, patient=block, source="gland", split=_split(block))


def _breast(data: Path) -> Iterator[Sample]:
    for row in _rows(data / "breast" / "labels.csv"):
        stem = Path(row["image"]).stem
        lesion = row["label"] != "normal"
        mask = data / "breast" / "masks" / f"{stem}.png"
        yield Sample(
            image=data / "breast" / "images" / row["image"],
            mask=mask if lesion else None,
            boxes_xyxy=_boxes_of(mask) if lesion else (),
            has_nodule=lesion,
            patient=f"breast-{stem}",
            source="breast",
            split=_split(f"breast-{stem}"),
        )


def _boxes_of(mask: Path) -> tuple[Box, ...]:
    """One box a connected region of the mask; specks below `MIN_REGION_PX` are drawing slips."""
    pixels = cv2.imread(str(mask), cv2.IMREAD_GRAYSCALE)
    if pixels is None:
        raise DataError(f"cannot read the mask {mask}")
    _, _, regions, _ = cv2.connectedComponentsWithStats((pixels > 127).astype(np.uint8))
    boxes = [
        (float(x), float(y), float(x + w), float(y + h)) for x, y, w, h, area in regions[1:] if area >= MIN_REGION_PX
    ]
    if not boxes:
        raise DataError(f"the mask {mask} is empty")
    return tuple(boxes)
