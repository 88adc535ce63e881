"""What the detector makes of a whole frame on its way to boxes, pooled: features that are computed anyway.

They leave the network in columns behind those of its anchors, so that they pass where a network has one output.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

ROWS = 5
"""Rows of the detector's output: centre, size and score."""
_STRIDES = (8, 16, 32)
"""Pixels of the canvas a cell of YOLO's three scales; each cell is an anchor."""


def anchors(size_wh: tuple[int, int]) -> int:
    """Columns of the detector's output that are boxes, for a canvas of this size in pixels."""
    return sum((size_wh[0] // stride) * (size_wh[1] // stride) for stride in _STRIDES)


def frame_features(raw: npt.NDArray[np.float32], size_wh: tuple[int, int]) -> npt.NDArray[np.float32] | None:
    """The features, shape (n, count), in the detector's output, shape (n, 5, columns); None where it has none.

    A few zeros may stand at the end.
    """
    behind = raw[:, :, anchors(size_wh) :]
    return behind.reshape(len(raw), -1) if behind.shape[2] else None
