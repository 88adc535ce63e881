"""Which group is in which split: checked, made where none is given, and by leaving one centre out."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

from streamer.data.samples import Centre, Dataset, Sample, Split
from streamer.errors import DataError

_TURNS: tuple[Split, ...] = (
    "train", "train", "val", "train", "train", "test", "train", "val", "train", "train",
)  # fmt: skip
"""7:2:1, the paper's shares, spread so that the first groups of a small set already reach all three."""


def held_out(key: str, fraction: float) -> bool:
    """Whether `key` (a group) belongs to the held-out `fraction`; the same on every machine and in every run."""
    return _hash(key) / 2**64 < fraction


def check_splits(samples: Iterable[Sample]) -> None:
    """Refuse data in which a group stands in two splits.

    Raises:
        DataError: names the group and both splits.
    """
    seen: dict[str, Split] = {}
    for sample in samples:
        known = seen.setdefault(sample.group, sample.split)
        if known != sample.split:
            raise DataError(
                f"patient or group {sample.group!r} is in the splits {known!r} and {sample.split!r}: keep each in one"
            )


def split_groups(samples: Sequence[Sample], seed: int) -> list[Sample]:
    """Split 7:2:1 into train, val and test by whole groups, each class of groups in the same shares.

    A group counts as malignant if any image is, else as benign if any is, else by whether a nodule is in view. The
    order within a class is a hash of seed and group, so the same groups are always split alike; more groups
    may move others.

    Args:
        samples: of one source; their splits do not matter.
        seed: another seed gives another split.
    """
    classes: dict[str, int] = {}
    for sample in samples:
        classes[sample.group] = max(classes.get(sample.group, 0), _rank(sample))
    order = sorted(classes, key=lambda group: (classes[group], _hash(f"{seed}:{group}")))
    turn = {group: _TURNS[number % len(_TURNS)] for number, group in enumerate(order)}
    return [replace(sample, split=turn[sample.group]) for sample in samples]


def leave_out(data: Dataset, centre: str) -> Dataset:
    """Make one centre the test split: everything of it, and nothing else.

    Other test images are left aside, and so are other centres' images of the same groups.

    Args:
        data: samples in their splits.
        centre: "hospital=NAME", or the same with vendor, region or source.

    Raises:
        DataError: there is no such centre; the known ones are named.
    """
    kind, _, name = centre.partition("=")
    if kind not in get_args(Centre):
        raise DataError(f"leave out one of {', '.join(get_args(Centre))}, as hospital=NAME; got {centre!r}")
    left = [replace(sample, split="test") for sample in data.samples if getattr(sample, kind) == name]
    if not left:
        known = sorted({str(getattr(sample, kind)) for sample in data.samples if getattr(sample, kind)})
        names = f"known: {', '.join(known)}" if known else f"the data name no {kind}"
        raise DataError(f"there is no {kind} {name!r} to leave out; {names}")
    groups = {sample.group for sample in left}
    rest = [sample for sample in data.samples if sample.group not in groups and sample.split != "test"]
    sources = {sample.source for sample in left}
    splits = {name: f"{rule}; {centre} is test" if name in sources else rule for name, rule in data.splits.items()}
    return Dataset([*rest, *left], splits)


def _rank(sample: Sample) -> int:
    if sample.label == "malignant":
        return 3
    if sample.label == "benign":
        return 2
    return 1 if sample.has_nodule else 0


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")
