"""A recording played as if it were live: each frame arrives when it is due."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from time import perf_counter

from streamer.errors import InputError
from streamer.sources._lifecycle import OpenedLive
from streamer.sources.base import Source
from streamer.types import Frame

_LATEST_S = 1.0
"""A machine that reads a recording slower than its pace plays it slower, rather than later and later."""


class PacedRecording(OpenedLive[Source]):
    """A live `Source` that plays a recording at its own pace.

    Args:
        open_recording: opens the recording; called again for every repetition.
        loop: repeat it until closed.

    Raises:
        InputError: the recording cannot be read.
    """

    def __init__(self, open_recording: Callable[[], Source], *, loop: bool = False) -> None:
        self._open, self._loop = open_recording, loop
        first = open_recording()
        self.describe(first.info)
        super().__init__(first)
        self.complete = False
        self.duration_s = 0.0
        self.warnings: tuple[str, ...] = ()

    def frames(self) -> Iterator[Frame]:
        """Every frame when it is due, until the end or until closed.

        Raises:
            RuntimeError: called a second time.
        """
        recording = self._take_first()
        if recording is None:
            return
        began_s, offset_s, index = perf_counter(), 0.0, 0
        while True:
            with closing(recording):
                for frame in recording.frames():
                    time_s = offset_s + frame.time_s
                    ahead_s = began_s + time_s - perf_counter()
                    if ahead_s < -_LATEST_S:
                        began_s, ahead_s = began_s - ahead_s, 0.0
                    if self._closed.wait(max(0.0, ahead_s)):
                        break
                    self.duration_s = offset_s + recording.duration_s
                    yield replace(frame, index=index, time_s=time_s, arrived_s=began_s + time_s)
                    index += 1
                self.warnings = recording.warnings
                self.complete = self._closed.is_set() or recording.complete
            if self._closed.is_set() or not self._loop:
                return
            offset_s = self.duration_s
            try:
                recording = self._open()
            except InputError as error:
                self.warnings, self.complete = (*self.warnings, f"it could not be repeated: {error}"), False
                return
