"""Heat maps: what in a nodule's surroundings raised the classifier's malignancy, mapped back to the frame.

Behind the features of the classifier there is a pooling that is known and two linear layers, so what each cell adds to
the log-odds has a closed form (`streamer.models.explained`): a network in OpenVINO's files tells it beside its answer.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from streamer.backends import OpenVinoFiles
from streamer.backends.process import stay_in_process
from streamer.errors import WeightsError
from streamer.geometry import Box, CropWindow
from streamer.models.joint_output import evidence, evidence_cells, positive_evidence
from streamer.models.loading import joint_files
from streamer.models.weights_manifest import Manifest, Preprocessing
from streamer.settings import ClassificationSettings
from streamer.types import Grey, Heat

Explain = Callable[[Grey], Heat]
"""From what a classifier sees, shape (size, size), to each cell's share in the log-odds, shape (height, width)."""

_NO_TORCH = (
    "heat maps of these weights need torch: python -m pip install 'streamer[train]'; or `streamer publish` makes files "
    "that need none, where segmenter and classifier share an encoder"
)


class HeatMaps:
    """Makes heat maps with a copy of the classifier, float32 on the CPU, whatever backend runs the frames.

    The copy is loaded when the first map is asked for. Any thread may ask; one map is made at a time.

    Attributes:
        explains: whether the maps were not measured to lie inside the nodule by chance only: what does not is no
            explanation, and is shown only to who asks for it.
    """

    def __init__(
        self,
        load: Callable[[], Explain],
        preprocessing: Preprocessing,
        settings: ClassificationSettings,
        *,
        explains: bool = True,
    ) -> None:
        """Explain with what `load` gives, whose crops are as `preprocessing` says, mirrored or not as in `settings`."""
        self._load, self._preprocessing, self._mirrored = load, preprocessing, settings.mirrored
        self.explains = explains
        self._explain: Explain | None = None
        self._lock = threading.Lock()

    def __call__(self, grey: Grey, box_xyxy: Box) -> Heat:
        """The heat map of the nodule in `box_xyxy`, over the whole frame.

        Args:
            grey: frame, shape (height, width).
            box_xyxy: in its pixels.

        Returns:
            Map of the frame's shape; 0 outside the window that the classifier saw.

        Raises:
            WeightsError: the classifier cannot be loaded.
        """
        window = self._window(box_xyxy)
        over_window = cv2.resize(self._evidence(self.crop(grey, box_xyxy)), (window.side, window.side))
        height, width = grey.shape
        x0, y0, x1, y1 = max(window.left, 0), max(window.top, 0), min(window.right, width), min(window.bottom, height)
        heat = np.zeros((height, width), np.float32)
        if x0 < x1 and y0 < y1:
            heat[y0:y1, x0:x1] = over_window[y0 - window.top : y1 - window.top, x0 - window.left : x1 - window.left]
        return _relative(heat)

    def crop(self, grey: Grey, box_xyxy: Box) -> Grey:
        """What the classifier sees, shape (size, size), of a box in a frame of shape (height, width)."""
        return self._window(box_xyxy).crop(grey, self._preprocessing.size_wh[0])

    def of_crop(self, crop: Grey) -> Heat:
        """The heat map over such a crop.

        Raises:
            WeightsError: the classifier cannot be loaded.
        """
        return _relative(cv2.resize(self._evidence(crop), (crop.shape[1], crop.shape[0])).astype(np.float32))

    def _window(self, box_xyxy: Box) -> CropWindow:
        return CropWindow.around(box_xyxy, self._preprocessing.margin)

    def _evidence(self, crop: Grey) -> Heat:
        """Positive evidence of malignancy in the network's own, coarse cells."""
        stay_in_process()
        with self._lock:
            if self._explain is None:
                self._explain = self._load()
            found = self._explain(crop)
            if self._mirrored:  # the log-odds that are explained are the mean of both views'
                mirrored = self._explain(np.ascontiguousarray(crop[:, ::-1]))[:, ::-1]
                found = np.mean([found, mirrored], axis=0, dtype=np.float32)
        return positive_evidence(found)


def classifier_heat_maps(folder: Path, manifest: Manifest, settings: ClassificationSettings) -> HeatMaps:
    """Heat maps of the classifier in a weights folder; it is read when the first one is asked for."""
    return HeatMaps(
        lambda: _explain(folder, manifest),
        manifest.models["classifier"].preprocessing,
        settings,
        explains=manifest.models["classifier"].explains,
    )


def _explain(folder: Path, manifest: Manifest) -> Explain:
    files = joint_files(folder, manifest, "fp32", views=1) if manifest.one_encoder else None
    if files is not None:
        with suppress(WeightsError):  # torch, where it is there, can do without
            return _from_files(files, manifest)
    try:
        from streamer.models.explained import explain_with_torch
    except ModuleNotFoundError as error:
        raise WeightsError(_NO_TORCH) from error
    return explain_with_torch(folder, manifest)


def _from_files(files: OpenVinoFiles, manifest: Manifest) -> Explain:
    from streamer.backends.openvino import OpenVinoBackend  # late: on a GPU nothing else needs it

    entry = manifest.models["classifier"]
    cells = evidence_cells(entry.architecture, entry.preprocessing.size_wh[0])
    runner = OpenVinoBackend(1, "fp32").checked(files)

    def explain(crop: Grey) -> Heat:
        shares = evidence(runner(crop[None]), cells)
        assert shares is not None  # every float32 file tells them
        return np.asarray(shares[0, 0], np.float32)

    return explain


def _relative(heat: Heat) -> Heat:
    highest = float(heat.max(initial=0))
    return heat / np.float32(highest) if highest > 0 else heat
