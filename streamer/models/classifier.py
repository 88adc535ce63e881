"""The classifier: crops in, calibrated probability of malignancy out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from streamer.backends import Runner
from streamer.errors import SettingsError
from streamer.models.log_odds import expit_each
from streamer.models.registry import MALIGNANT
from streamer.models.sweep_point import prior_shift
from streamer.models.weights_manifest import ModelEntry
from streamer.settings import ClassificationSettings


class Calibration:
    """Turns the classifier's logits into calibrated probabilities."""

    def __init__(self, entry: ModelEntry, settings: ClassificationSettings) -> None:
        """Calibrate as stored with the weights, and for the prevalence that the settings name.

        Raises:
            SettingsError: they name one, and the weights do not say at which they were calibrated.
        """
        self._temperature, self._offset = entry.temperature, entry.offset + prevalence_shift(entry, settings)

    def __call__(self, logits: Sequence[npt.NDArray[np.float32]]) -> list[float]:
        """P(malignant) of each nodule: its log-odds, the mean over its views, calibrated.

        Args:
            logits: of each view, shape (n, 2).
        """
        views = np.stack([view[:, MALIGNANT] - view[:, 1 - MALIGNANT] for view in logits])
        odds: npt.NDArray[np.float32] = np.mean(views, axis=0, dtype=np.float32)
        return expit_each(odds / self._temperature + self._offset)


def prevalence_shift(entry: ModelEntry, settings: ClassificationSettings) -> float:
    """What is added to the log-odds for the prevalence that the settings name; 0 where they name none.

    Raises:
        SettingsError: they name one, and the weights do not say at which they were calibrated.
    """
    if settings.prevalence is None:
        return 0.0
    if entry.prevalence is None:
        raise SettingsError(
            "classification.prevalence: these weights do not say at which share of malignant nodules they were "
            "calibrated; leave the setting out, or repeat `streamer evaluate classifier --update-manifest`"
        )
    return prior_shift(entry.prevalence, settings.prevalence)


class Classifier:
    """Tells how suspicious the nodule in each crop looks."""

    def __init__(self, runner: Runner, entry: ModelEntry, settings: ClassificationSettings) -> None:
        """Use `runner`, which takes crops of the entry's size and gives two logits."""
        self.runner, self._views, self._calibrated = runner, settings.views, Calibration(entry, settings)
        self.preprocessing = entry.preprocessing

    def __call__(self, crops: npt.NDArray[np.uint8]) -> list[float]:
        """P(malignant) of each crop, shape (n, size, size); where the settings say so, with its mirror image."""
        if len(crops) == 0:
            return []
        views = views_of(crops, self._views)
        return self._calibrated([self.runner(np.ascontiguousarray(views[:, view])) for view in range(self._views)])


def views_of(crops: npt.NDArray[np.uint8], count: int) -> npt.NDArray[np.uint8]:
    """What is seen of each nodule, shape (n, count, size, size): its crop and, for a count of 2, its mirror image."""
    return np.stack([crops, crops[:, :, ::-1]][:count], axis=1)
