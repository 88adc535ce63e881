"""Runs a trained network on pictures: class probabilities with OpenVINO, heat maps with torch."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from scipy.special import softmax
from torch import nn

from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.process import stay_in_process
from streamer.backends.select import available_cores
from streamer.models.architectures import GreyInput
from streamer.scintigraphy.image import Grey
from streamer.scintigraphy.networks import last_convolution
from streamer.scintigraphy.weights import load_network, read_entry

Floats = npt.NDArray[np.float64]
Heat = npt.NDArray[np.float32]
"""A map of shape (side, side), 0 to 1, relative to its own highest value; all 0 if nothing speaks for the class."""


class Predictor:
    """Four probabilities a picture, float32 on the CPU; the same for any order and number of pictures."""

    def __init__(self, folder: Path, *, threads: int = 0) -> None:
        """Load the weights of a run folder.

        Args:
            folder: run folder of `streamer scintigraphy train`.
            threads: CPU threads; 0 for all cores.

        Raises:
            WeightsError: they are missing or damaged.
            DeviceError: networks were loaded before this process was forked.
        """
        stay_in_process()
        self.folder, self.entry = folder, read_entry(folder)
        backend = OpenVinoBackend(threads or available_cores(), "fp32")
        self._workers = backend.workers
        entry = self.entry

        def build() -> nn.Module:
            return GreyInput(load_network(folder, entry), entry.mean, entry.std).eval()

        key = f"scintigraphy {entry.sha256} {entry.architecture} {entry.mean} {entry.std}"
        self._runner = backend.load(build, (entry.size_px, entry.size_px), key)
        self._grad_cam: GradCam | None = None
        self._lock = threading.Lock()

    def probabilities(self, grey: npt.NDArray[np.uint8]) -> Floats:
        """Probabilities of pictures, shape (n, side, side) of `entry.size_px`; returns (n, 4), each row's sum 1."""
        stay_in_process()
        if not len(grey):
            return np.zeros((0, len(self.entry.classes)))
        with ThreadPoolExecutor(self._workers, thread_name_prefix="scintigraphy") as pool:
            logits = np.concatenate(list(pool.map(lambda picture: self._runner(picture[None]), grey)))
        return np.asarray(softmax(logits.astype(np.float64), axis=1), np.float64)

    def heat(self, grey: Grey, number: int) -> Heat:
        """Grad-CAM of a class over a picture, both of shape (side, side)."""
        with self._lock:
            if self._grad_cam is None:
                self._grad_cam = GradCam(self.folder)
            return self._grad_cam(grey, number)


class GradCam:
    """Grad-CAM (Selvaraju et al., ICCV 2017) at the last convolution; from captum, in torch.

    Its cells are coarse: of 128 px ResNet-34 leaves 4 x 4 of them, which are interpolated over the picture.
    """

    def __init__(self, folder: Path) -> None:
        """Load the network of a run folder.

        Raises:
            WeightsError: it is missing or damaged.
        """
        from captum.attr import LayerGradCam  # late: half a second

        entry = read_entry(folder)
        network = load_network(folder, entry)
        graph = GreyInput(network, entry.mean, entry.std).eval()
        layer = last_convolution(network, entry.architecture)
        self._attribute = cast("Callable[..., torch.Tensor]", LayerGradCam(graph, layer).attribute)

    def __call__(self, grey: Grey, number: int) -> Heat:
        """The map of class `number` over a picture of shape (side, side)."""
        evidence = self._attribute(torch.from_numpy(grey[None].copy()), target=number, relu_attributions=True)
        coarse = evidence[0, 0].detach().numpy().astype(np.float32)
        heat = np.asarray(cv2.resize(coarse, grey.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
        highest = float(heat.max(initial=0))
        return heat / np.float32(highest) if highest > 0 else heat


def heat_share(heat: Heat, region: npt.NDArray[np.bool_]) -> float:
    """Share of a map's mass inside a region of the same shape; NaN of an empty map."""
    total = float(heat.sum())
    return float(heat[region].sum()) / total if total > 0 else float("nan")
