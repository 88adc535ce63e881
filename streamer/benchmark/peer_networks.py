"""The published networks as a user of the baselines would hold them: torch modules, or compiled by our backend.

The preprocessing is the one they were trained with, so that the boxes can agree; the kind "paper" enlarges the input.
"""

from __future__ import annotations

import timeit
from collections.abc import Callable
from functools import partial
from typing import Any, Self

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer._resources import weights_dir
from streamer.backends import Backend, Runner, choose_backend
from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.select import available_cores
from streamer.backends.torch_cuda import CudaBackend
from streamer.benchmark.machine import peak_device_memory_mb, peak_host_memory_mb
from streamer.benchmark.passes import PAPER_INPUT_PX, Environment, NetworkKind
from streamer.models.architectures import GreyInput
from streamer.models.classifier import Classifier
from streamer.models.crop_analyser import (
    CropAnalyser,
    Roi,
    RoiPrediction,
    SeparateCropAnalyser,
    StageCallback,
    load_crop_analyser,
)
from streamer.models.frame_features import anchors
from streamer.models.loading import load_runner
from streamer.models.networks import load_network
from streamer.models.segmenter import Segmenter
from streamer.models.weights_manifest import ModelEntry, Role, read_manifest
from streamer.pipeline.thyroid import candidate_detection
from streamer.settings import ClassificationSettings, RuntimeSettings, Settings
from streamer.types import Grey

Bgr = npt.NDArray[np.uint8]
_TRIALS = 3
_LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as the networks were trained


class PeerNetworks:
    """The three networks: a detector for ultralytics, and the other two a crop at a time; compiled, they are joined."""

    def __init__(self, settings: Settings, kind: NetworkKind) -> None:
        """Load them on the device that the settings choose.

        Raises:
            WeightsError, DeviceError: they cannot be loaded.
        """
        self._kind = kind
        folder = settings.weights or weights_dir()
        manifest = read_manifest(folder)
        models = manifest.models
        if kind is NetworkKind.paper:
            models = {role: _enlarged(entry) for role, entry in models.items()}
        self._backend = _unshared(choose_backend(settings.runtime), settings.runtime)
        cuda = self._backend.device.startswith("CUDA")
        self._crop_analyser: CropAnalyser
        self._torch_device = torch.device("cuda" if cuda else "cpu")
        detector = models["detector"]
        candidates = candidate_detection(settings, manifest)
        width, height = detector.preprocessing.size_wh
        self.predict_options: dict[str, Any] = {
            "imgsz": [height, width],
            # The candidates of our analysis: a loop that does not look ahead outlines and classifies all of them.
            "conf": candidates.confidence,
            "iou": candidates.nms_iou,
            "max_det": candidates.max_nodules,
            "device": "0" if cuda else "cpu",
            "verbose": False,
        }
        self.detector: nn.Module
        if kind is NetworkKind.compiled:
            self.predict_options["rect"] = False  # a compiled network has one input size
            self.detector = _CompiledDetector(
                load_runner(folder, "detector", manifest, self._backend), anchors((width, height))
            )
        else:
            self.detector = load_network(folder, "detector", manifest)
            preprocessing = detector.preprocessing
            normalise = partial(_to_trained_input, mean=preprocessing.mean, std=preprocessing.std)
            self.detector.register_forward_pre_hook(normalise)
            self.detector.names = {0: "nodule"}  # type: ignore[assignment]  # ultralytics' table of classes

        if kind is NetworkKind.compiled:
            self._crop_analyser = load_crop_analyser(folder, manifest, self._backend, settings.classification)
            return
        once = kind is NetworkKind.paper  # it knows no mirror images
        classification = ClassificationSettings(mirrored=False) if once else settings.classification

        def runner(role: Role) -> Runner:
            preprocessing = models[role].preprocessing
            graph = GreyInput(load_network(folder, role, manifest), preprocessing.mean, preprocessing.std)
            return _EagerRunner(graph.eval().to(self._torch_device))

        self._crop_analyser = SeparateCropAnalyser(
            Segmenter(runner("segmenter"), models["segmenter"]),
            Classifier(runner("classifier"), models["classifier"], classification),
        )

    def choose_threads(self, work: Callable[[], object]) -> None:
        """Give torch on a CPU the threads with which `work` is faster: as many as ultralytics leaves it, or all cores.

        ultralytics leaves torch all cores but one when it first predicts. All of them are a fifth faster on a quiet
        machine, and ten times slower beside a busy neighbour, as threads wait for each other.
        """
        if self._kind is NetworkKind.compiled or self._torch_device.type != "cpu":
            return
        times_s = {}
        for threads in (torch.get_num_threads(), available_cores()):
            torch.set_num_threads(threads)
            times_s[threads] = min(timeit.repeat(work, number=1, repeat=_TRIALS))
        torch.set_num_threads(min(times_s, key=times_s.__getitem__))

    def read(self, frame: Bgr, boxes: npt.NDArray[np.float32], on_stage: StageCallback) -> list[RoiPrediction]:
        """Outline and malignancy of each box, shape (n, 4).

        Args:
            frame: shape (height, width, 3), BGR as OpenCV reads it.
            boxes: xyxy in its pixels.
            on_stage: called with "segment" when all crops are outlined, then "classify"; or once for a joint network.
        """
        grey = np.asarray(cv2.cvtColor(frame, cv2.COLOR_BGR2GRAY), np.uint8)
        rois = [Roi(grey, (float(box[0]), float(box[1]), float(box[2]), float(box[3]))) for box in boxes]
        return self._crop_analyser(rois, on_stage)

    @property
    def _torch_precision(self) -> str:
        """What torch computes float32 networks with, as a user finds it."""
        rounded = self._torch_device.type == "cuda" and torch.backends.cudnn.allow_tf32
        return "fp32, convolutions tf32" if rounded else "fp32"

    def environment(self) -> Environment:
        """What they run on."""
        torch_kind = self._kind is not NetworkKind.compiled
        return Environment(
            device=f"torch {torch.__version__} on {self._torch_device.type}" if torch_kind else self._backend.device,
            precision=self._torch_precision if torch_kind else self._backend.precision,
            threads=torch.get_num_threads(),
            host_memory_mb=peak_host_memory_mb(),
            device_memory_mb=peak_device_memory_mb(),
        )


def _enlarged(entry: ModelEntry) -> ModelEntry:
    """The network with the paper's input; its answers are not those it was trained to give, its arithmetic is."""
    size = {"size_wh": (PAPER_INPUT_PX, PAPER_INPUT_PX)}
    return entry.model_copy(update={"preprocessing": entry.preprocessing.model_copy(update=size)})


def _unshared(backend: Backend, settings: RuntimeSettings) -> Backend:
    """The backend for one caller with one frame at a time.

    On OpenVINO that is one stream on all cores, where ours has one a core; on CUDA a network for one frame or nodule,
    where ours computes a micro-batch however few there are.
    """
    if isinstance(backend, OpenVinoBackend):
        return OpenVinoBackend(settings.threads or available_cores(), settings.precision, streams=1)
    if isinstance(backend, CudaBackend):
        return CudaBackend("fp32" if settings.precision == "fp32" else "auto", chunk=1)
    return backend


def _to_trained_input(
    _: nn.Module, arguments: tuple[torch.Tensor, ...], *, mean: float, std: float
) -> tuple[torch.Tensor, ...]:
    """RGB from 0 to 1, shape (n, 3, height, width), as the grey that the detector was trained on."""
    return (((_luma(arguments[0]) - mean) / std).unsqueeze(1).expand(-1, 3, -1, -1), *arguments[1:])


def _luma(rgb: torch.Tensor) -> torch.Tensor:
    return _LUMA[0] * rgb[:, 0] + _LUMA[1] * rgb[:, 1] + _LUMA[2] * rgb[:, 2]


class _EagerRunner:
    """A torch network called as a user calls it, an image at a time."""

    def __init__(self, graph: nn.Module) -> None:
        self._graph = graph
        self._device = next(graph.parameters()).device

    def __call__(self, grey: Grey) -> npt.NDArray[np.float32]:
        if len(grey) == 0:
            return np.zeros(0, np.float32)
        with torch.inference_mode():
            images = torch.from_numpy(grey).to(self._device)
            return np.concatenate([self._graph(image[None]).cpu().numpy() for image in images])


class _CompiledDetector(nn.Module):
    """Our compiled detector in the place of ultralytics' module: its pre- and postprocessing stay as they are."""

    def __init__(self, runner: Runner, anchors: int) -> None:
        super().__init__()
        self._anchors = anchors  # behind them are the features that our gate reads
        self.names = {0: "nodule"}
        self.stride = torch.tensor([32.0])
        self._runner = runner

    def __deepcopy__(self, _: object) -> Self:
        return self  # ultralytics copies the module; a compiled network cannot be

    def forward(self, rgb: torch.Tensor) -> torch.Tensor:
        """Raw boxes and scores, shape (n, 5, anchors), of RGB from 0 to 1, shape (n, 3, height, width)."""
        grey = (_luma(rgb) * 255).round().to(torch.uint8).cpu().numpy()
        return torch.from_numpy(self._runner(grey)[:, :, : self._anchors]).to(rgb.device)
