"""Turns container timestamps into seconds that increase strictly from 0."""

from __future__ import annotations

from fractions import Fraction


class Clock:
    """Stamps the frames of one clip, and repairs what containers get wrong.

    A timestamp that is missing, repeated or runs backward is replaced by the previous time plus one frame at the
    nominal rate. A forward jump is kept: it may be a real pause.

    Attributes:
        repaired: timestamps replaced so far.
        end_s: end of the last frame, in seconds from the first.
    """

    def __init__(self, *, fps: float) -> None:
        self.repaired = 0
        self.end_s = 0.0
        self._step_s = 1.0 / fps
        self._origin: Fraction | None = None
        self._previous_s: float | None = None

    def stamp(self, timestamp: Fraction | None, duration: Fraction) -> float:
        """Time of the next frame in seconds from the first frame.

        `timestamp` and `duration` are what the container says, in seconds; None and 0 where it says nothing.
        """
        expected_s = 0.0 if self._previous_s is None else self._previous_s + self._step_s
        if timestamp is None:
            time_s = expected_s
            self.repaired += 1
        else:
            if self._origin is None:
                self._origin = timestamp - Fraction(expected_s)
            time_s = float(timestamp - self._origin)
            if self._previous_s is not None and time_s <= self._previous_s:
                time_s = expected_s
                self.repaired += 1
        self._previous_s = time_s
        self.end_s = time_s + (float(duration) if duration > 0 else self._step_s)
        return time_s
