"""A picture of a clip for the archive's page: the frame with the most suspicious nodule, as the overlay shows it."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.outputs.base import BaseSink
from streamer.outputs.overlay import OverlayRenderer
from streamer.settings import OverlaySettings
from streamer.types import FrameResult

_WIDEST_PX = 480
_JPEG_QUALITY = 80
PICTURES = 24
"""Kept in an archive: those of the lowest keys, which is a random sample of the contents (keys are digests)."""


class SuspiciousFrame(BaseSink):
    """Keeps the frame in which the malignancy was highest; the first one where no nodule is found."""

    def __init__(self, overlay: OverlaySettings) -> None:
        self._renderer = OverlayRenderer(overlay)
        self._best: FrameResult | None = None
        self._malignancy = -1.0

    def write(self, result: FrameResult) -> None:
        """Take the next frame."""
        malignancy = max((nodule.malignancy for nodule in result.nodules), default=0.0)
        if self._best is None or malignancy > self._malignancy:
            self._best, self._malignancy = result, malignancy

    def jpeg(self) -> bytes | None:
        """The picture, at most 480 px wide; None without a frame."""
        if self._best is None:
            return None
        drawn = self._renderer.draw(self._best)
        scale = min(1.0, _WIDEST_PX / drawn.shape[1])
        small = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA) if scale < 1 else drawn
        done, jpeg = cv2.imencode(".jpg", np.asarray(small)[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return jpeg.tobytes() if done else None
