"""The pixels of samples, held in memory as grey images small enough that a whole data set fits."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import cast

import cv2
import numpy as np

from streamer._pixels import to_grey
from streamer.data.grey import read_grey
from streamer.data.regions import WHITE
from streamer.data.samples import Sample
from streamer.errors import DataError, InputError
from streamer.geometry import Box
from streamer.phantom import PhantomFrame, random_scene, simulate
from streamer.sources import open_source
from streamer.types import Grey

_SMALLEST_PHANTOM_PX = 150


@dataclass(frozen=True, slots=True)
class Picture:
    """A sample with its pixels: grey image and masks, shape (height, width), and boxes, all at the stored scale.

    `unmarked_xyxy` and `ignore_xyxy` are the sample's, at that scale.
    """

    sample: Sample
    grey: Grey
    mask: Grey | None
    boxes_xyxy: tuple[Box, ...]
    gland: Grey | None = None
    unmarked_xyxy: tuple[Box, ...] = ()
    ignore_xyxy: tuple[Box, ...] = ()

    @property
    def whole_view(self) -> Box:
        """The box of the whole image."""
        height, width = self.grey.shape
        return 0.0, 0.0, float(width), float(height)

    @property
    def nodule_box(self) -> Box:
        """The first box, or the whole view if there is none."""
        return self.boxes_xyxy[0] if self.boxes_xyxy else self.whole_view


def load_pictures(samples: Iterable[Sample], *, max_side: int = 720) -> list[Picture]:
    """Read every sample; images whose longer side exceeds `max_side` are shrunk (area interpolation), boxes with them.

    Raises:
        DataError: an image, a mask or a clip frame is missing or unreadable, or a box lies outside its image.
    """
    frames: dict[Path, list[Grey]] = {}
    pictures = []
    for sample in samples:
        if sample.frame is None:
            grey = read_grey(sample.image)
        else:
            if sample.image not in frames:
                frames = {sample.image: read_clip(sample.image)}  # manifests list a clip's frames together
            clip = frames[sample.image]
            if sample.frame >= len(clip):
                raise DataError(f"{sample.image} has {len(clip)} frames; the data name frame {sample.frame}")
            grey = clip[sample.frame]
        pictures.append(_picture(sample, grey, max_side))
    return pictures


def read_pictures(samples: Iterable[Sample]) -> Iterator[Picture]:
    """Samples with their pixels at full size; a clip is decoded once and dropped when the next one begins.

    Raises:
        DataError: an image, mask or clip cannot be read.
    """
    for _, together in groupby(samples, key=lambda sample: sample.image):
        yield from load_pictures(together, max_side=sys.maxsize)


def _picture(sample: Sample, grey: Grey, max_side: int) -> Picture:
    _refuse_outside(sample, grey)
    mask, gland = (_read_mask(path, grey) for path in (sample.mask, sample.gland_mask))
    if mask is not None and sample.boxes_xyxy and mask.max() <= WHITE:
        raise DataError(f"the mask {sample.mask} is empty, but there is a box: 255 is inside a nodule")
    scale = min(1.0, max_side / max(grey.shape))
    if scale == 1.0:
        return Picture(sample, grey, mask, sample.boxes_xyxy, gland, sample.unmarked_xyxy, sample.ignore_xyxy)
    size = (round(grey.shape[1] * scale), round(grey.shape[0] * scale))

    def small(image: Grey | None) -> Grey | None:
        return None if image is None else np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)

    marked, unmarked, ignored = (
        tuple((x0 * scale, y0 * scale, x1 * scale, y1 * scale) for x0, y0, x1, y1 in boxes)
        for boxes in (sample.boxes_xyxy, sample.unmarked_xyxy, sample.ignore_xyxy)
    )
    return Picture(sample, cast(Grey, small(grey)), small(mask), marked, small(gland), unmarked, ignored)


def _refuse_outside(sample: Sample, grey: Grey) -> None:
    height, width = grey.shape
    for box in (*sample.boxes_xyxy, *sample.unmarked_xyxy, *sample.ignore_xyxy):
        if box[0] < -1 or box[1] < -1 or box[2] > width + 1 or box[3] > height + 1:
            raise DataError(
                f"the box {' '.join(f'{v:g}' for v in box)} lies outside {sample.image}, {width}x{height} px"
            )


def _read_mask(path: Path | None, grey: Grey) -> Grey | None:
    if path is None:
        return None
    mask = read_grey(path)
    if mask.shape != grey.shape:
        raise DataError(f"{path} is {mask.shape[1]}x{mask.shape[0]} px, its image {grey.shape[1]}x{grey.shape[0]} px")
    return mask


def read_clip(path: Path) -> list[Grey]:
    """All frames of a clip, grey.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with open_source(path) as source:
            return [to_grey(frame.image) for frame in source.frames()]
    except InputError as error:
        raise DataError(str(error)) from error


def phantom_pictures(count: int, seed: int, *, moments: int = 5) -> list[Picture]:
    """Simulated frames with exact masks, `moments` of each random scene; regions too small to see are left unboxed.

    Args:
        count: number of pictures.
        seed: first scene's seed; scenes from 0 on are kept for tests and the demo, so start well above.
        moments: frames a scene, spread over its sweep.
    """
    pictures: list[Picture] = []
    while len(pictures) < count:
        scene = random_scene(seed)
        sweep = simulate(seed=seed, frames=moments, nodules=scene.nodules, neck=scene.neck, scanner=scene.scanner)
        pictures.extend(_phantom_picture(frame, seed) for frame in sweep)
        seed += 1
    return pictures[:count]


def _phantom_picture(frame: PhantomFrame, seed: int) -> Picture:
    names = [name for name, mask in frame.masks.items() if mask.sum() >= _SMALLEST_PHANTOM_PX]
    boxes = tuple(tuple(map(float, frame.box_xyxy(name))) for name in names)
    union = np.any([frame.masks[name] for name in names], axis=0) if names else None
    sample = Sample(
        image=Path(f"phantom-{seed}"),
        source="phantom",
        group=f"phantom-{seed}",
        split="train",
        has_nodule=bool(names),
    )
    mask = None if union is None else union.astype(np.uint8) * 255
    return Picture(sample, np.ascontiguousarray(frame.image[:, :, 0]), mask, boxes)  # type: ignore[arg-type]
