"""frames.jsonl: a line per frame, written as it comes."""

from __future__ import annotations

from contextlib import suppress
from typing import BinaryIO

from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.folder import FRAMES, output_errors
from streamer.outputs.report_json import frame_line
from streamer.summaries import StudyReport
from streamer.types import FrameResult


class FramesSink(BaseSink):
    """Writes `frames.jsonl`; a killed run leaves whole lines.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        self._path = context.folder.partial(FRAMES)
        with output_errors(self._path):
            self._lines: BinaryIO = self._path.open("wb")

    def write(self, result: FrameResult) -> None:
        """Append the frame's line."""
        with output_errors(self._path):
            self._lines.write(frame_line(result).model_dump_json().encode() + b"\n")
            self._lines.flush()

    def close(self, report: StudyReport | None) -> None:
        """Close the file."""
        if report is None:
            with suppress(OSError):  # each line was flushed: what fails here has been raised already
                self._lines.close()
            return
        with output_errors(self._path):
            self._lines.close()
        self._context.commit(FRAMES)
