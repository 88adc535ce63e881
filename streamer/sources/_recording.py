"""What files and stills share: one pass over the frames, the first of which is read at once."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from itertools import chain

from streamer.sources._lifecycle import SelfClosing
from streamer.sources.base import Described
from streamer.types import Frame, Image


class Recording(SelfClosing, Described):
    """Base of the sources of this package. A subclass makes the frames and hands them to `_begin`.

    Attributes:
        live: False: its frames wait.
        expected_frames: announced number of frames, may be a guess; None if unknown.
        complete: True once every frame has been delivered whole.
        duration_s: end of the last delivered frame, in seconds from the first frame.
    """

    live = False
    expected_frames: int | None

    def __init__(self, name: str) -> None:
        self.name = name
        self.width = self.height = 0
        self.complete = False
        self.duration_s = 0.0
        self._warnings: list[str] = []
        self._first: Frame | None = None
        self._rest: Generator[Frame] | None = None
        self._size_wh: tuple[int, int] | None = None
        self._changes, self._change = 0, ""
        self._closed = False

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know, one line each."""
        if not self._changes:
            return tuple(self._warnings)
        more = self._changes - 1
        again = f", and {more} more time{'' if more == 1 else 's'}" if more else ""
        return (*self._warnings, self._change + again)

    def frames(self) -> Iterator[Frame]:
        """Every frame exactly once, in order.

        Raises:
            RuntimeError: called a second time, or after the source was closed.
        """
        if self._closed:
            raise RuntimeError("this source is closed; open it again")
        if self._first is None or self._rest is None:
            raise RuntimeError("a source gives its frames once; open it again")
        first, self._first = self._first, None
        return chain((first,), self._rest)

    def close(self) -> None:
        """Release what is open; an iterator over the frames ends, `complete` stays False. May be called twice."""
        self._closed = True
        if self._rest is not None:
            self._rest.close()

    def _begin(self, frames: Generator[Frame]) -> bool:
        """Read the first of `frames`; False if there is none."""
        self._rest = frames
        self._first = next(frames, None)
        if self._first is None:
            return False
        self.height, self.width = self._first.image.shape[:2]
        return True

    def _note_size(self, image: Image, index: int) -> None:
        """Take note of a change of size at frame `index`, and warn of it: of all in one line."""
        height, width = image.shape[:2]
        if self._size_wh is not None and self._size_wh != (width, height):
            self._changes += 1
            self._change = self._change or f"the frame size changes to {width}x{height} at frame {index}"
        self._size_wh = width, height
