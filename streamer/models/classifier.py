"""The classifier: crops in, calibrated probability of malignancy out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from streamer.backends import Runner
from streamer.models.networks import MALIGNANT
from streamer.models.weights import ModelEntry


class Classifier:
    """Tells how suspicious the nodule in each crop looks."""

    def __init__(self, runner: Runner, entry: ModelEntry) -> None:
        """Use `runner`, which takes crops of the entry's size and gives two logits."""
        self._runner = runner
        self.preprocessing = entry.preprocessing
        self._temperature = entry.temperature

    def __call__(self, crops: npt.NDArray[np.uint8]) -> list[float]:
        """P(malignant) of each crop, shape (n, size, size): softmax over logits divided by the stored temperature."""
        logits = self._runner(crops)
        if len(logits) == 0:
            return []
        odds = (logits[:, MALIGNANT] - logits[:, 1 - MALIGNANT]) / self._temperature
        return [float(value) for value in expit(odds)]
