"""An engine without networks that finds one nodule, and can be made to wait; clips that number their frames."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import replace
from math import exp

import numpy as np

from streamer.pipeline.analyser import FrameFindings
from streamer.types import Finding, Frame, Image
from tests.fakes import FakeEngine, finding

WIDTH, HEIGHT, FPS = 320, 240, 25
BOX = (200.0, 150.0, 260.0, 200.0)
_CORNER = (8.0, 8.0, 24.0, 24.0)
KEY_FRAME = 20
NEVER = 1 << 30
CRASH = "Doe^Jane.mp4 is at fault"
_BITS = 8
_BAND = slice(104, 120)  # where no overlay is drawn: above the nodule's label, below the panel
_DARK, _BRIGHT = 40, 120  # close enough for no two numbers to look like a scene cut


def malignancy(index: int) -> float:
    """Probability in frame `index`: a bell with its top, 0.8, at the key frame."""
    return 0.2 + 0.6 * exp(-(((index - KEY_FRAME) / 6) ** 2))


def nodule(index: int) -> Sequence[Finding]:
    """One nodule, in every frame."""
    return (finding(BOX, malignancy=malignancy(index)),)


class HeldEngine(FakeEngine):
    """Stops before a frame when told to, and fails at one."""

    def __init__(self) -> None:
        super().__init__(nodule, workers=2, delay_s=0.015)  # slow enough for panels, which are renewed thrice a second
        self.fails_at = NEVER
        self._moved = threading.Condition()
        self._held_from = NEVER

    def hold(self, index: int) -> None:
        """Let no result of a recording from `index` on through: those before it wait for what comes ahead of them."""
        with self._moved:
            self._held_from = index and index + self.settings.tracking.look_ahead_frames

    def release(self) -> None:
        """Let all through."""
        with self._moved:
            self._held_from = NEVER
            self._moved.notify_all()

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        """Like the engine's."""
        with self._moved:
            self._moved.wait_for(lambda: frames[-1].index < self._held_from, timeout=30)
        if frames[-1].index >= self.fails_at:
            raise ZeroDivisionError(CRASH)
        return [_fitting(found) for found in super().analyse(frames)]


def _fitting(found: FrameFindings) -> FrameFindings:
    """With the nodule in a corner where the picture is not one of this module's but a smaller one."""
    if found.frame.image.shape[0] >= HEIGHT:
        return found
    return replace(found, findings=tuple(replace(one, box_xyxy=_CORNER) for one in found.findings))


def numbered(number: int) -> Image:
    """A grey picture, shape (240, 320, 3), that shows `number`, 0 to 255, as 8 blocks, most significant bit first."""
    image = np.full((HEIGHT, WIDTH, 3), 80, np.uint8)
    for bit in range(_BITS):
        level = _BRIGHT if number >> (_BITS - 1 - bit) & 1 else _DARK
        image[_BAND, bit * WIDTH // _BITS : (bit + 1) * WIDTH // _BITS] = level
    return image


READ_NUMBER = """canvas => {
  const pen = canvas.getContext('2d'), scale = canvas.width / 320;
  let number = 0;
  for (let bit = 0; bit < 8; bit += 1) {
    const level = pen.getImageData(Math.round((bit * 40 + 20) * scale), Math.round(112 * scale), 1, 1).data[0];
    number = number * 2 + (level > 80 ? 1 : 0);
  }
  return number;
}"""
"""What the page evaluates to read the number on its canvas."""
