"""What the classifier saw of each nodule's key frame, kept during the run and turned into heat maps after it."""

from __future__ import annotations

import cv2
import numpy as np

from streamer.errors import WeightsError
from streamer.heat_picture import tinted
from streamer.models.heatmap import HeatMaps
from streamer.records import Frame, Grey, Image, Nodule

_SIDE_PX = 448  # twice the classifier's usual input: its detail, enlarged


class HeatPictures:
    """Heat maps of a study's nodules. A crop in grey is kept for each: 50 kB at an input of 224x224.

    Attributes:
        failure: why there is no heat map, in one line; None as long as nothing went wrong.
    """

    def __init__(self, heat_maps: HeatMaps) -> None:
        self._heat_maps = heat_maps
        self._crops: dict[int, Grey] = {}
        self.failure: str | None = None

    def keep(self, frame: Frame, nodule: Nodule) -> None:
        """Cut out what the classifier sees of a nodule; the frame can go."""
        grey = np.asarray(cv2.cvtColor(frame.image, cv2.COLOR_RGB2GRAY), np.uint8)
        self._crops[nodule.track] = self._heat_maps.crop(grey, nodule.box_xyxy)

    def picture(self, track: int) -> Image | None:
        """The heat map on what was kept of a nodule, RGB of shape (448, 448, 3).

        Returns:
            None if nothing was kept, or the classifier cannot be loaded: that must not cost the report.
        """
        crop = self._crops.get(track)
        if crop is None or self.failure is not None:
            return None
        try:
            heat = self._heat_maps.of_crop(crop)
        except WeightsError as error:
            self.failure = str(error)
            return None
        size_wh = _SIDE_PX, _SIDE_PX
        view = cv2.cvtColor(cv2.resize(crop, size_wh), cv2.COLOR_GRAY2RGB)
        return tinted(np.asarray(view, np.uint8), np.asarray(cv2.resize(heat, size_wh), np.float32))
