"""The public data sets, all that is known of each in one `PublicSource`, and their samples out of one folder.

The layout is the one that the folder's own README describes. Splits keep what belongs together: cine by its given
group (groups of sweeps that `cine/sisters.csv` calls one patient's are one), DDTI by case, TN3K by its given fold,
glands by blocks of 100 neighbouring numbers. Each set comes from one place, so its name stands for the hospital; DDTI
was made on one device, the other sets' vendors are not stated. Sets of another modality than ultrasound are asked for
by name: no ultrasound network may learn from them or be judged on them.

A new set is a loader and a `PublicSource`, handed to `register_source`.
"""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from streamer.data.regions import boxes_of_mask
from streamer.data.samples import SPLITS, TIRADS, Sample, Split
from streamer.data.splits import held_out
from streamer.errors import DataError, InputError
from streamer.geometry import Box
from streamer.models.registry import Modality
from streamer.sources import open_source

HELD_OUT_FRACTION = 0.2
"""Share of DDTI cases and gland blocks kept for validation: the paper's 7:2:1 without its test part."""

_VERDICTS = {"nodule": True, "unsure": False, "tail": False}
"""Verdicts of the second look at the sweeps: a nodule, or a region that is neither right nor wrong."""

LabelKind = Literal["outlines", "pathology", "TI-RADS reading", "no nodule"]
Unit = Literal["patient", "case", "block", "group", "image"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicSource:
    """A public data set.

    Attributes:
        name: what samples, results and model cards call it.
        load: gives its samples, from a folder in the public layout and the fold that is held out; none where it is not
            there.
        terms: what it is, and on which terms, for the model card.
        organ: what it shows. No figure is about another organ than the thyroid.
        unit: the smallest unit that may be split: a case (one patient), a group (of sweeps of one neck), a block (of
            neighbouring numbers, where nobody knows the patients), or each image.
        label: what its labels rest on; outlines only where there are no classes.
        folds: number of folds it is published with; 1 for none.
        modality: what its pictures were made with.
    """

    name: str
    load: Callable[[Path, int], Iterator[Sample]]
    terms: str
    organ: Literal["thyroid", "breast"]
    unit: Unit
    label: LabelKind
    folds: int = 1
    modality: Modality = "ultrasound"

    def split_name(self, split: str, fold: int) -> str:
        """A split as results call it; with the fold, where the set has several."""
        return split if self.folds == 1 else f"{split}, fold {fold} of {self.folds}"


_SOURCES: dict[str, PublicSource] = {}
_OTHER_SOURCES: dict[str, PublicSource] = {}

PUBLIC_SOURCES: Mapping[str, PublicSource] = MappingProxyType(_SOURCES)
"""The public sets of ultrasound by name, in the order in which their samples are listed; a live, read-only view."""
OTHER_SOURCES: Mapping[str, PublicSource] = MappingProxyType(_OTHER_SOURCES)
"""Those of another modality, likewise."""


def register_source(source: PublicSource) -> PublicSource:
    """Make a data set known to training, evaluation and the model cards.

    Raises:
        ValueError: another set has its name.
    """
    if (_SOURCES | _OTHER_SOURCES).get(source.name, source) != source:
        raise ValueError(f"there is a data set {source.name} already")
    (_SOURCES if source.modality == "ultrasound" else _OTHER_SOURCES)[source.name] = source
    return source


def load_public(data: Path, *, tn3k_val_fold: int = 0, modality: Modality = "ultrasound") -> list[Sample]:
    """All samples of one modality in a folder in the public layout.

    Args:
        data: the folder.
        tn3k_val_fold: fold of TN3K, 0 to 4, that is held out.
        modality: of the sets to load.

    Raises:
        DataError: it holds none of the sets, or what it holds is inconsistent.
    """
    sources = [source for source in (_SOURCES | _OTHER_SOURCES).values() if source.modality == modality]
    try:
        samples = [sample for source in sources for sample in source.load(data, tn3k_val_fold)]
    except (LookupError, ValueError, TypeError, AttributeError, OSError, csv.Error) as error:  # a row may be short
        raise DataError(f"a table below {data} is not in the public layout: {type(error).__name__} {error}") from error
    if not samples:
        raise DataError(f"{data} holds none of {', '.join(f'{source.name}/' for source in sources)}")
    return samples


def unit_of(source: str) -> str:
    """The smallest unit of a source that may be split; the patient, where it is none of the public sets."""
    known = PUBLIC_SOURCES.get(source) or OTHER_SOURCES.get(source)
    return "patient" if known is None else known.unit


def _rows(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def _split(key: str) -> Split:
    return "val" if held_out(key, HELD_OUT_FRACTION) else "train"


def _cine(data: Path, _fold: int) -> Iterator[Sample]:
    """Frames of the sweeps; `unmarked.csv` and `sisters.csv` beside them count where they are there."""
    layouts: dict[str, str] = {}
    rows = _rows(data / "cine" / "frames.csv")
    groups = _joined_groups(rows, _rows(data / "cine" / "sisters.csv"))
    second_look = _second_look(_rows(data / "cine" / "unmarked.csv"))
    for row in rows:
        frame = int(row["frame"])
        unmarked, ignored = second_look.get((row["clip"], frame), ([], []))
        image = data / "cine" / f"{row['clip']}.mp4"
        has_nodule = row["x0"] != ""
        if row["clip"] not in layouts:
            layouts[row["clip"]] = _layout(image)
        yield Sample(
            image=image,
            frame=frame,
            mask=data / "cine" / "masks" / row["clip"] / f"{frame:04d}.png" if has_nodule else None,
            boxes_xyxy=(_box(row),) if has_nodule else (),
            unmarked_xyxy=tuple(unmarked),
            ignore_xyxy=tuple(ignored),
            has_nodule=has_nodule,
            group=f"cine-{groups[row['group']]}",
            source="cine",
            split=_named_split(row["split"]),
            hospital="cine",
            vendor=layouts[row["clip"]],
        )


def _second_look(rows: list[dict[str, str]]) -> dict[tuple[str, int], tuple[list[Box], list[Box]]]:
    """Of each frame, by clip and number: nodules without a mark, and regions that are neither right nor wrong."""
    found: dict[tuple[str, int], tuple[list[Box], list[Box]]] = {}
    for row in rows:
        nodules, ignored = found.setdefault((row["clip"], int(row["frame"])), ([], []))
        (nodules if _VERDICTS[row["verdict"]] else ignored).append(_box(row))
    return found


def _joined_groups(rows: list[dict[str, str]], sisters: list[dict[str, str]]) -> dict[str, str]:
    """What each group is called, where those that share a patient are one, called after the first of them."""
    name = {row["group"]: row["group"] for row in rows}
    group_of = {row["clip"]: row["group"] for row in rows}
    for pair in sisters:
        first, second = (name[group_of[f"cine-{pair[column]}"]] for column in ("sweep", "sister"))
        name = {group: first if called == second else called for group, called in name.items()}
    return name


def _box(row: dict[str, str]) -> Box:
    return float(row["x0"]), float(row["y0"]), float(row["x1"]), float(row["y1"])


def _ddti(data: Path, _fold: int) -> Iterator[Sample]:
    for row in _rows(data / "ddti" / "cases.csv"):
        mask = data / "ddti" / "masks" / f"{Path(row['image']).stem}.png"
        case = f"ddti-{row['case']}"
        yield Sample(
            image=data / "ddti" / "images" / row["image"],
            mask=mask,
            boxes_xyxy=_boxes_of(mask),
            has_nodule=True,
            label={"benign": "benign", "malignant": "malignant"}.get(row["suspicion"]),  # type: ignore[arg-type]
            tirads=next((category for category in TIRADS if category == row["tirads"]), None),
            group=case,
            patient=case,
            source="ddti",
            split=_split(case),
            hospital="ddti",
            vendor="ddti",
            age=float(row["age"]) if row["age"].isdecimal() else None,
            sex={"F": "F", "M": "M"}.get(row["sex"]),  # type: ignore[arg-type]
        )


def _tn3k(data: Path, val_fold: int) -> Iterator[Sample]:
    for row in _rows(data / "tn3k" / "labels.csv"):
        yield Sample(
            image=data / "tn3k" / "images" / row["image"],
            has_nodule=True,
            label={"benign": "benign", "malignant": "malignant"}.get(row["label"]),  # type: ignore[arg-type]
            group=f"tn3k-block-{row['block']}",
            source="tn3k",
            split="val" if int(row["fold"]) == val_fold else "train",
            hospital="tn3k",
        )


def _gland(data: Path, _fold: int) -> Iterator[Sample]:
    for path in sorted((data / "gland" / "images").glob("*.jpg")):
        block = f"gland-block-{int(path.stem.split('-')[1]) // 100}"
        yield Sample(
            image=path,
            gland_mask=data / "gland" / "masks" / f"{path.stem}.png",
            has_nodule=False,
            group=block,
            source="gland",
            split=_split(block),
            hospital="gland",
        )


def _breast(data: Path, _fold: int) -> Iterator[Sample]:
    for row in _rows(data / "breast" / "labels.csv"):
        stem = Path(row["image"]).stem
        lesion = row["label"] != "normal"
        mask = data / "breast" / "masks" / f"{stem}.png"
        yield Sample(
            image=data / "breast" / "images" / row["image"],
            mask=mask if lesion else None,
            boxes_xyxy=_boxes_of(mask) if lesion else (),
            has_nodule=lesion,
            label={"benign": "benign", "malignant": "malignant"}.get(row["label"]),  # type: ignore[arg-type]
            group=f"breast-{stem}",
            source="breast",
            split=_split(f"breast-{stem}"),
            hospital="breast",
        )


def _scintigraphy(data: Path, _fold: int) -> Iterator[Sample]:
    """Nine real planar views with gland outlines and no class: to look at, and to compare simulated ones with."""
    for outline in sorted((data / "scintigraphy").glob("*-gland.png")):
        name = outline.stem.removesuffix("-gland")
        yield Sample(
            image=outline.with_name(f"{name}.png"),
            gland_mask=outline,
            group=f"scintigraphy-{name}",
            source="scintigraphy",
            split="test",  # nothing may learn from so few
        )


def _named_split(name: str) -> Split:
    for split in SPLITS:
        if split == name:
            return split
    raise DataError(f"a cine split is one of {', '.join(SPLITS)}, not {name!r}")


def _boxes_of(mask: Path) -> tuple[Box, ...]:
    boxes = boxes_of_mask(mask)
    if not boxes:
        raise DataError(f"the mask {mask} is empty")
    return boxes


def _layout(clip: Path) -> str:
    """The scanner's screen layout, which is its frame size: all that is known of the vendor of a sweep."""
    try:
        with open_source(clip) as source:
            return f"layout {source.info.width}x{source.info.height}"
    except InputError as error:
        raise DataError(str(error)) from error


for _source in (
    PublicSource(
        name="cine",
        load=_cine,
        terms="cine sweeps of thyroid nodules; no terms stated: research use only, not redistributed",
        organ="thyroid",
        unit="group",
        label="outlines",
    ),
    PublicSource(
        name="ddti",
        load=_ddti,
        terms="DDTI stills with nodule masks and a TI-RADS reading (Pedraza et al. 2015), open-access research set",
        organ="thyroid",
        unit="case",
        label="TI-RADS reading",
    ),
    PublicSource(
        name="tn3k",
        load=_tn3k,
        terms="TN3K / TNCD stills, pathology-derived labels; the publishing repositories are MIT",
        organ="thyroid",
        unit="block",
        label="pathology",
        folds=5,
    ),
    PublicSource(
        name="gland",
        load=_gland,
        terms="TG3K stills of healthy glands, nodule-free; the publishing repository is MIT",
        organ="thyroid",
        unit="block",
        label="no nodule",
    ),
    PublicSource(
        name="breast",
        load=_breast,
        terms="BUSI breast ultrasound (Al-Dhabyani et al. 2020), research use; another organ",
        organ="breast",
        unit="image",
        label="pathology",
    ),
    PublicSource(
        name="scintigraphy",
        load=_scintigraphy,
        terms="nine planar thyroid views cut from a published figure (thyroidiomics, MIT), with gland outlines",
        organ="thyroid",
        unit="image",
        label="outlines",
        modality="scintigraphy",
    ),
):
    register_source(_source)
