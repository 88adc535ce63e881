"""The classifier: crops in, calibrated probability of malignancy out."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from streamer.backends import Runner
from streamer.models.networks import MALIGNANT
from streamer.models.weights import ModelEntry
from streamer.settings import ClassificationSettings


class Classifier:
    """Tells how suspicious the nodule in each crop looks."""

    def __init__(self, runner: Runner, entry: ModelEntry, settings: ClassificationSettings) -> None:
        """Use `runner`, which takes crops of the entry's size and gives two logits."""
        self._runner, self._mirrored = runner, settings.mirrored
        self.preprocessing = entry.preprocessing
        self._temperature, self._offset = entry.temperature, entry.offset

    def __call__(self, crops: npt.NDArray[np.uint8]) -> list[float]:
        """P(malignant) of each crop, shape (n, size, size): its log-odds, calibrated as stored with the weights.

        Where the settings ask for it, the log-odds are the mean of those of the crop and of its mirror image.
        """
        if len(crops) == 0:
            return []
        odds = self._log_odds(crops)
        if self._mirrored:
            odds = np.mean([odds, self._log_odds(np.ascontiguousarray(crops[:, :, ::-1]))], axis=0, dtype=np.float32)
        return [float(value) for value in expit(odds / self._temperature + self._offset)]

    def _log_odds(self, crops: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        logits = self._runner(crops)
        return np.asarray(logits[:, MALIGNANT] - logits[:, 1 - MALIGNANT], np.float32)
