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
from streamer.scintigraphy.networks import Parted
from streamer.scintigraphy.weights import load_network, read_entry

Floats = npt.NDArray[np.float64]
Floats32 = npt.NDArray[np.float32]
Heat = npt.NDArray[np.float32]
"""A map of shape (side, side), 0 to 1, relative to its own highest value; all 0 if nothing speaks for the class."""


class Predictor:
    """Four probabilities a picture, float32 on the CPU; the same for any order and number of pictures.

    Attributes:
        folder, entry: run folder and its manifest.
        workers: threads that may profitably ask at the same time.
    """

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
        self.workers = backend.workers
        entry = self.entry

        def build() -> nn.Module:
            parted = Parted(load_network(folder, entry), entry.architecture)
            return GreyInput(parted, entry.mean, entry.std).eval()

        key = f"scintigraphy, parted {entry.sha256} {entry.architecture} {entry.mean} {entry.std}"
        self._runner = backend.load(build, (entry.size_px, entry.size_px), key)
        self._made: GradCam | None = None
        self._lock = threading.Lock()

    def probabilities(self, grey: npt.NDArray[np.uint8]) -> Floats:
        """Probabilities of pictures, shape (n, side, side) of `entry.size_px`; returns (n, 4), each row's sum 1."""
        stay_in_process()
        if not len(grey):
            return np.zeros((0, len(self.entry.classes)))
        with ThreadPoolExecutor(self.workers, thread_name_prefix="scintigraphy") as pool:
            logits = np.concatenate(list(pool.map(lambda picture: self._run(picture)[0], grey)))
        return np.asarray(softmax(logits.astype(np.float64), axis=1), np.float64)

    def explained(self, grey: Grey) -> tuple[Floats, Heat]:
        """Probabilities of one picture, shape (4,), and the heat map of the most probable class, shape (side, side)."""
        stay_in_process()
        logits, cells = self._run(grey)
        probabilities = np.asarray(softmax(logits[0].astype(np.float64)), np.float64)
        return probabilities, self._heat(cells, int(probabilities.argmax()), len(grey))

    def heat(self, grey: Grey, number: int) -> Heat:
        """Grad-CAM of a class over a picture, both of shape (side, side)."""
        stay_in_process()
        return self._heat(self._run(grey)[1], number, len(grey))

    def best_heat_share(self, region: npt.NDArray[np.bool_]) -> float:
        """The largest share of its mass that a heat map of this network can have in a region, shape (side, side)."""
        cells = self._run(np.zeros(region.shape, np.uint8))[1]
        with self._lock:
            return self._grad_cam().best_share(cells, region)

    def _run(self, grey: Grey) -> tuple[Floats32, Floats32]:
        """Logits, shape (1, 4), and the last convolution, flattened."""
        whole = self._runner(grey[None])
        classes = len(self.entry.classes)
        return whole[:, :classes].copy(), whole[:, classes:]

    def _heat(self, cells: Floats32, number: int, side: int) -> Heat:
        with self._lock:
            return self._grad_cam()(cells, number, side)

    def _grad_cam(self) -> GradCam:
        if self._made is None:
            self._made = GradCam(Parted(load_network(self.folder, self.entry), self.entry.architecture))
        return self._made


class GradCam:
    """Grad-CAM (Selvaraju et al., ICCV 2017) at the last convolution; from captum, in torch.

    Its cells are coarse: of 128 px ResNet-34 leaves 4 x 4 of them, which are interpolated over the picture. Each lies
    in the middle of what it sees. Cells stretched over the whole picture, as is usual, would lie half a cell too far to
    the right and down, an eighth of such a picture.
    """

    def __init__(self, network: Parted) -> None:
        """Explain a network in evaluation mode."""
        from captum.attr import LayerGradCam  # late: half a second

        self._network = network
        self._attribute = cast("Callable[..., torch.Tensor]", LayerGradCam(network.head, network.head[0]).attribute)

    def __call__(self, cells: Floats32, number: int, side: int) -> Heat:
        """The map of class `number` over a picture of a side, from what the body gives for it, flattened."""
        evidence = self._attribute(
            torch.from_numpy(self._square(cells)), number, relu_attributions=True, attribute_to_layer_input=True
        )
        heat = over_picture(np.asarray(evidence[0, 0].detach().numpy(), np.float32), side, self._network.cells_px)
        highest = float(heat.max(initial=0))
        return heat / np.float32(highest) if highest > 0 else heat

    def best_share(self, cells: Floats32, region: npt.NDArray[np.bool_]) -> float:
        """The largest share of its mass that a map of so many cells can have in a region, shape (side, side).

        That of the best single cell: the share of a sum of cells lies between theirs.
        """
        rows = self._square(cells).shape[2]
        alone = np.eye(rows * rows, dtype=np.float32).reshape(-1, rows, rows)
        return max(heat_share(over_picture(one, len(region), self._network.cells_px), region) for one in alone)

    def _square(self, cells: Floats32) -> Floats32:
        """Shape (1, channels, rows, rows)."""
        rows = round((cells.size / self._network.channels) ** 0.5)
        return cells.reshape(1, self._network.channels, rows, rows)


def over_picture(cells: Heat, side: int, cells_px: tuple[int, int]) -> Heat:
    """A map of cells over a picture of a side, interpolated between their middles; as the outermost cell beyond it.

    Args:
        cells: shape (rows, columns).
        side: of the picture.
        cells_px: distance of the cells and place of the first one, in pixels of the picture.
    """
    distance, first = cells_px
    place = -first / distance
    to_cells = np.array([[1 / distance, 0, place], [0, 1 / distance, place]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    whole = cv2.warpAffine(cells, to_cells, (side, side), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(whole, np.float32)


def heat_share(heat: Heat, region: npt.NDArray[np.bool_]) -> float:
    """Share of a map's mass inside a region of the same shape; NaN of an empty map."""
    total = float(heat.sum())
    return float(heat[region].sum()) / total if total > 0 else float("nan")
