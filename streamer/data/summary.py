"""Class balance: what a training gets to see, by source and split and, where known, by centre and sex."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import product

from streamer._format import TextTable
from streamer.data.samples import SPLITS, Sample, Split

_TRAITS = ("hospital", "vendor", "region", "sex")


@dataclass(frozen=True, slots=True)
class Balance:
    """Counts of one part of the data.

    Attributes:
        images: stills and frames.
        share: of the images of the whole, 0 to 1.
        groups: the smallest units that may be split.
        with_nodule: images with a nodule in view.
        without_nodule: images known to show none; of the rest it is not known.
        benign: images labelled so.
        malignant: images labelled so.
    """

    images: int
    share: float
    groups: int
    with_nodule: int
    without_nodule: int
    benign: int
    malignant: int


def count(samples: Sequence[Sample], whole: int) -> Balance:
    """Count a part of `whole` images."""
    labels = Counter(sample.label for sample in samples)
    nodules = Counter(sample.has_nodule for sample in samples)
    return Balance(
        images=len(samples),
        share=len(samples) / whole if whole else 0.0,
        groups=len({sample.group for sample in samples}),
        with_nodule=nodules[True],
        without_nodule=nodules[False],
        benign=labels["benign"],
        malignant=labels["malignant"],
    )


def balance_table(samples: Sequence[Sample], title: str) -> TextTable:
    """A row for each source and split, then one for each known hospital, vendor, region and sex and split.

    A share is that of all images given. Of hospital and the like, only those are shown that tell more than the source.
    """
    by_source = {sample.source: sample.source for sample in samples}
    rows = _rows(samples, [(sample.source, sample) for sample in samples])
    for trait in _TRAITS:
        valued = [(f"{trait} {value}", sample) for sample in samples if (value := getattr(sample, trait)) is not None]
        same = all(getattr(sample, trait) in (None, by_source[sample.source]) for sample in samples)
        if valued and not same:
            rows += _rows(samples, valued)
    headings = ("", "split", "images", "share", "groups", "nodule", "no nodule", "benign", "malignant")
    return TextTable(title=title, headings=headings, rows=rows, left=frozenset({0, 1}))


def balance_warnings(samples: Sequence[Sample]) -> list[str]:
    """A line for each source that lacks a training or validation split, or has one class only in it.

    A source that is tested on only (it was left out) needs neither.
    """
    warnings = []
    for source in dict.fromkeys(sample.source for sample in samples):
        part = [sample for sample in samples if sample.source == source]
        splits = {sample.split for sample in part}
        both_classes = _classes(part) == {"benign", "malignant"}
        for split in SPLITS:
            found = _classes(sample for sample in part if sample.split == split)
            if split not in splits and split != "test" and splits != {"test"}:
                warnings.append(f"{source} has no {split} images")
            elif both_classes and split in splits and len(found) < 2:
                warnings.append(f"{source}, {split}: no {'malignant' if found == {'benign'} else 'benign'} images")
    return warnings


def _classes(samples: Iterable[Sample]) -> set[str]:
    return {sample.label for sample in samples if sample.label in ("benign", "malignant")}


def _rows(samples: Sequence[Sample], named: Iterable[tuple[str, Sample]]) -> list[tuple[str, ...]]:
    parts: dict[tuple[str, Split], list[Sample]] = {}
    for name, sample in named:
        parts.setdefault((name, sample.split), []).append(sample)
    rows = []
    for name, split in product(sorted({name for name, _ in parts}), SPLITS):
        if (name, split) in parts:
            row = count(parts[name, split], len(samples))
            counts = (row.groups, row.with_nodule, row.without_nodule, row.benign, row.malignant)
            rows.append((name, split, str(row.images), f"{row.share:.0%}", *map(str, counts)))
    return rows
