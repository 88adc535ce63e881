"""Training DenseNet121-FPN to outline the nodule in a crop."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from segmentation_models_pytorch.losses import DiceLoss
from torch import nn

from streamer.data.pixels import Picture
from streamer.geometry import Box, CropWindow
from streamer.models.architectures import GreyInput, build_segmenter
from streamer.training.config import TrainingConfig
from streamer.training.crops import as_input, training_crop
from streamer.training.loop import Batch
from streamer.training.precision import Forward


class SegmenterTask:
    """Foreground against background in crops; the paper's loss, half cross entropy and half Dice."""

    target = "dice"

    def __init__(self, config: TrainingConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
        """Take pictures with masks; others are left out."""
        self.config = config
        self.train = [(picture, box) for picture in train if picture.mask is not None for box in picture.boxes_xyxy]
        self.val = [(picture, box) for picture in val if picture.mask is not None for box in picture.boxes_xyxy]
        self.network: nn.Module = build_segmenter(config.architecture)
        self.training_only = nn.Module()
        if config.encoder_from_classifier:
            self.network.get_submodule("encoder").requires_grad_(False)
        self._dice = DiceLoss("binary", from_logits=True)
        self._cross_entropy = nn.BCEWithLogitsLoss()

    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.train) // self.config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Augmented crops and their masks, shape (n, 1, size, size), values 0 to 1."""
        size = self.config.size_wh[0]
        if self.config.encoder_from_classifier:  # the statistics of its normalisation are the classifier's, too
            self.network.get_submodule("encoder").eval()
        order = rng.permutation(len(self.train))
        for start in range(0, self.steps() * self.config.batch, self.config.batch):
            crops, masks = [], []
            for index in order[start : start + self.config.batch]:
                picture, box = self.train[index]
                crop, mask = training_crop(picture, box, size, self.config, rng)
                assert mask is not None  # the constructor keeps pictures with masks only
                crops.append(crop)
                masks.append(mask)
            truth = torch.from_numpy(np.stack(masks)).float().div_(255).unsqueeze(1)
            yield {"image": as_input(crops, self.config), "mask": (truth > 0.5).float()}

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        """0.5 binary cross entropy + 0.5 Dice loss, as in the paper's code."""
        logits = forward(batch["image"])
        cross_entropy: torch.Tensor = self._cross_entropy(logits, batch["mask"])
        dice: torch.Tensor = self._dice(logits, batch["mask"])
        return 0.5 * cross_entropy + 0.5 * dice

    def validate(self, network: nn.Module) -> dict[str, float]:
        """Mean Dice inside crops around true boxes, over all nodules and by source."""
        graph = GreyInput(network, self.config.mean, self.config.std)
        scores: dict[str, list[float]] = {}
        for picture, box in self.val:
            scores.setdefault(picture.sample.source, []).append(self._dice_of(graph, picture, box))
        figures = {f"dice_{source}": float(np.mean(values)) for source, values in sorted(scores.items())}
        return {"dice": float(np.mean([value for values in scores.values() for value in values])), **figures}

    def _dice_of(self, graph: nn.Module, picture: Picture, box: Box) -> float:
        size = self.config.size_wh[0]
        assert picture.mask is not None  # the constructor keeps pictures with masks only
        window = CropWindow.around(box, self.config.margin)
        crop = torch.from_numpy(window.crop(picture.grey, size)[None])
        predicted = graph(crop.to(next(graph.parameters()).device))[0, 0].cpu().numpy() > 0
        truth = window.crop(picture.mask, size) > 127
        return float(2 * (predicted & truth).sum() / max(1, predicted.sum() + truth.sum()))
