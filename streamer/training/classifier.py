"""Training DenseNet121 to tell malignant from benign nodules."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import numpy.typing as npt
import torch
from sklearn.metrics import log_loss, roc_auc_score
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from streamer.data.pixels import Picture
from streamer.geometry import CropWindow
from streamer.models.architectures import GreyInput, build_classifier
from streamer.models.joint_output import OUTLINE_STRIDE
from streamer.models.registry import MALIGNANT
from streamer.training.config import TrainingConfig
from streamer.training.crops import as_input, training_crop
from streamer.training.loop import Batch
from streamer.training.precision import Forward
from streamer.types import Grey

_NO_LABEL = -100
"""What torch's cross entropy leaves out."""
_BLOCKS = 4
"""Dense blocks of DenseNet121."""


class ClassifierTask:
    """Benign against malignant, batches drawn with both classes equally often."""

    target = "auc"

    def __init__(self, config: TrainingConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
        """Take labelled pictures; the first box is the nodule, the whole view where there is none."""
        self.config = config
        self.train = [picture for picture in train if picture.sample.label in ("benign", "malignant")]
        self.val = [picture for picture in val if picture.sample.label in ("benign", "malignant")]
        self.outlined = [one for one in train if one.sample.label is None and one.mask is not None and one.boxes_xyxy]
        self.network: nn.Module = build_classifier(config.architecture)
        self.training_only = nn.Module()
        self._frozen = _first_blocks(self.network, config.frozen_blocks)
        for layer in self._frozen:
            layer.requires_grad_(False)
        self._cross_entropy = nn.CrossEntropyLoss(label_smoothing=0.05)

    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.train) // self.config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Augmented crops and class numbers; where masks teach, the nodule's share of each cell of the outline."""
        for layer in self._frozen:  # the statistics of their normalisation stay, too
            layer.eval()
        labels = np.array([_class(picture) for picture in self.train])
        share = np.bincount(labels, minlength=2)[labels].astype(np.float64)
        order = rng.choice(len(self.train), self.steps() * self.config.batch, p=(1 / share) / (1 / share).sum())
        extra = round(self.config.unlabelled * self.config.batch) if self.outlined else 0
        for start in range(0, len(order), self.config.batch):
            chosen = order[start : start + self.config.batch]
            pictures = [self.train[index] for index in chosen]
            pictures += [self.outlined[index] for index in rng.integers(0, max(1, len(self.outlined)), extra)]
            crops = [self._crop(picture, rng) for picture in pictures]
            batch = {
                "image": as_input([crop for crop, _ in crops], self.config),
                "label": torch.from_numpy(np.concatenate([labels[chosen], np.full(extra, _NO_LABEL)])),
            }
            if self.config.outline_weight:
                batch["outline"] = torch.from_numpy(np.stack([_cells(mask, crop.shape[0]) for crop, mask in crops]))
            yield batch

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        """Cross entropy on logits, labels smoothed by 0.05; and that of the outline, where masks teach."""
        if not self.config.outline_weight:
            return self._cross_entropy(forward(batch["image"]), batch["label"])  # type: ignore[no-any-return]
        logits, outline = forward(batch["image"])
        loss: torch.Tensor = self._cross_entropy(logits, batch["label"])
        known = ~batch["outline"].isnan()
        if known.any():
            entropy = binary_cross_entropy_with_logits(outline[:, 0][known], batch["outline"][known])
            loss = loss + self.config.outline_weight * entropy
        return loss

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

    def _crop(self, picture: Picture, rng: np.random.Generator) -> tuple[Grey, Grey | None]:
        whole = rng.random() < self.config.whole_view
        box = picture.whole_view if whole else picture.nodule_box
        return training_crop(picture, box, self.config.size_wh[0], self.config, rng)


def _class(picture: Picture) -> int:
    return MALIGNANT if picture.sample.label == "malignant" else 1 - MALIGNANT


def _first_blocks(network: nn.Module, blocks: int) -> list[nn.Module]:
    """The layers of DenseNet121's encoder up to the transition behind that block; none for 0, all for the fourth."""
    layers = dict(network.get_submodule("features").named_children())
    names = list(layers)
    if blocks == _BLOCKS:
        return list(layers.values())
    return [layers[name] for name in names[: names.index(f"transition{blocks}") + 1]] if blocks else []


def _cells(mask: Grey | None, size: int) -> npt.NDArray[np.float32]:
    """The nodule's share of each cell of a region head's outline, 0 to 1; NaN where the crop has no mask."""
    side = size // OUTLINE_STRIDE
    if mask is None:
        return np.full((side, side), np.nan, np.float32)
    return np.asarray(cv2.resize(mask, (side, side), interpolation=cv2.INTER_AREA) / np.float32(255), np.float32)
