"""Detectors that teach another their scores, box or no box: knowledge distillation (Hinton et al., arXiv:1503.02531).

A box says that a nodule is here and nothing else is; a teacher's scores also say how sure that is, and what else looks
like one. Several teachers, each asked about a picture and its mirror image, are surer than the one that learns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits

from streamer.errors import DataError
from streamer.models.networks import load_network
from streamer.models.weights_manifest import read_manifest
from streamer.training.config import TrainingConfig
from streamer.training.precision import mixed_precision

_NEVER_SURE = 1e-5


class Teachers:
    """Detectors whose mean score, anchor by anchor, is what another learns.

    Attributes:
        origin: SHA-256 of each one's weights, by "teacher 1", "teacher 2" ...
    """

    def __init__(self, networks: Sequence[nn.Module], origin: Mapping[str, str]) -> None:
        """Teach by ultralytics' detection networks of one input size; they learn nothing themselves."""
        self.origin = dict(origin)
        self._networks = [network.eval().requires_grad_(requires_grad=False) for network in networks]

    @torch.no_grad()
    def scores(self, images: torch.Tensor) -> torch.Tensor:
        """Mean of all teachers' scores of images and of their mirror images.

        Args:
            images: as the networks see them, shape (n, 3, height, width).

        Returns:
            0 to 1, shape (n, 1, anchors), the anchors in the order of the head's output.
        """
        width, height = images.shape[3], images.shape[2]
        mirrored = images.flip(3).contiguous(memory_format=torch.channels_last)
        total = torch.zeros((), device=images.device)
        for network in self._networks:
            run = mixed_precision(network.to(images.device, memory_format=torch.channels_last), images.device)  # type: ignore[call-overload]
            strides = [int(stride) for stride in network.model[-1].stride]  # type: ignore[index, union-attr]
            total = total + _scores(run(images)) + _mirrored(_scores(run(mirrored)), width, height, strides)
        return total / (2 * len(self._networks))


def _scores(output: torch.Tensor | Sequence[torch.Tensor]) -> torch.Tensor:
    return (output if isinstance(output, torch.Tensor) else output[0])[:, 4:5]


def _mirrored(scores: torch.Tensor, width: int, height: int, strides: Sequence[int]) -> torch.Tensor:
    """The scores of a mirror image, shape (n, 1, anchors), at the anchors of the image."""
    shapes = [(height // stride, width // stride) for stride in strides]
    levels = torch.split(scores, [rows * columns for rows, columns in shapes], 2)
    turned = [
        level.reshape(len(scores), 1, *shape).flip(3).flatten(2) for level, shape in zip(levels, shapes, strict=True)
    ]
    return torch.cat(turned, 2)


def score_loss(logits: torch.Tensor, taught: torch.Tensor) -> torch.Tensor:
    """Kullback-Leibler divergence of the learner's scores from the taught ones, over the sum of the taught.

    Args:
        logits: the learner's, shape (n, 1, anchors).
        taught: scores, 0 to 1, of the same shape.

    Returns:
        A scalar of 0 or more; 0 where both agree.
    """
    entropy = binary_cross_entropy(taught.clamp(_NEVER_SURE, 1 - _NEVER_SURE), taught, reduction="sum")
    cross = binary_cross_entropy_with_logits(logits, taught, reduction="sum")
    return (cross - entropy) / taught.sum().clamp(min=1)


def load_teachers(config: TrainingConfig, weights: Path, folders: Sequence[Path]) -> Teachers | None:
    """The detectors of `folders`, or that of `weights` where there are none; None where the recipe asks for no scores.

    Raises:
        DataError: teachers are given that nobody asks, or one sees other pictures than the one that learns.
        WeightsError: a folder has no usable detector.
    """
    if not config.soft_scores:
        if folders:
            raise DataError("--teacher does nothing without soft_scores in the configuration")
        return None
    networks, origin = [], {}
    for number, folder in enumerate(folders or [weights], 1):
        manifest = read_manifest(folder)
        networks.append(load_network(folder, "detector", manifest))
        entry = manifest.models["detector"]
        for name in ("size_wh", "mean", "std"):
            own, theirs = getattr(config, name), getattr(entry.preprocessing, name)
            if own != theirs:
                raise DataError(f"the teacher of {folder} has {name} {theirs}, the detector that learns {own}")
        origin[f"teacher {number}"] = entry.sha256
    return Teachers(networks, origin)
