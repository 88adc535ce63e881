"""What segmenter and classifier give where they run as one network: planes of one tensor, and how they are read."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Planes = npt.NDArray[np.float32]

MASK = slice(0, 1)
"""Plane of the joint output with the segmenter's logits; behind it each view of the nodule has planes of its own."""

_STRIDE = 32
"""Pixels of the crop a cell of DenseNet121's last features, which a plain head pools."""
OUTLINE_STRIDE = 16
"""Pixels of the crop a cell of a region head's outline; the finest cells of which any head tells the share."""

_PLANES = 3
"""Planes of a view: a logit for each class, and where the answer comes from."""
_CLASSES = 2


LEAST_EVIDENCE = 0.02
"""Log-odds for which all cells of a map together must speak: less moves a probability by half a percentage point at
most, which is not seen in the number, but a map relative to its greatest cell would show it in the brightest colour."""


def evidence_cells(architecture: str, size: int) -> int:
    """Cells along a side of which a classifier's head tells the share, for crops of `size` pixels.

    Example:
        >>> evidence_cells("densenet121-region", 128), evidence_cells("densenet121", 128)
        (8, 4)
    """
    return size // (OUTLINE_STRIDE if architecture.endswith("-region") else _STRIDE)


def class_logits(joint: Planes) -> Planes:
    """The classifier's logits, shape (n, views, 2), out of the joint output."""
    return _views(joint)[:, :, :_CLASSES, 0, 0]


def evidence(joint: Planes, cells: int) -> Planes | None:
    """Each cell's share in the log-odds, shape (n, views, cells, cells); None where the network does not tell.

    Args:
        joint: the joint output, shape (n, planes, size, size).
        cells: cells along a side; finer ones than the network's own repeat.
    """
    views = _views(joint)
    if views.shape[2] < _PLANES:
        return None
    step = joint.shape[2] // cells
    return views[:, :, _CLASSES, ::step, ::step]


def positive_evidence(shares: Planes) -> Planes:
    """What speaks for malignancy: positive shares of the cells, 0 everywhere where that is next to nothing.

    Args:
        shares: of one nodule's cells in the log-odds, shape (cells, cells).
    """
    positive = np.maximum(shares, 0)
    return positive if float(positive.sum()) >= LEAST_EVIDENCE else np.zeros_like(positive)


def _views(joint: Planes) -> Planes:
    """The planes of each view, shape (n, views, planes, size, size); int8 files made before had no map among them."""
    count = joint.shape[1] - MASK.stop
    planes = _PLANES if count % _PLANES == 0 else _CLASSES
    return joint[:, MASK.stop :].reshape(len(joint), -1, planes, *joint.shape[2:])
