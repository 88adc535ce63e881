"""Segmenter and classifier as one network: where they have the same encoder, it runs once for both.

The segmenter was then trained on the classifier's encoder, which stayed as it was: both networks give what they give
alone, up to the rounding of arithmetic in another order.
"""

from __future__ import annotations

import torch
from torch import nn

from streamer.models.explained import ExplainedHead


class JointNetwork(nn.Module):
    """Outlines a crop, and classifies it and further views of it, such as its mirror image.

    The kinds of answer leave in one tensor, each logit of the classifier spread over a plane of its own: so they pass
    where a network has one output.
    """

    def __init__(self, segmenter: nn.Module, classifier: nn.Module, views: int) -> None:
        """Join two networks.

        Args:
            segmenter: DenseNet121-FPN; its encoder is used for both.
            classifier: DenseNet121 of either kind with the same encoder; only its head is used.
            views: images of each nodule; the first is outlined.
        """
        super().__init__()
        self.encoder = segmenter.get_submodule("encoder")
        self.decoder = segmenter.get_submodule("decoder")
        self.mask_head = segmenter.get_submodule("segmentation_head")
        self.class_head = ExplainedHead(classifier)
        self.views = views

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Planes, shape (n, 1 + 3 * views, size, size), of images, shape (n * views, 3, size, size).

        First the segmenter's logits, then for each view a plane for each of the classifier's two logits, and one of
        each cell's share in the log-odds of malignancy.
        """
        features = self.encoder(image)
        mask = self.mask_head(self.decoder([feature[:: self.views] for feature in features]))
        logits, evidence = self.class_head(features[-2], nn.functional.relu(features[-1]))
        spread = logits[:, :, None, None].expand(-1, -1, mask.shape[2], mask.shape[3])
        enlarged = nn.functional.interpolate(evidence, size=mask.shape[2:], mode="nearest")
        planes = torch.cat([spread, enlarged], dim=1)
        return torch.cat([mask, planes.reshape(mask.shape[0], -1, mask.shape[2], mask.shape[3])], dim=1)
