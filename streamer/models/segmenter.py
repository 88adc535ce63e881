"""The segmenter: crops in, outlines in source pixels out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy.special import logit

from streamer.backends import Runner
from streamer.geometry import CropWindow, Outline, outline_of
from streamer.models.weights import ModelEntry


class Segmenter:
    """Outlines the nodule in the middle of each crop."""

    def __init__(self, runner: Runner, entry: ModelEntry) -> None:
        """Use `runner`, which takes crops of the entry's size and gives one logit a pixel."""
        self._runner = runner
        self.preprocessing = entry.preprocessing
        # The cut on the probability map, moved to logits: the sigmoid need not be evaluated.
        self._threshold = float(logit(entry.operating_point))

    def __call__(
        self, crops: npt.NDArray[np.uint8], windows: Sequence[CropWindow], sizes_wh: Sequence[tuple[int, int]]
    ) -> list[Outline]:
        """Outlines of all crops, shape (n, size, size), cut from `windows` of frames of `sizes_wh`."""
        outputs = self._runner(crops)
        return [
            outline_of(logits[0], self._threshold, window, size_wh)
            for logits, window, size_wh in zip(outputs, windows, sizes_wh, strict=True)
        ]
