"""Do two implementations find the same boxes in the same frames?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict
from scipy.optimize import linear_sum_assignment
from supervision import box_iou_batch

from streamer.geometry import Box

SAME_BOX_IOU = 0.9
"""From this overlap on two boxes are the same one. Letterboxes differ in how they interpolate and pad, and half
precision or int8 in the last digits: a box of 50 canvas pixels that is off by one on two sides still has 0.92."""
AGREEING_SHARE = 0.9
"""Share of frames that must agree: in a few frames a score lies so near the threshold that a last digit decides."""


class Agreement(BaseModel):
    """Boxes compared frame by frame, over the frames that both have done.

    Attributes:
        frames: number of frames compared.
        share: of them, those with equally many boxes, each with a partner of its own that overlaps by at least
            `SAME_BOX_IOU`; None where no frame was compared.
        same_boxes: whether the share is at least `AGREEING_SHARE`.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    frames: int
    share: float | None
    same_boxes: bool


def agreement(one: Sequence[Sequence[Box]], other: Sequence[Sequence[Box]]) -> Agreement:
    """Compare the boxes of each frame; the longer list is cut to the shorter one."""
    same = [_same(first, second) for first, second in zip(one, other, strict=False)]
    share = sum(same) / len(same) if same else None
    return Agreement(frames=len(same), share=share, same_boxes=share is not None and share >= AGREEING_SHARE)


def _same(one: Sequence[Box], other: Sequence[Box]) -> bool:
    if len(one) != len(other):
        return False
    if not one:
        return True
    overlap = box_iou_batch(np.array(one, np.float32), np.array(other, np.float32)) >= np.float32(SAME_BOX_IOU)
    pairs = linear_sum_assignment(overlap, maximize=True)  # boxes clipped to the frame may have several partners
    return bool(overlap[pairs].all())
