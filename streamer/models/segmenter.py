"""The segmenter: crops in, outlines in source pixels out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer.backends import Runner
from streamer.geometry import CropWindow, Outline, outline_of
from streamer.models.log_odds import logit
from streamer.models.weights_manifest import ModelEntry


class Outliner:
    """Turns the segmenter's logits into outlines."""

    def __init__(self, entry: ModelEntry) -> None:
        """Cut at the entry's operating point."""
        # The cut on the probability map, moved to logits: the sigmoid need not be evaluated.
        self._threshold = logit(entry.operating_point)

    def __call__(
        self, logits: npt.NDArray[np.float32], windows: Sequence[CropWindow], sizes_wh: Sequence[tuple[int, int]]
    ) -> list[Outline]:
        """Outlines out of logits, shape (n, 1, size, size), of crops cut from `windows` of frames of `sizes_wh`."""
        return [
            outline_of(plane, self._threshold, window, size_wh)
            for (plane,), window, size_wh in zip(logits, windows, sizes_wh, strict=True)
        ]


class Segmenter:
    """Outlines the nodule in the middle of each crop."""

    def __init__(self, runner: Runner, entry: ModelEntry) -> None:
        """Use `runner`, which takes crops of the entry's size and gives one logit a pixel."""
        self.runner, self._outlines = runner, Outliner(entry)
        self.preprocessing = entry.preprocessing

    def __call__(
        self, crops: npt.NDArray[np.uint8], windows: Sequence[CropWindow], sizes_wh: Sequence[tuple[int, int]]
    ) -> list[Outline]:
        """Outlines of all crops, shape (n, size, size), cut from `windows` of frames of `sizes_wh`."""
        return self._outlines(self.runner(crops), windows, sizes_wh)
