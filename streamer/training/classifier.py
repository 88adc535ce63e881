"""Training DenseNet121 to tell malignant from benign nodules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn

from streamer.data.pixels import Picture
from streamer.geometry import CropWindow
from streamer.models.networks import MALIGNANT, GreyInput, build_classifier
from streamer.training.config import TrainingConfig
from streamer.training.crops import as_input, training_crop
from streamer.training.loop import Batch
from streamer.training.precision import Forward


class ClassifierTask:
    """Benign against malignant, batches drawn with both classes equally often."""

    target = "auc"

    def __init__(self, config: TrainingConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
        """Take labelled pictures; the first box is the nodule, the whole view where there is none."""
        self.config = config
        self.train = [picture for picture in train if picture.sample.label in ("benign", "malignant")]
        self.val = [picture for picture in val if picture.sample.label in ("benign", "malignant")]
        self.network: nn.Module = build_classifier()
        self.training_only = nn.Module()
        self._cross_entropy = nn.CrossEntropyLoss(label_smoothing=0.05)

    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.train) // self.config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Augmented crops and class numbers."""
        size = self.config.size_wh[0]
        labels = np.array([_class(picture) for picture in self.train])
        share = np.bincount(labels, minlength=2)[labels].astype(np.float64)
        order = rng.choice(len(self.train), self.steps() * self.config.batch, p=(1 / share) / (1 / share).sum())
        for start in range(0, len(order), self.config.batch):
            chosen = order[start : start + self.config.batch]
            crops = [self._crop(self.train[index], size, rng) for index in chosen]
            yield {"image": as_input(crops, self.config), "label": torch.from_numpy(labels[chosen])}

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        """Cross entropy on logits, labels smoothed by 0.05."""
        return self._cross_entropy(forward(batch["image"]), batch["label"])  # type: ignore[no-any-return]

    def validate(self, network: nn.Module) -> dict[str, float]:
        """AUC (nan without both classes) and log loss at image level, over all validation pictures and by source."""
        graph = GreyInput(network, self.config.mean, self.config.std)
        device = next(network.parameters()).device
        scores = []
        for picture in self.val:
            window = CropWindow.around(picture.nodule_box, self.config.margin)
            crop = torch.from_numpy(window.crop(picture.grey, self.config.size_wh[0])[None])
            scores.append(graph(crop.to(device)).softmax(1)[0, MALIGNANT].item())
        truth = np.array([_class(picture) for picture in self.val])
        if len(set(truth)) < 2:
            return {"auc": float("nan")}
        sources = np.array([picture.sample.source for picture in self.val])
        figures = {
            "auc": float(roc_auc_score(truth, scores)),
            "log_loss": float(log_loss(truth, scores, labels=[0, 1])),
        }
        for source in sorted(set(sources)):
            part = sources == source
            if len(set(truth[part])) == 2:
                figures[f"auc_{source}"] = float(roc_auc_score(truth[part], np.array(scores)[part]))
        return figures

    def _crop(
        self, picture: Picture, size: int, rng: np.random.Generator
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
        whole = rng.random() < self.config.whole_view
        box = picture.whole_view if whole else picture.nodule_box
        return training_crop(picture, box, size, self.config, rng)[0]


def _class(picture: Picture) -> int:
    return MALIGNANT if picture.sample.label == "malignant" else 1 - MALIGNANT
