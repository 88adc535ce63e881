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
from streamer.geometry import Letterbox
from streamer.metrics.detection import average_precision
from streamer.metrics.estimate import Resampling
from streamer.metrics.matching import ImageBoxes, match
from streamer.models.architectures import GreyInput, build_detector
from streamer.models.detections import read_detections
from streamer.training.augment import photometric, place
from streamer.training.auxiliary_masks import MaskHead, at_feature_scale, masks_of
from streamer.training.config import TrainingConfig
from streamer.training.loop import Batch
from streamer.training.precision import Forward
from streamer.types import Grey

LOSS_GAINS = SimpleNamespace(box=7.5, cls=0.5, dfl=1.5)
"""Weights of the loss terms: ultralytics' defaults for its anchor-free head."""
_VALIDATION_CONFIDENCE = 0.01
_MOSAIC_ZOOM = 1.7
"""A quarter of the canvas shows a part of its picture, so that nodules stay near their usual size."""


_IGNORED_LOGIT = -30.0
"""Score of an anchor that is neither right nor wrong: its cross entropy, and the gradient of that, are nothing."""


class _Layers(NamedTuple):
    layers: list[Grey]
    """An image and, where masks teach, what is known of its pixels."""
    boxes: npt.NDArray[np.float32]
    """Nodules, xyxy, shape (n, 4)."""
    ignored: npt.NDArray[np.float32]
    """Regions that are neither right nor wrong, xyxy, shape (m, 4)."""


class _Canvas(NamedTuple):
    grey: Grey
    boxes: npt.NDArray[np.float32]
    ignored: npt.NDArray[np.bool_]
    """Which anchors, of all strides after one another, are neither right nor wrong."""
    masks: list[npt.NDArray[np.float32]]
    """None or one, shape (4, height, width) at the features' scale."""


class DetectorTask:
    """Detection of nodules as one class."""

    target = "ap50"

    def __init__(self, config: TrainingConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
        """Take labelled pictures; one without boxes is a picture without nodules.

        Nodules of the second look are learned, and in the validation found, like any other.
        """
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
        """Box, class and distribution-focal loss, summed over terms and averaged over the batch; and that of masks.

        Anchors in a region to ignore are taken for what they should be, unless they lie in a nodule as well.
        """
        found = dict(forward(batch["img"]))
        found["scores"] = found["scores"].masked_fill(batch["ignored"][:, None], _IGNORED_LOGIT)
        terms, _ = self.network.loss(dict(batch), found)  # type: ignore[operator]
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
        truth = np.asarray((*picture.boxes_xyxy, *picture.unmarked_xyxy), np.float32).reshape(-1, 4)
        return ImageBoxes(
            group=picture.sample.group,
            truth_xyxy=truth,
            boxes_xyxy=letterbox.boxes_to_source(boxes),
            scores=scores,
            ignored_xyxy=np.asarray(picture.ignore_xyxy, np.float32).reshape(-1, 4),
        )

    def _canvas(self, index: int, size_wh: tuple[int, int], rng: np.random.Generator) -> _Canvas:
        if rng.random() >= self.config.mosaic:
            layers, boxes, ignored = self._cell(index, size_wh, rng)
        else:
            layers, boxes, ignored = self._mosaic(index, size_wh, rng)
        anchors = self._anchors_in(ignored, size_wh) & ~self._anchors_in(boxes, size_wh)
        return _Canvas(photometric(layers[0], rng), boxes, anchors, [at_feature_scale(masks) for masks in layers[1:]])

    def _anchors_in(self, boxes: npt.NDArray[np.float32], size_wh: tuple[int, int]) -> npt.NDArray[np.bool_]:
        """Which anchors, in the order of the head's output, have their centre in one of the boxes."""
        strides = [int(stride) for stride in self.network.model[-1].stride]  # type: ignore[index, union-attr]
        inside = [np.zeros((size_wh[1] // stride, size_wh[0] // stride), np.bool_) for stride in strides]
        for cells, stride in zip(inside, strides, strict=True):
            for x0, y0, x1, y1 in np.ceil(boxes / stride - 0.5).astype(int):
                cells[y0:y1, x0:x1] = True
        return np.concatenate([cells.ravel() for cells in inside])

    def _mosaic(self, index: int, size_wh: tuple[int, int], rng: np.random.Generator) -> _Layers:
        """Four pictures about a random centre, each scaled to its own cell."""
        width, height = size_wh
        split_x, split_y = int(rng.uniform(0.35, 0.65) * width), int(rng.uniform(0.35, 0.65) * height)
        canvases: list[Grey] = []
        all_boxes, all_ignored = [], []
        cells = [
            (0, 0, split_x, split_y),
            (split_x, 0, width, split_y),
            (0, split_y, split_x, height),
            (split_x, split_y, width, height),
        ]
        for number, (x0, y0, x1, y1) in enumerate(cells):
            chosen = index if number == 0 else int(rng.integers(len(self.train)))
            cells_of, boxes, ignored = self._cell(chosen, (x1 - x0, y1 - y0), rng, zoom=_MOSAIC_ZOOM)
            canvases = canvases or [np.zeros((height, width, *cell.shape[2:]), np.uint8) for cell in cells_of]
            for canvas, cell in zip(canvases, cells_of, strict=True):
                canvas[y0:y1, x0:x1] = cell
            all_boxes.append(boxes + np.array([x0, y0, x0, y0], np.float32))
            all_ignored.append(ignored + np.array([x0, y0, x0, y0], np.float32))
        return _Layers(canvases, np.concatenate(all_boxes), np.concatenate(all_ignored))

    def _cell(self, index: int, size_wh: tuple[int, int], rng: np.random.Generator, zoom: float = 1.0) -> _Layers:
        picture = self.train[index]
        boxes = np.asarray((*picture.boxes_xyxy, *picture.unmarked_xyxy), np.float32).reshape(-1, 4)
        ignored = np.asarray(picture.ignore_xyxy, np.float32).reshape(-1, 4)
        layers = [picture.grey, masks_of(picture)] if self.config.mask_weight else [picture.grey]
        return _Layers(*place(layers, boxes, size_wh, rng, scale=self.config.scale, zoom=zoom, ignored=ignored))


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
        "ignored": torch.from_numpy(np.stack([canvas.ignored for canvas in canvases])),
        "img": image.contiguous(memory_format=torch.channels_last),
        "batch_idx": torch.from_numpy(numbers),
        "cls": torch.zeros(len(numbers), 1),
        "bboxes": torch.from_numpy(xywh.astype(np.float32)),
    }
