"""When each frame of a DICOM cine is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from statistics import median

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from streamer.dicom.attributes import number, numbers, value

DEFAULT_FPS = 30.0
"""Rate assumed where a cine states none (the usual rate of an ultrasound export)."""

STILL_FPS = 1.0
_PLAUSIBLE_FPS = (0.01, 1000.0)
_FRAME_TIME_VECTOR = 0x00181065


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameTimes:
    """Times of a cine's frames.

    Attributes:
        fps: nominal rate in frames per second.
        starts_s: time of each frame in seconds from the first, strictly increasing; None for an even rate.
        warning: what a reader should know; "" if nothing.
    """

    fps: float
    starts_s: Sequence[float] | None = None
    warning: str = ""

    def start_s(self, index: int) -> float:
        """Time of frame `index`, from 0, in seconds from the first frame."""
        if self.starts_s is None:
            return index / self.fps
        last = len(self.starts_s) - 1
        return self.starts_s[index] if index <= last else self.starts_s[last] + (index - last) / self.fps


def frame_times(data: Dataset, frames: int) -> FrameTimes:
    """Times of a cine of `frames` frames, in the order the standard gives (PS3.3, C.7.6.5 and C.7.6.6).

    Frame Increment Pointer chooses between Frame Time and Frame Time Vector; then come Cine Rate, Recommended Display
    Frame Rate, Actual Frame Duration and Effective Duration; then `DEFAULT_FPS`, with a warning.
    """
    if frames <= 1:
        return FrameTimes(fps=STILL_FPS)
    by_step, by_vector = _at_step_ms(number(data, "FrameTime")), _by_vector(data, frames)
    candidates = (
        *((by_vector, by_step) if _points_to_vector(data) else (by_step, by_vector)),
        _at_rate(number(data, "CineRate")),
        _at_rate(number(data, "RecommendedDisplayFrameRate")),
        _at_step_ms(number(data, "ActualFrameDuration")),
        _at_step_ms((number(data, "EffectiveDuration") or 0.0) * 1000 / frames),
    )
    for found in candidates:
        if found is not None:
            return found
    return FrameTimes(
        fps=DEFAULT_FPS, warning=f"the file states no valid frame times; {DEFAULT_FPS:g} frames per second assumed"
    )


def _points_to_vector(data: Dataset) -> bool:
    pointer = value(data, "FrameIncrementPointer")
    several = pointer if isinstance(pointer, (MultiValue, list, tuple)) else [pointer]
    return _FRAME_TIME_VECTOR in [int(one) for one in several if isinstance(one, int)]


def _at_rate(fps: float | None) -> FrameTimes | None:
    return FrameTimes(fps=fps) if fps is not None and _PLAUSIBLE_FPS[0] <= fps <= _PLAUSIBLE_FPS[1] else None


def _at_step_ms(step_ms: float | None) -> FrameTimes | None:
    return _at_rate(1000 / step_ms) if step_ms else None


def _by_vector(data: Dataset, frames: int) -> FrameTimes | None:
    """Increments in ms between a frame and the one before; that of the first frame is 0 and does not count."""
    steps_ms = list(numbers(data, "FrameTimeVector"))[1:frames]
    good = [step for step in steps_ms if 1000 / _PLAUSIBLE_FPS[1] <= step <= 1000 / _PLAUSIBLE_FPS[0]]
    if not good:
        return None
    usual_ms = median(good)
    repaired = [step if 1000 / _PLAUSIBLE_FPS[1] <= step <= 1000 / _PLAUSIBLE_FPS[0] else usual_ms for step in steps_ms]
    missing = frames - 1 - len(good)
    repaired += [usual_ms] * (frames - 1 - len(repaired))
    return FrameTimes(
        fps=1000 / usual_ms,
        starts_s=[ms / 1000 for ms in accumulate(repaired, initial=0.0)],
        warning=f"{missing} frame times missing or malformed; the median step assumed" if missing else "",
    )
