"""Segmentation and classification learn from crops around a nodule: how a crop is drawn, and how a batch is made."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from streamer.data.pixels import Picture
from streamer.geometry import Box
from streamer.training.augment import jittered_window, photometric, tilt_and_flip
from streamer.training.config import TrainingConfig
from streamer.types import Grey


def training_crop(
    picture: Picture, box: Box, size: int, config: TrainingConfig, rng: np.random.Generator
) -> tuple[Grey, Grey | None]:
    """An augmented crop, shape (size, size), and its mask where the picture has one."""
    window = jittered_window(box, rng, margin=config.margin, shift=config.box_shift, stretch=config.box_stretch)
    images = [window.crop(picture.grey, size)]
    if picture.mask is not None:
        images.append(window.crop(picture.mask, size))
    images = tilt_and_flip(images, rng, degrees=config.tilt_degrees)
    return photometric(images[0], rng), images[1] if len(images) > 1 else None


def as_input(crops: Sequence[Grey], config: TrainingConfig) -> torch.Tensor:
    """Grey crops as a normalised batch, shape (n, 3, size, size), channels last."""
    pixels = torch.from_numpy(np.stack(crops)).float().div_(255)
    image = ((pixels - config.mean) / config.std).unsqueeze(1).expand(-1, 3, -1, -1)
    return image.contiguous(memory_format=torch.channels_last)
