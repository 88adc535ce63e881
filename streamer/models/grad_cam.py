"""Heat maps: what in a nodule's surroundings raised the classifier's malignancy, mapped back to the frame.

See `streamer.models.explained` for what they are made of.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from streamer.geometry import Box, CropWindow
from streamer.models.architectures import GreyInput
from streamer.models.explained import Evidence
from streamer.models.weights import load_network
from streamer.models.weights_manifest import Manifest, Preprocessing
from streamer.settings import ClassificationSettings
from streamer.types import Grey, Heat


class HeatMaps:
    """Makes heat maps with a copy of the classifier in torch, float32 on the CPU, whatever backend runs the frames.

    The copy is loaded when the first map is asked for. Any thread may ask; one map is made at a time.

    Attributes:
        explains: whether the maps were not measured to lie inside the nodule by chance only: what does not is no
            explanation, and is shown only to who asks for it.
    """

    def __init__(
        self,
        load: Callable[[], nn.Module],
        preprocessing: Preprocessing,
        settings: ClassificationSettings,
        *,
        explains: bool = True,
    ) -> None:
        """Explain what `load` gives, which sees crops through `preprocessing`, mirrored or not as `settings` say.

        It is a network that takes three-channel images and gives each cell's share in the log-odds of malignancy, shape
        (n, 1, height, width).
        """
        self._load, self._preprocessing, self._mirrored = load, preprocessing, settings.mirrored
        self.explains = explains
        self._graph: nn.Module | None = None
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
        """Positive evidence of malignancy in the network's own, coarse cells."""
        with self._lock:
            if self._graph is None:
                self._graph = GreyInput(self._load(), self._preprocessing.mean, self._preprocessing.std).eval()
            found = self._of_view(self._graph, crop)
            if self._mirrored:  # the log-odds that are explained are the mean of both views'
                mirrored = self._of_view(self._graph, np.ascontiguousarray(crop[:, ::-1]))[:, ::-1]
                found = np.mean([found, mirrored], axis=0, dtype=np.float32)
        return np.maximum(found, 0)

    @staticmethod
    def _of_view(graph: nn.Module, crop: Grey) -> Heat:
        with torch.inference_mode():
            return np.asarray(graph(torch.from_numpy(crop[None]))[0, 0].numpy(), np.float32)


def classifier_heat_maps(folder: Path, manifest: Manifest, settings: ClassificationSettings) -> HeatMaps:
    """Heat maps of the classifier in a weights folder; it is read when the first one is asked for."""
    return HeatMaps(
        lambda: Evidence(load_network(folder, "classifier", manifest)),
        manifest.models["classifier"].preprocessing,
        settings,
        explains=manifest.models["classifier"].explains,
    )


def _relative(heat: Heat) -> Heat:
    highest = float(heat.max(initial=0))
    return heat / np.float32(highest) if highest > 0 else heat
