"""What a network learns from: labelled images and clip frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streamer.geometry import Box

Split = Literal["train", "val", "test"]
Label = Literal["benign", "malignant", "normal"]
Sex = Literal["F", "M", "O"]
Tirads = Literal["1", "2", "3", "4", "4a", "4b", "4c", "5"]
Centre = Literal["hospital", "vendor", "region", "source"]
"""What a test can be kept apart by."""

SPLITS: tuple[Split, ...] = ("train", "val", "test")
LABELS: tuple[Label, ...] = ("benign", "malignant", "normal")
SEXES: tuple[Sex, ...] = ("F", "M", "O")
"""Female, male, other, as DICOM's Patient's Sex (0010,0040) has them."""
TIRADS: tuple[Tirads, ...] = ("1", "2", "3", "4", "4a", "4b", "4c", "5")
"""Categories of a TI-RADS, from the least suspicious on: Kwak's (Radiology 2011;260:892-899), who parts the fourth in
three, or ACR's (J Am Coll Radiol 2017;14:587-595), who does not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One labelled image, or one frame of a clip.

    Attributes:
        image: still image, or clip when `frame` is given.
        frame: frame index in the clip, from 0; None for a still.
        mask: grey image of the same size, 255 inside the nodule; None where there is none.
        gland_mask: grey image of the same size, 255 inside the thyroid; None where it is not drawn.
        boxes_xyxy: nodule boxes in pixels (half-open); empty where there is no nodule or it is unknown.
        unmarked_xyxy: boxes of further nodules in view that the reference does not mark, from a second look at it:
            training learns them, and figures are given without and with them.
        ignore_xyxy: boxes of regions that are neither right nor wrong, in training as in figures: an unsure finding, a
            nodule's last frames that nobody outlined.
        has_nodule: whether a nodule is in view, by the reference; None if that is unknown.
        label: pathology-derived or reading-derived class; None if unknown.
        tirads: category that a reader gave the nodule (the most suspicious one in view); None if unknown.
        group: the smallest unit that may be split: `PublicSource.unit` says what that is in each public set, in a
            manifest it is the patient; ids of different sources never coincide.
        source: data set that the sample comes from.
        split: train, val or test.
        hospital: where it was examined; None if unknown, as are the following.
        vendor: maker or model of the scanner.
        region: country or part of it.
        patient: who was examined; None if unknown, as in sets of sweeps or of numbered stills.
        age: of the patient, in years.
        sex: F, M or O (other).
    """

    image: Path
    source: str
    group: str
    split: Split
    frame: int | None = None
    mask: Path | None = None
    gland_mask: Path | None = None
    boxes_xyxy: tuple[Box, ...] = ()
    unmarked_xyxy: tuple[Box, ...] = ()
    ignore_xyxy: tuple[Box, ...] = ()
    has_nodule: bool | None = None
    label: Label | None = None
    tirads: Tirads | None = None
    hospital: str | None = None
    vendor: str | None = None
    region: str | None = None
    patient: str | None = None
    age: float | None = None
    sex: Sex | None = None

    @property
    def place(self) -> str:
        """The image, and the frame of a clip, as messages name it."""
        return str(self.image) if self.frame is None else f"{self.image} frame {self.frame}"


@dataclass(frozen=True, slots=True)
class Dataset:
    """Samples, and in words how those of each source came into their splits."""

    samples: list[Sample]
    splits: Mapping[str, str]


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
