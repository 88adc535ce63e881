"""nodules.csv: a row per nodule and frame, for a spreadsheet or a data frame."""

from __future__ import annotations

import csv
from contextlib import suppress

from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.folder import NODULES_CSV, output_errors
from streamer.outputs.report_json import frame_line
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import FrameResult

COLUMNS = (
    "video", "frame", "time_s", "track", "x0_px", "y0_px", "x1_px", "y1_px", "confidence", "track_confidence",
    "malignancy", "qualifies", "long_axis_px", "short_axis_px", "area_px", "long_axis_mm", "short_axis_mm", "area_mm2",
)  # fmt: skip


class CsvSink(BaseSink):
    """Writes `nodules.csv`: numbers as in `frames.jsonl`, empty where one is unknown, `qualifies` as 0 or 1.

    Raises:
        OutputError: the file cannot be written.
    """

    def __init__(self, context: SinkContext) -> None:
        self._context = context
        self._path = context.folder.partial(NODULES_CSV)
        with output_errors(self._path):
            self._file = self._path.open("w", encoding="utf-8", newline="")
            self._rows = csv.writer(self._file)
            self._rows.writerow(COLUMNS)

    def write(self, result: FrameResult) -> None:
        """Append a row for each nodule in the frame."""
        line = frame_line(result)
        with output_errors(self._path):
            for one in line.nodules:
                sizes = one.long_axis_px, one.short_axis_px, one.area_px
                sizes_mm = one.long_axis_mm, one.short_axis_mm, one.area_mm2
                sure = one.confidence, one.track_confidence, one.malignancy, int(one.qualifies)
                self._rows.writerow(
                    [line.video, line.frame, line.time_s, one.track, *one.box_xyxy, *sure, *sizes, *sizes_mm]
                )

    def end_clip(self, summary: ClipSummary | None) -> None:  # noqa: ARG002
        """Bring the clip's rows to the disk."""
        with output_errors(self._path):
            self._file.flush()

    def close(self, report: StudyReport | None) -> None:
        """Close the file."""
        if report is None:
            with suppress(OSError):
                self._file.close()
            return
        with output_errors(self._path):
            self._file.close()
        self._context.commit(NODULES_CSV)
