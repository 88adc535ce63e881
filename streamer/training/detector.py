"""Training YOLOv5 to find nodules: mosaics, true boxes, ultralytics' own loss."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.data.pixels import Picture
from streamer.evaluation.detection import average_precision
from streamer.evaluation.figure import Resampling
from streamer.evaluation.matching import ImageBoxes, match
from streamer.geometry import Letterbox
from streamer.models.detections import read_detections
from streamer.models.networks import GreyInput, build_detector
from streamer.records import Grey
from streamer.training.augment import photometric, place
from streamer.training.config import TrainingConfig
from streamer.training.loop import Batch
from streamer.training.mask_supervision import MaskHead, at_feature_scale, masks_of
from streamer.training.precision import Forward

LOSS_GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
"""Weights of the loss terms: ultralytics' defaults for its anchor-free head."""
_VALIDATION_CONFIDENCE = 0.01
_MOSAIC_ZOOM = 1.7
"""A quarter of the canvas shows a part of its picture, so that nodules stay near their usual size."""


_Layers = tuple[list[Grey], npt.NDArray[np.float32]]
"""An image and, where masks teach, what is known of its pixels; boxes xyxy, shape (n, 4)."""


class _Canvas(NamedTuple):
    grey: Grey
    boxes: npt.NDArray[np.float32]
    masks: list[npt.NDArray[np.float32]]
    """None or one, shape (4, height, width) at the features' scale."""


class DetectorTask:
    """Detection of nodules as one class."""

    target = "ap50"

    def __init__(self, config: TrainingConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
        """Take labelled pictures; one without boxes is a picture without nodules."""
        self.config, self.train, self.val = config, train, val
        self.network = build_detector(config.architecture)
        self.network.args = LOSS_GAINS  # type: ignore[assignment]  # ultralytics' loss looks its gains up here
        self.training_only = MaskHead(self.network) if config.mask_weight else nn.Module()

    def steps(self) -> int:
        """Batches an epoch."""
        return len(self.train) // self.config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Canvases with their boxes in ultralytics' form (image number, class, normalised centre and size)."""
        size = self.config.size_wh
        order = rng.permutation(len(self.train))
        for start in range(0, self.steps() * self.config.batch, self.config.batch):
            chosen = order[start : start + self.config.batch]
            yield _collate([self._canvas(int(index), size, rng) for index in chosen], self.config)

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        """Box, class and distribution-focal loss, summed over terms and averaged over the batch; and that of masks."""
        terms, _ = self.network.loss(dict(batch), forward(batch["img"]))  # type: ignore[operator]
        loss: torch.Tensor = terms.sum() / len(batch["img"])
        if isinstance(self.training_only, MaskHead):
            loss = loss + self.config.mask_weight * self.training_only.loss(batch["masks"])
        return loss

    def validate(self, network: nn.Module) -> dict[str, float]:
        """AP at IoU 0.5, for all validation pictures and for each source that has nodules."""
        graph = GreyInput(network, self.config.mean, self.config.std)
        device = next(network.parameters()).device
        found = [self._detect(graph, picture, device) for picture in self.val]
        figures = {"ap50": _ap50(found)}
        for source in sorted({picture.sample.source for picture in self.val if picture.boxes_xyxy}):
            part = [image for image, picture in zip(found, self.val, strict=True) if picture.sample.source == source]
            figures[f"ap50_{source}"] = _ap50(part)
        return figures

    def _detect(self, graph: nn.Module, picture: Picture, device: torch.device) -> ImageBoxes:
        height, width = picture.grey.shape
        letterbox = Letterbox((width, height), self.config.size_wh)
        canvas = torch.from_numpy(letterbox.apply(picture.grey)[None])
        raw = graph(canvas.to(device))[0].float().cpu().numpy()
        boxes, scores = read_detections(raw, confidence=_VALIDATION_CONFIDENCE, nms_iou=0.5, most=50)
        truth = np.asarray(picture.boxes_xyxy, np.float32).reshape(-1, 4)
        found = letterbox.boxes_to_source(boxes)
        return ImageBoxes(group=picture.sample.patient, truth_xyxy=truth, boxes_xyxy=found, scores=scores)

    def _canvas(self, index: int, size_wh: tuple[int, int], rng: np.random.Generator) -> _Canvas:
        if rng.random() >= self.config.mosaic:
            layers, boxes = self._cell(index, size_wh, rng)
        else:
            layers, boxes = self._mosaic(index, size_wh, rng)
        return _Canvas(photometric(layers[0], rng), boxes, [at_feature_scale(masks) for masks in layers[1:]])

    def _mosaic(self, index: int, size_wh: tuple[int, int], rng: np.random.Generator) -> _Layers:
        """Four pictures about a random centre, each scaled to its own cell."""
        width, height = size_wh
        split_x, split_y = int(rng.uniform(0.35, 0.65) * width), int(rng.uniform(0.35, 0.65) * height)
        canvases: list[Grey] = []
        all_boxes = []
        cells = [
            (0, 0, split_x, split_y),
            (split_x, 0, width, split_y),
            (0, split_y, split_x, height),
            (split_x, split_y, width, height),
        ]
        for number, (x0, y0, x1, y1) in enumerate(cells):
            chosen = index if number == 0 else int(rng.integers(len(self.train)))
            cells_of, boxes = self._cell(chosen, (x1 - x0, y1 - y0), rng, zoom=_MOSAIC_ZOOM)
            canvases = canvases or [np.zeros((height, width, *cell.shape[2:]), np.uint8) for cell in cells_of]
            for canvas, cell in zip(canvases, cells_of, strict=True):
                canvas[y0:y1, x0:x1] = cell
            all_boxes.append(boxes + np.array([x0, y0, x0, y0], np.float32))
        return canvases, np.concatenate(all_boxes)

    def _cell(self, index: int, size_wh: tuple[int, int], rng: np.random.Generator, zoom: float = 1.0) -> _Layers:
        picture = self.train[index]
        boxes = np.asarray(picture.boxes_xyxy, np.float32).reshape(-1, 4)
        layers = [picture.grey, masks_of(picture)] if self.config.mask_weight else [picture.grey]
        return place(layers, boxes, size_wh, rng, scale=self.config.scale, zoom=zoom)


def _ap50(images: Sequence[ImageBoxes]) -> float:
    return average_precision(match(images), Resampling(resamples=1)).value


def _collate(canvases: Sequence[_Canvas], config: TrainingConfig) -> Mapping[str, torch.Tensor]:
    pixels = torch.from_numpy(np.stack([canvas.grey for canvas in canvases])).float().div_(255)
    image = ((pixels - config.mean) / config.std).unsqueeze(1).expand(-1, 3, -1, -1)
    height, width = canvases[0].grey.shape
    numbers = np.concatenate([np.full(len(one.boxes), number, np.float32) for number, one in enumerate(canvases)])
    xyxy = np.concatenate([canvas.boxes for canvas in canvases]) / np.array([width, height, width, height], np.float32)
    xywh = np.concatenate([(xyxy[:, :2] + xyxy[:, 2:]) / 2, xyxy[:, 2:] - xyxy[:, :2]], axis=1)
    masks = [layer for canvas in canvases for layer in canvas.masks]
    return {
        **({"masks": torch.from_numpy(np.stack(masks))} if masks else {}),
        "img": image.contiguous(memory_format=torch.channels_last),
        "batch_idx": torch.from_numpy(numbers),
        "cls": torch.zeros(len(numbers), 1),
        "bboxes": torch.from_numpy(xywh.astype(np.float32)),
    }
