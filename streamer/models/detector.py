"""The detector: whole frames in, nodule boxes out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streamer.backends import Runner
from streamer.geometry import Box, Letterbox
from streamer.models.detections import read_detections
from streamer.models.frame_features import anchors, frame_features
from streamer.models.weights_manifest import ModelEntry
from streamer.settings import DetectionSettings


@dataclass(frozen=True, slots=True)
class Detection:
    """A box in source pixels with its confidence, 0 to 1."""

    box_xyxy: Box
    score: float


class Detector:
    """Finds nodules in grey frames."""

    def __init__(self, runner: Runner, entry: ModelEntry, settings: DetectionSettings) -> None:
        """Use `runner`, which takes canvases of the entry's size; its operating point holds unless settings differ."""
        self._runner, self._preprocessing, self._settings = runner, entry.preprocessing, settings
        self._confidence = entry.operating_point if settings.confidence is None else settings.confidence

    def __call__(self, greys: Sequence[npt.NDArray[np.uint8]]) -> list[list[Detection]]:
        """Detections of each frame, best first; frames of shape (height, width), any sizes."""
        return self.with_features(greys)[0]

    def with_features(
        self, greys: Sequence[npt.NDArray[np.uint8]]
    ) -> tuple[list[list[Detection]], npt.NDArray[np.float32] | None]:
        """The same, and the features of each frame, shape (n, features); None where the network does not give them."""
        letterboxes = [Letterbox((grey.shape[1], grey.shape[0]), self._preprocessing.size_wh) for grey in greys]
        canvases = np.stack([letterbox.apply(grey) for letterbox, grey in zip(letterboxes, greys, strict=True)])
        outputs = self._runner(canvases)
        size_wh = self._preprocessing.size_wh
        boxes = outputs[:, :, : anchors(size_wh)]
        found = [self._read(raw, letterbox) for raw, letterbox in zip(boxes, letterboxes, strict=True)]
        return found, frame_features(outputs, size_wh)

    def _read(self, raw: npt.NDArray[np.float32], letterbox: Letterbox) -> list[Detection]:
        settings = self._settings
        boxes, scores = read_detections(
            raw, confidence=self._confidence, nms_iou=settings.nms_iou, most=settings.max_nodules
        )
        found = letterbox.boxes_to_source(boxes)
        # A box of the black border around the picture shrinks to nothing when it is clipped to the frame.
        visible = (found[:, 2] - found[:, 0] >= 1) & (found[:, 3] - found[:, 1] >= 1)
        return [
            Detection((float(box[0]), float(box[1]), float(box[2]), float(box[3])), float(score))
            for box, score in zip(found[visible], scores[visible], strict=True)
        ]
