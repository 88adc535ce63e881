"""The three architectures of Radiology 2023;307(5):e221157, each from the library that keeps it up.

All take grey images that the graph copies to three channels: B-mode is grey, a coloured caliper or logo must not count.

The libraries are imported where a network is built: together they take two seconds, and int8 networks need none.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import torch
from torch import nn

from streamer.models.region_head import RegionClassifier
from streamer.models.registry import CLASSIFIER


def build_detector(variant: str = "yolov5n", classes: int = 1) -> nn.Module:
    """YOLOv5, randomly initialised.

    Args:
        variant: "yolov5n", "yolov5s", "yolov5m", "yolov5l" or "yolov5x".
        classes: number of kinds of object.

    Returns:
        ultralytics' detection model: v6 backbone and neck with its anchor-free head.
    """
    _quiet_ultralytics()
    from ultralytics.nn.tasks import DetectionModel  # late: importing it reads settings and sets thread counts

    threads = torch.get_num_threads()
    model: nn.Module = DetectionModel(f"{variant}.yaml", nc=classes, verbose=False)  # type: ignore[no-untyped-call]
    torch.set_num_threads(threads)
    return model


def build_segmenter(variant: str = "densenet121-fpn", classes: int = 1) -> nn.Module:
    """DenseNet121-FPN with one logit per class and pixel, randomly initialised.

    Args:
        variant: "densenet121-fpn", or "densenet121-fpn-slim", whose decoder has half the channels: as good on what
            there is to learn from (docs/experiments.md), for a third of the decoder's arithmetic.
        classes: number of kinds of region.
    """
    import segmentation_models_pytorch as smp

    channels = 128 if variant.endswith("-slim") else 256  # 256 in Lin et al., CVPR 2017, and in the library
    return smp.FPN(  # type: ignore[no-any-return]
        "densenet121",
        encoder_weights=None,
        in_channels=3,
        classes=classes,
        decoder_pyramid_channels=channels,
        decoder_segmentation_channels=channels // 2,
    )


def build_classifier(variant: str = "densenet121", classes: int = len(CLASSIFIER.classes)) -> nn.Module:
    """DenseNet121, randomly initialised.

    Args:
        variant: "densenet121" with the paper's head, 1024 -> 256 -> ReLU -> dropout 0.2 -> a logit per class, or
            "densenet121-region", whose head pools inside the nodule's outline.
        classes: number of classes.
    """
    if variant.endswith("-region"):
        return RegionClassifier(classes)
    from torchvision.models import densenet121

    model: nn.Module = densenet121(weights=None)
    model.classifier = nn.Sequential(nn.Linear(1024, 256), nn.ReLU(), nn.Dropout(0.2), nn.Linear(256, classes))
    return model


class GreyInput(nn.Module):
    """Puts preprocessing into the graph: grey bytes in, network output out.

    Takes uint8 of shape (n, height, width), copies it to three channels, and feeds `(value / 255 - mean) / std` to the
    network. What travels between processor and network is one byte a pixel.
    """

    def __init__(self, network: nn.Module, mean: float, std: float) -> None:
        """Wrap `network`, trained with grey values normalised by `mean` and `std` (both on the scale 0 to 1)."""
        super().__init__()
        self.network = network
        self.gain = 1 / (255 * std)
        self.bias = -mean / std

    def forward(self, grey: torch.Tensor) -> torch.Tensor:
        """Run the network on grey bytes, shape (n, height, width)."""
        dtype = next(self.network.parameters()).dtype
        image = (grey.unsqueeze(1).to(dtype) * self.gain + self.bias).expand(-1, 3, -1, -1)
        output = self.network(image)
        tensor: torch.Tensor = output[0] if isinstance(output, (tuple, list)) else output
        return tensor


def _quiet_ultralytics() -> None:
    """Keep ultralytics off the network and out of the user's folders; must run before its first import."""
    folder = Path(tempfile.gettempdir()) / f"streamer-ultralytics-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
    folder.mkdir(exist_ok=True)
    for name, value in {"YOLO_OFFLINE": "1", "YOLO_AUTOINSTALL": "0", "YOLO_VERBOSE": "0"}.items():
        os.environ[name] = value
    os.environ.setdefault("YOLO_CONFIG_DIR", str(folder))
    from ultralytics.utils import SETTINGS

    for name in ("sync", "clearml", "comet", "dvc", "mlflow", "raytune", "tensorboard", "wandb"):
        dict.__setitem__(SETTINGS, name, False)  # in memory only: a user's own settings file stays as it is
