"""Segmenter and classifier as one network: where they have the same encoder, it runs once for both.

The segmenter was then trained on the classifier's encoder, which stayed as it was: both networks give what they give
alone, up to the rounding of arithmetic in another order.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

MASK = slice(0, 1)
"""Plane of the joint output with the segmenter's logits; the others hold a logit of the classifier each."""


class JointNetwork(nn.Module):
    """Outlines a crop, and classifies it and further views of it, such as its mirror image.

    The two kinds of answer leave in one tensor, each logit of the classifier spread over a plane of its own: so they
    pass where a network has one output.
    """

    def __init__(self, segmenter: nn.Module, classifier: nn.Module, views: int) -> None:
        """Join two networks.

        Args:
            segmenter: DenseNet121-FPN; its encoder is used for both.
            classifier: DenseNet121 with the same encoder; only its head is used.
            views: images of each nodule; the first is outlined.
        """
        super().__init__()
        self.encoder = segmenter.get_submodule("encoder")
        self.decoder = segmenter.get_submodule("decoder")
        self.mask_head = segmenter.get_submodule("segmentation_head")
        self.class_head = classifier.get_submodule("classifier")
        self.views = views

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Logits, shape (n, 1 + 2 * views, size, size), of images, shape (n * views, 3, size, size)."""
        features = self.encoder(image)
        mask = self.mask_head(self.decoder([feature[:: self.views] for feature in features]))
        pooled = nn.functional.adaptive_avg_pool2d(nn.functional.relu(features[-1]), 1).flatten(1)
        logits = self.class_head(pooled).reshape(mask.shape[0], -1, 1, 1)
        return torch.cat([mask, logits.expand(-1, -1, mask.shape[2], mask.shape[3])], dim=1)


def class_logits(joint: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """The classifier's logits, shape (n, views, 2), out of the joint output."""
    return joint[:, MASK.stop :, 0, 0].reshape(len(joint), -1, 2)
