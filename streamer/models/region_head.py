"""A classifier's head that looks where the nodule is: features pooled inside its outline.

The outline is the head's own: one 1x1 convolution on features that are there anyway, taught by masks. What is pooled
where is therefore known, and the head behind the pooling is two linear layers: how much each cell of the features
moves the log-odds has a closed form, which costs two small matrix products and no second run of the network.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

FINE_CHANNELS = COARSE_CHANNELS = 1024
"""Channels of DenseNet121 behind its third block, at a sixteenth of the picture's side, and behind its fourth, at a
thirty-second."""

_HIDDEN = 256
_SHARPNESS = 3.0
"""Factor on the outline's logits where they weigh cells: masks teach shares of cells, and what is left outside draws
the map there (docs/experiments.md)."""
_MIN_WEIGHT = 1e-4
"""Of a region that the outline leaves empty: its mean is then nothing, and no number is divided by zero."""


class RegionHead(nn.Module):
    """Two logits out of the features of a crop.

    One mean reaches the first linear layer, that of both feature maps inside the outline. A cell sees more than itself
    (fine ones the whole crop), so what lies around the nodule counts; means over the rim and over the crop beside it
    brought nothing (AUC 0.814 with and without) and drew the map away from the nodule (docs/experiments.md).
    """

    def __init__(self, classes: int) -> None:
        """Start with random weights."""
        super().__init__()
        self.outline = nn.Conv2d(FINE_CHANNELS + COARSE_CHANNELS, 1, 1)
        self.hidden = nn.Linear(FINE_CHANNELS + COARSE_CHANNELS, _HIDDEN)
        self.dropout = nn.Dropout(0.3)
        self.logits = nn.Linear(_HIDDEN, classes)

    def forward(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, shape (n, classes), and the outline's logits, shape (n, 1, side, side).

        Args:
            fine: features behind the third block, none negative, shape (n, 1024, side, side).
            coarse: features behind the fourth, none negative, shape (n, 1024, side / 2, side / 2).
        """
        both, outline, weights = self._inside(fine, coarse)
        return self.logits(self.dropout(self._hidden(both, weights).relu())), outline

    def evidence(self, fine: torch.Tensor, coarse: torch.Tensor, malignant: int) -> torch.Tensor:
        """Share of each cell in the log-odds of malignancy, to first order, shape (n, 1, side, side).

        Gradient times activation, cell by cell, summed over channels: Grad-CAM (Selvaraju et al., ICCV 2017) without
        its mean of the gradient over the picture, which would forget where each feature was pooled (HiResCAM, Draelos
        and Carin, arXiv:2011.08891). The pooling's weights count as given. Positive where a cell speaks for malignancy.

        Args:
            fine, coarse: as in `forward`.
            malignant: number of that class; all others together are what it is held against, two classes in all.
        """
        both, _, weights = self._inside(fine, coarse)
        active = (self._hidden(both, weights) > 0).to(both.dtype)
        margin = self.logits.weight[malignant] - self.logits.weight[1 - malignant]
        gradient = (active * margin) @ self.hidden.weight  # of the pooled features, shape (n, 2048)
        return (both * gradient[:, :, None, None]).sum(1, keepdim=True) * weights

    def _inside(self, fine: torch.Tensor, coarse: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Both feature maps at the fine one's scale, the outline's logits, and the cells' weights, which sum to 1."""
        both = torch.cat([fine, functional.interpolate(coarse, scale_factor=2.0, mode="nearest")], 1)
        outline = self.outline(both)
        inside = (_SHARPNESS * outline.detach()).sigmoid()  # masks teach where to look, labels what is seen there
        return both, outline, inside / (inside.sum((2, 3), keepdim=True) + _MIN_WEIGHT)

    def _hidden(self, both: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        hidden: torch.Tensor = self.hidden((both * weights).sum((2, 3)))
        return hidden


class RegionClassifier(nn.Module):
    """DenseNet121 with that head; its encoder has the names of torchvision's."""

    def __init__(self, classes: int) -> None:
        """Start with random weights."""
        super().__init__()
        from torchvision.models import densenet121

        self.features: nn.Module = densenet121(weights=None).features
        self.head = RegionHead(classes)

    def forward(self, image: torch.Tensor) -> torch.Tensor | tuple[torch.Tensor, torch.Tensor]:
        """Logits, shape (n, classes), of images, shape (n, 3, size, size); in training those of the outline, too."""
        logits, outline = self.head(*feature_maps(self.features, image))
        return (logits, outline) if self.training else logits


def feature_maps(encoder: nn.Module, image: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What heads take of torchvision's DenseNet121: behind the third block before it is halved, and behind the fourth.

    None is negative.
    """
    x, fine = image, image
    for name, layer in encoder.named_children():
        if name == "transition3":
            fine = functional.relu(layer.get_submodule("norm")(x))
            x = layer.get_submodule("pool")(layer.get_submodule("conv")(fine))
        else:
            x = layer(x)
    return fine, functional.relu(x)


def from_plain_head(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The tensors of a DenseNet121 with the paper's head as those of a `RegionClassifier`.

    What that head makes of the mean over the crop, this one makes of the mean inside the outline; features that the
    other did not pool count nothing at first.
    """
    hidden = tensors["classifier.0.weight"]
    spread = hidden.new_zeros(len(hidden), FINE_CHANNELS + COARSE_CHANNELS)
    spread[:, FINE_CHANNELS:] = hidden
    kept = {name: tensor for name, tensor in tensors.items() if not name.startswith("classifier.")}
    return kept | {
        "head.hidden.weight": spread,
        "head.hidden.bias": tensors["classifier.0.bias"],
        "head.logits.weight": tensors["classifier.3.weight"],
        "head.logits.bias": tensors["classifier.3.bias"],
    }
