"""Who is a centre, which patients each network learns from, and which test all of them."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from streamer.data.dataset import load_dataset
from streamer.data.near_duplicates import find_near_duplicates, merge_groups_sharing_images, without_near_duplicates
from streamer.data.samples import Centre, Sample, Split
from streamer.errors import DataError
from streamer.evaluation.classifier import is_labelled
from streamer.evaluation.detector import shows_known_nodules
from streamer.models.weights_manifest import Role

OTHER = "other"
"""Centres with too few patients, taken together: as the paper does with its smallest vendors."""
MIXED = "mixed"

Kind = Literal["centre", "mixed", "without"]

_VALIDATION_SHARE = 8
"""One training patient in eight validates where a centre names no test patients: its validation patients test then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CentreData:
    """The samples of a centre that a task can use."""

    name: str
    train: tuple[Sample, ...]
    val: tuple[Sample, ...]
    test: tuple[Sample, ...]

    def patients(self, split: Split) -> int:
        """Number of patients in a split."""
        return len({sample.group for sample in getattr(self, split)})


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkPlan:
    """A network to be trained.

    Attributes:
        name: "only X", "mixed" or "without X".
        kind: which of these.
        centre: X; empty for the mixed network.
        samples: training and validation samples.
    """

    name: str
    kind: Kind
    centre: str
    samples: tuple[Sample, ...]

    @property
    def folder(self) -> str:
        """Name of its folder: readable, and different for different names."""
        safe = "".join(character if character.isalnum() else "-" for character in self.name)
        return f"{safe}-{hashlib.sha256(self.name.encode()).hexdigest()[:6]}"

    @property
    def patients(self) -> int:
        """Number of training patients."""
        return len({sample.group for sample in self.samples if sample.split == "train"})

    @property
    def images(self) -> int:
        """Number of training images."""
        return sum(sample.split == "train" for sample in self.samples)


def load_centres(
    data: Path,
    by: Centre,
    role: Role,
    *,
    only: Sequence[str] = (),
    min_patients: int = 10,
    images_per_patient: int | None = None,
) -> tuple[list[CentreData], list[str]]:
    """The centres of a data set, and what a reader of the figures must know of how they were made.

    A test image that nearly equals a training or validation image of any centre is left out. A centre without test
    patients gives its validation patients to the test, and one training patient in eight validates.

    Args:
        data: folder in the public layout, or CSV manifest.
        by: what a centre is.
        role: the task.
        only: names of the centres to take; all if empty.
        min_patients: of training patients; smaller centres are taken together as "other".
        images_per_patient: take at most so many images of each, spread evenly.

    Raises:
        DataError: fewer than two centres are left, a name is unknown, or a centre lacks what the task needs.
    """
    usable = [sample for sample in load_dataset(data).samples if _USABLE[role](sample)]
    named: dict[str, list[Sample]] = defaultdict(list)
    for sample in usable:
        if name := getattr(sample, by):
            named[name].append(sample)
    if unknown := sorted(set(only) - set(named)):
        raise DataError(
            f"there is no {by} {unknown[0]!r} with samples for this task; known: {', '.join(sorted(named))}"
        )
    chosen = {name: part for name, part in named.items() if not only or name in only}
    _refuse_travellers(chosen, by)
    notes: list[str] = []
    split = {name: _with_test(part) for name, part in _joined(chosen, min_patients, notes).items()}
    if moved := [name for name, (_, was_moved) in split.items() if was_moved]:
        notes.append(f"The data name no test patients for {', '.join(moved)}: their validation patients test.")
    parts = {name: _thinned(part, images_per_patient) for name, (part, _) in split.items()}
    centres = _without_copies(parts, notes)
    if len(centres) < 2:
        raise DataError(f"{data} has {len(centres)} {by} with samples for the {role}: two or more are needed")
    for centre in centres:
        _refuse_gaps(centre, by, role)
    return centres, notes


def plan_networks(centres: Sequence[CentreData], *, equal_patients: bool) -> list[NetworkPlan]:
    """The networks that the matrix needs: one per centre, the mix, and of three centres or more one without each.

    Args:
        centres: two or more.
        equal_patients: whether every network learns from as many patients, those of the smallest centre: then size and
            origin are told apart.
    """
    count = min(centre.patients("train") for centre in centres) if equal_patients else None
    plans = [_plan(f"only {centre.name}", "centre", centre.name, [centre], count) for centre in centres]
    plans.append(_plan(MIXED, "mixed", "", centres, count))
    if len(centres) > 2:  # without one of two, the other is left alone
        for centre in centres:
            others = [other for other in centres if other is not centre]
            plans.append(_plan(f"without {centre.name}", "without", centre.name, others, count))
    return plans


def _plan(name: str, kind: Kind, centre: str, centres: Sequence[CentreData], patients: int | None) -> NetworkPlan:
    samples: list[Sample] = []
    for number, part in enumerate(centres):
        share = None if patients is None else patients // len(centres) + (number < patients % len(centres))
        samples += [*_some_patients(part.train, share), *part.val]
    return NetworkPlan(name=name, kind=kind, centre=centre, samples=tuple(samples))


def _some_patients(samples: Sequence[Sample], count: int | None) -> list[Sample]:
    """Samples of so many patients, spread evenly over the classes and otherwise by a hash of the name."""
    rank: dict[str, int] = {}
    for sample in samples:
        rank[sample.group] = max(rank.get(sample.group, 0), sample.label == "malignant")
    if count is None or count >= len(rank):
        return list(samples)
    order = sorted(rank, key=lambda patient: (rank[patient], _hash(patient)))
    kept = {order[int(number * len(order) / count)] for number in range(count)}
    return [sample for sample in samples if sample.group in kept]


def _with_test(samples: Sequence[Sample]) -> tuple[list[Sample], bool]:
    """Samples in three splits, and whether the test had to be made of the validation patients."""
    splits = {sample.split for sample in samples}
    if "test" in splits:
        if "val" in splits:
            return list(samples), False
        return [_as_val(sample) for sample in samples], False
    moved: list[Sample] = [replace(s, split="test") if s.split == "val" else _as_val(s) for s in samples]
    return moved, True


def _as_val(sample: Sample) -> Sample:
    """A training sample, which validates if its patient is the one in eight."""
    chosen = sample.split == "train" and _hash(f"val {sample.group}") % _VALIDATION_SHARE == 0
    return replace(sample, split="val") if chosen else sample


def _joined(parts: Mapping[str, list[Sample]], least: int, notes: list[str]) -> dict[str, list[Sample]]:
    """Centres with few training patients taken together."""
    small = [name for name, part in parts.items() if len({s.group for s in part if s.split == "train"}) < least]
    kept = {name: part for name, part in parts.items() if name not in small}
    together = [sample for name in small for sample in parts[name]]
    if not small:
        return kept
    if len({s.group for s in together if s.split == "train"}) < least:
        notes.append(f"Left out for fewer than {least} training patients: {', '.join(sorted(small))}.")
        return kept
    notes.append(f"{OTHER}: {', '.join(sorted(small))}, of fewer than {least} training patients each.")
    return {**kept, OTHER: together}


def _thinned(samples: list[Sample], most: int | None) -> list[Sample]:
    if most is None:
        return samples
    by_patient: dict[str, list[Sample]] = defaultdict(list)
    for sample in samples:
        by_patient[sample.group].append(sample)
    return [
        part[int(number * len(part) / min(most, len(part)))]
        for part in by_patient.values()
        for number in range(min(most, len(part)))
    ]


def _without_copies(parts: Mapping[str, list[Sample]], notes: list[str]) -> list[CentreData]:
    """Centres without held-out images that nearly equal one of an earlier split, of whatever centre."""
    every = [sample for part in parts.values() for sample in part]
    duplicates = find_near_duplicates(*([s for s in every if s.split == split] for split in ("train", "val", "test")))
    if duplicates:
        notes.append(f"{len(duplicates)} held-out images nearly equal one of an earlier split and are left out.")
    centres = []
    for name, part in parts.items():
        kept = without_near_duplicates(part, duplicates)
        test, _ = merge_groups_sharing_images([sample for sample in kept if sample.split == "test"])
        centres.append(
            CentreData(
                name=name,
                train=tuple(sample for sample in kept if sample.split == "train"),
                val=tuple(sample for sample in kept if sample.split == "val"),
                test=tuple(test),
            )
        )
    return centres


def _refuse_travellers(parts: Mapping[str, list[Sample]], by: str) -> None:
    home: dict[str, str] = {}
    for name, part in parts.items():
        for sample in part:
            if home.setdefault(sample.group, name) != name:
                raise DataError(
                    f"patient {sample.group!r} was examined at two of {by}: {home[sample.group]!r} and {name!r}; "
                    "give each patient one centre, or leave one of them out with --centres"
                )


def _refuse_gaps(centre: CentreData, by: str, role: Role) -> None:
    for split in ("train", "val", "test"):
        part: tuple[Sample, ...] = getattr(centre, split)
        if not part:
            raise DataError(f"{by} {centre.name!r} has no {split} patients for the {role}: leave it out with --centres")
        if role == "classifier":
            for label in ("benign", "malignant"):
                if sum(sample.label == label for sample in part) < 2:
                    raise DataError(
                        f"{by} {centre.name!r} has fewer than two {label} {split} images: leave it out with --centres"
                    )


def _hash(key: str) -> int:
    return int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big")


_USABLE = {
    "detector": shows_known_nodules,
    "segmenter": lambda sample: bool(sample.mask and sample.boxes_xyxy),
    "classifier": is_labelled,
}
