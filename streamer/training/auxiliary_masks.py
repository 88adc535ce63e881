"""Masks as a second teacher of the detector: where the nodule is to a pixel, and where the thyroid.

A box says little about an image; masks say something about each of its pixels, and healthy glands show where nodules
can be. A layer of its own learns them from the detector's finest features, and is thrown away after the training: in
use the detector is what it was. (In He et al., Mask R-CNN, ICCV 2017, boxes gain from learning masks, too.)
"""

from __future__ import annotations

from math import ceil

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from streamer.data.pixels import Picture
from streamer.types import Grey

STRIDE = 8
"""Pixels of the canvas a feature, as YOLO's finest."""
_CROSS_ENTROPY = 4.0
"""Weight of the cross entropy beside the Dice loss; most pixels are background, and their mean is small."""
_MASKS = 2


def masks_of(picture: Picture) -> Grey:
    """What is known of a picture's pixels, shape (height, width, 4): nodule, and where that is known; so the gland.

    Each is 0 or 255. Where there is no nodule that is known, too; a nodule with a box only is not known to a pixel, nor
    are further nodules without a mark, nor what is to be ignored.
    """
    known = picture.mask is not None or picture.sample.has_nodule is False
    layers = np.zeros((*picture.grey.shape, 2 * _MASKS), np.uint8)
    if picture.mask is not None:
        layers[..., 0] = picture.mask
    layers[..., 1] = 255 * known
    for x0, y0, x1, y1 in (*picture.unmarked_xyxy, *picture.ignore_xyxy):
        layers[int(y0) : ceil(y1), int(x0) : ceil(x1), 1] = layers[int(y0) : ceil(y1), int(x0) : ceil(x1), 0]
    if picture.gland is not None:
        layers[..., 2] = picture.gland
        layers[..., 3] = 255
    return layers


class MaskHead(nn.Module):
    """A 1x1 convolution on a detector's finest features: a plane of logits for the nodule and one for the gland."""

    def __init__(self, detector: nn.Module) -> None:
        """Listen to what reaches the head of `detector`, an ultralytics network, whenever that is trained."""
        super().__init__()
        layers: nn.ModuleList = detector.model  # type: ignore[assignment]
        finest: int = layers[-1].f[0]  # type: ignore[assignment, index]
        self._features: torch.Tensor | None = None

        def keep(layer: nn.Module, _: object, features: torch.Tensor) -> None:
            if layer.training:
                self._features = features

        layers[finest].register_forward_hook(keep)
        self.planes = nn.Conv2d(layers[-1].cv2[0][0].conv.in_channels, _MASKS, 1)  # type: ignore[index, union-attr]

    def loss(self, masks: torch.Tensor) -> torch.Tensor:
        """Cross entropy and Dice loss of both planes, where known, for the canvases that the detector has just seen.

        Args:
            masks: `masks_of` the canvases at the features' scale, 0 to 1, shape (n, 4, height, width).
        """
        if self._features is None:
            raise RuntimeError("the detector has not run")
        logits = self.planes(self._features.float())
        self._features = None
        losses = [
            _plane_loss(logits[:, plane], masks[:, 2 * plane], masks[:, 2 * plane + 1])
            for plane in range(_MASKS)
            if masks[:, 2 * plane + 1].sum() >= 1
        ]
        return torch.stack(losses).sum() if losses else logits.sum() * 0


def _plane_loss(logits: torch.Tensor, truth: torch.Tensor, known: torch.Tensor) -> torch.Tensor:
    entropy = (binary_cross_entropy_with_logits(logits, truth, reduction="none") * known).sum() / known.sum()
    found = logits.sigmoid() * known
    overlap = (2 * (found * truth).sum() + 1) / (found.sum() + (truth * known).sum() + 1)
    return _CROSS_ENTROPY * entropy + 1 - overlap


def at_feature_scale(layers: Grey) -> npt.NDArray[np.float32]:
    """A canvas' layers, shape (height, width, n), as mean shares of each feature's pixels, shape (n, height, width)."""
    height, width, count = layers.shape
    cells = layers.reshape(height // STRIDE, STRIDE, width // STRIDE, STRIDE, count)
    return np.asarray(cells.mean((1, 3)).transpose(2, 0, 1) / 255, np.float32)
