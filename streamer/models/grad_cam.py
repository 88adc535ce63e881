"""Heat maps: what in a nodule's surroundings raised the classifier's malignancy, mapped back to the frame.

Grad-CAM (Selvaraju et al., ICCV 2017, arXiv:1610.02391) on the output of the last dense block, from captum.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.geometry import Box, CropWindow
from streamer.models.architectures import MALIGNANT, GreyInput
from streamer.models.weights import load_network
from streamer.models.weights_manifest import Manifest, Preprocessing
from streamer.settings import ClassificationSettings
from streamer.types import Grey

Heat = npt.NDArray[np.float32]
"""A map of shape (height, width), 0 to 1, relative to its own highest value; 0 everywhere if nothing is positive."""
Explained = tuple[nn.Module, nn.Module]
"""A network that takes three-channel images and gives two logits, and its layer whose activations are weighed."""


class HeatMaps:
    """Makes heat maps with a copy of the classifier in torch, float32 on the CPU, whatever backend runs the frames.

    The copy is loaded when the first map is asked for. Any thread may ask; one map is made at a time.
    """

    def __init__(
        self, load: Callable[[], Explained], preprocessing: Preprocessing, settings: ClassificationSettings
    ) -> None:
        """Explain what `load` gives, which sees crops through `preprocessing`, mirrored or not as `settings` say."""
        self._load, self._preprocessing, self._mirrored = load, preprocessing, settings.mirrored
        self._attribute: Callable[[Grey], Heat] | None = None
        self._lock = threading.Lock()

    def __call__(self, grey: Grey, box_xyxy: Box) -> Heat:
        """The heat map of the nodule in `box_xyxy`, over the whole frame.

        Args:
            grey: frame, shape (height, width).
            box_xyxy: in its pixels.

        Returns:
            Map of the frame's shape; 0 outside the window that the classifier saw.

        Raises:
            WeightsError: the classifier cannot be loaded.
        """
        window = self._window(box_xyxy)
        over_window = cv2.resize(self._evidence(self.crop(grey, box_xyxy)), (window.side, window.side))
        height, width = grey.shape
        x0, y0, x1, y1 = max(window.left, 0), max(window.top, 0), min(window.right, width), min(window.bottom, height)
        heat = np.zeros((height, width), np.float32)
        if x0 < x1 and y0 < y1:
            heat[y0:y1, x0:x1] = over_window[y0 - window.top : y1 - window.top, x0 - window.left : x1 - window.left]
        return _relative(heat)

    def crop(self, grey: Grey, box_xyxy: Box) -> Grey:
        """What the classifier sees, shape (size, size), of a box in a frame of shape (height, width)."""
        return self._window(box_xyxy).crop(grey, self._preprocessing.size_wh[0])

    def of_crop(self, crop: Grey) -> Heat:
        """The heat map over such a crop.

        Raises:
            WeightsError: the classifier cannot be loaded.
        """
        return _relative(cv2.resize(self._evidence(crop), (crop.shape[1], crop.shape[0])).astype(np.float32))

    def _window(self, box_xyxy: Box) -> CropWindow:
        return CropWindow.around(box_xyxy, self._preprocessing.margin)

    def _evidence(self, crop: Grey) -> Heat:
        """Positive evidence of malignancy in the layer's own, coarse cells."""
        with self._lock:  # captum hangs hooks into the network while it works
            if self._attribute is None:
                network, layer = self._load()
                graph = GreyInput(network, self._preprocessing.mean, self._preprocessing.std).eval()
                self._attribute = _grad_cam(graph, layer)
            evidence = self._attribute(crop)
            if self._mirrored:  # the log-odds that are explained are the mean of both views'
                mirrored = self._attribute(np.ascontiguousarray(crop[:, ::-1]))[:, ::-1]
                evidence = np.mean([evidence, mirrored], axis=0, dtype=np.float32)
            return evidence


def classifier_heat_maps(folder: Path, manifest: Manifest, settings: ClassificationSettings) -> HeatMaps:
    """Heat maps of the classifier in a weights folder; it is read when the first one is asked for."""
    return HeatMaps(
        lambda: _densenet_parts(load_network(folder, "classifier", manifest)),
        manifest.models["classifier"].preprocessing,
        settings,
    )


def _grad_cam(graph: nn.Module, layer: nn.Module) -> Callable[[Grey], Heat]:
    """Grad-CAM of the log-odds of malignancy; negative values, which speak for benign, are cut off."""
    from captum.attr import LayerGradCam  # late: half a second, and most runs of a command need no map

    def log_odds(grey: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = graph(grey)
        return logits[:, MALIGNANT] - logits[:, 1 - MALIGNANT]

    grad_cam = LayerGradCam(log_odds, layer)

    def attribute(crop: Grey) -> Heat:
        evidence = grad_cam.attribute(torch.from_numpy(crop[None]), relu_attributions=True)
        return np.asarray(evidence[0, 0].detach().numpy(), np.float32)

    return attribute


def _densenet_parts(classifier: nn.Module) -> Explained:
    """torchvision's DenseNet, taken apart so that what the last dense block hands to the head has a layer of its own.

    Behind that layer there is only the mean over the picture and the head, so a cell's weight does not depend on where
    it lies, and the map is the share of each cell in the log-odds to first order.
    """
    features, head = classifier.get_submodule("features"), classifier.get_submodule("classifier")
    activations = nn.ReLU()
    classifier.requires_grad_(False)  # what leads up to the last block needs no gradient, and then no memory for it
    features.get_submodule("norm5").requires_grad_(True)
    return nn.Sequential(features, activations, nn.AdaptiveAvgPool2d(1), nn.Flatten(), head), activations


def _relative(heat: Heat) -> Heat:
    highest = float(heat.max(initial=0))
    return heat / np.float32(highest) if highest > 0 else heat
