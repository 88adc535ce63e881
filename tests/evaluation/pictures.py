"""Made-up pictures, and networks that read them without fault: a nodule is what is bright."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streamer.data.pixels import Picture
from streamer.data.samples import Label, Sample
from streamer.geometry import Box
from streamer.models.detector import Detector
from streamer.models.segmenter import Segmenter
from streamer.models.weights_manifest import Preprocessing
from streamer.settings import DetectionSettings
from tests.random_weights import entry

BRIGHT, DARK, GROUND = 220, 20, 60
WIDTH, HEIGHT = 96, 64


def picture(
    boxes: Sequence[Box] = ((20, 10, 52, 42),),
    *,
    level: int = BRIGHT,
    source: str = "here",
    group: str = "a",
    label: Label | None = None,
    frame: int | None = None,
) -> Picture:
    """A picture with one even rectangle a box, and its exact mask."""
    grey, mask = np.full((HEIGHT, WIDTH), GROUND, np.uint8), np.zeros((HEIGHT, WIDTH), np.uint8)
    for x0, y0, x1, y1 in boxes:
        area = np.s_[int(y0) : int(y1), int(x0) : int(x1)]
        grey[area], mask[area] = level, 255
    sample = Sample(
        image=Path(f"{group}.png"),
        source=source,
        group=group,
        split="val",
        frame=frame,
        boxes_xyxy=tuple(boxes),
        has_nodule=bool(boxes),
        label=label,
    )
    return Picture(sample, grey, mask if boxes else None, tuple(boxes))


def bright_detector(score: float = 0.9) -> Detector:
    """Draws one box around whatever is bright."""

    def run(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return np.stack([_raw_box(canvas, score) for canvas in grey])

    preprocessing = Preprocessing(view="frame", size_wh=(WIDTH, HEIGHT), mean=0, std=1)
    own = entry("detector", "0").model_copy(update={"preprocessing": preprocessing})
    return Detector(run, own, DetectionSettings(confidence=0.1))


def bright_segmenter() -> Segmenter:
    """Outlines whatever is bright."""

    def run(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        return (grey[:, None].astype(np.float32) - np.float32((BRIGHT + GROUND) / 2)) / np.float32(10)

    return Segmenter(run, entry("segmenter", "0"))


def _raw_box(canvas: npt.NDArray[np.uint8], score: float) -> npt.NDArray[np.float32]:
    rows, columns = np.nonzero(canvas > (BRIGHT + GROUND) / 2)
    if not len(rows):
        return np.zeros((5, 1), np.float32)
    x0, x1, y0, y1 = columns.min(), columns.max() + 1, rows.min(), rows.max() + 1
    return np.array([[(x0 + x1) / 2], [(y0 + y1) / 2], [x1 - x0], [y1 - y0], [score]], np.float32)
