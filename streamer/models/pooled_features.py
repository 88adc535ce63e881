"""A detector that also gives the features it has of the whole frame, see `frame_features`."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from streamer.models.frame_features import ROWS


class DetectorWithFeatures(nn.Module):
    """A YOLO detector whose output has more columns: mean and standard deviation of each channel its head sees."""

    def __init__(self, detector: nn.Module) -> None:
        """Wrap ultralytics' detection model."""
        super().__init__()
        self.detector = detector
        self._seen: list[torch.Tensor] = []
        head = list(detector.get_submodule("model").children())[-1]
        head.register_forward_pre_hook(self._note)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Output, shape (n, 5, anchors + columns), of images, shape (n, 3, height, width)."""
        output = self.detector(image)
        boxes: torch.Tensor = output[0] if isinstance(output, (tuple, list)) else output
        pooled = torch.cat([part for maps in self._seen for part in (maps.mean((2, 3)), maps.std((2, 3)))], 1)
        padded = nn.functional.pad(pooled, (0, -pooled.shape[1] % ROWS))
        return torch.cat([boxes, padded.reshape(len(boxes), ROWS, -1)], 2)

    def _note(self, _head: nn.Module, inputs: tuple[Any, ...]) -> None:
        self._seen = list(inputs[0])  # the head changes the list that it is given
