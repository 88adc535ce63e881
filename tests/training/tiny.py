"""A tiny data set for training: bright ellipses on speckle, as pictures and as files with a manifest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from streamer.data.pixels import Picture
from streamer.data.samples import Label, Sample, Split
from streamer.training.config import TrainingConfig
from tests.data.manifest_file import write_manifest

_ARCHITECTURE = {"detector": "yolov5n", "segmenter": "densenet121-fpn", "classifier": "densenet121"}
LABELS: tuple[Label, Label] = ("benign", "malignant")


def picture(seed: int, split: Split = "train", *, width: int = 96, height: int = 72) -> Picture:
    """One ellipse: wide ones are benign, tall ones malignant."""
    rng = np.random.default_rng(seed)
    label = LABELS[seed % 2]
    centre = int(rng.integers(30, width - 30)), int(rng.integers(26, height - 26))
    axes = (18, 9) if label == "benign" else (9, 18)
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, centre, axes, 0, 0, 360, 255, cv2.FILLED)
    speckle = rng.rayleigh(30, (height, width))
    grey = np.clip(np.where(mask > 0, 3 * speckle, speckle), 0, 255).astype(np.uint8)
    left, top, across, down = cv2.boundingRect(mask)
    box = (float(left), float(top), float(left + across), float(top + down))
    sample = Sample(
        image=Path(f"{seed}.png"),
        source="tiny",
        group=f"p{seed}",
        split=split,
        mask=Path(f"{seed}-mask.png"),
        label=label,
        boxes_xyxy=(box,),
        has_nodule=True,
    )
    return Picture(sample, grey, mask, (box,))


def write_data(folder: Path, *, train: int = 6, val: int = 4) -> Path:
    """Write pictures, masks and their manifest; gives the manifest's path."""
    samples = []
    for seed in range(train + val):
        made = picture(seed, "train" if seed < train else "val")
        image, mask = folder / f"{seed}.png", folder / f"{seed}-mask.png"
        assert made.mask is not None
        cv2.imwrite(str(image), made.grey)
        cv2.imwrite(str(mask), made.mask)
        fields = {name: getattr(made.sample, name) for name in Sample.__dataclass_fields__}
        samples.append(Sample(**{**fields, "image": image, "mask": mask}))
    manifest = folder / "data.csv"
    write_manifest(samples, manifest)
    return manifest


def config(role: str, **changes: Any) -> TrainingConfig:
    """Two epochs at 64 px."""
    data = {
        "role": role,
        "architecture": _ARCHITECTURE[role],
        "sources": {"tiny": {}},
        "size_wh": [64, 64],
        "epochs": 2,
        "batch": 3,
        **changes,
    }
    return TrainingConfig.model_validate(data)
