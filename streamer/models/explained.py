"""A classifier's head together with where its answer comes from: two logits, and each cell's share in the log-odds.

Behind the features there is a pooling that is known and two linear layers, so the gradient of the log-odds has a closed
form: no second run of the network, and nothing to differentiate. The share of a cell is its features times their
gradient, summed over the channels: Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) where all cells are pooled
alike, HiResCAM (Draelos and Carin, arXiv:2011.08891) where some count more.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from streamer.models.architectures import GreyInput
from streamer.models.networks import load_network
from streamer.models.region_head import RegionClassifier, RegionHead, feature_maps
from streamer.models.registry import MALIGNANT
from streamer.models.weights_manifest import Manifest, Preprocessing
from streamer.types import Grey, Heat


class ExplainedHead(nn.Module):
    """The head of a classifier of either kind."""

    def __init__(self, classifier: nn.Module) -> None:
        """Take over the head of a DenseNet121 classifier, with the paper's head or a `RegionHead`."""
        super().__init__()
        region = isinstance(classifier, RegionClassifier)
        self.head = classifier.get_submodule("head" if region else "classifier")

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, shape (n, 2), and each cell's share in the log-odds of malignancy, shape (n, 1, height, width).

        Args:
            fine: features behind the third block, none negative.
            coarse: features behind the fourth, none negative.
        """
        if isinstance(self.head, RegionHead):
            return self.head(fine, coarse)[0], self.head.evidence(fine, coarse, MALIGNANT)
        first, last = (cast(nn.Linear, self.head.get_submodule(name)) for name in ("0", "3"))
        hidden = first(functional.adaptive_avg_pool2d(coarse, 1).flatten(1))
        margin = last.weight[MALIGNANT] - last.weight[1 - MALIGNANT]
        gradient = ((hidden > 0).to(coarse.dtype) * margin) @ first.weight / (coarse.shape[2] * coarse.shape[3])
        return last(hidden.relu()), (coarse * gradient[:, :, None, None]).sum(1, keepdim=True)


class Evidence(nn.Module):
    """A classifier that says where its answer comes from instead of the answer."""

    def __init__(self, classifier: nn.Module) -> None:
        """Explain a DenseNet121 classifier."""
        super().__init__()
        self.features = classifier.get_submodule("features")
        self.explained = ExplainedHead(classifier)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Each cell's share in the log-odds, shape (n, 1, height, width), of images, shape (n, 3, size, size)."""
        evidence: torch.Tensor = self.explained(*feature_maps(self.features, image))[1]
        return evidence


def explain_with_torch(folder: Path, manifest: Manifest) -> Callable[[Grey], Heat]:
    """What `streamer.models.grad_cam.HeatMaps` asks, of a classifier in torch.

    Raises:
        WeightsError: it cannot be loaded.
    """
    classifier = load_network(folder, "classifier", manifest)
    return explainer(Evidence(classifier), manifest.models["classifier"].preprocessing)


def explainer(evidence: nn.Module, preprocessing: Preprocessing) -> Callable[[Grey], Heat]:
    """The same of a network that gives each cell's share, shape (n, 1, height, width), of three-channel images."""
    graph = GreyInput(evidence, preprocessing.mean, preprocessing.std).eval()

    def explain(crop: Grey) -> Heat:
        with torch.inference_mode():
            return np.asarray(graph(torch.from_numpy(crop[None]))[0, 0].numpy(), np.float32)

    return explain
