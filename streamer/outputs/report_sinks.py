"""report.json and report.html: written once, when all clips are analysed."""

from __future__ import annotations

from datetime import UTC, datetime

from streamer.outputs.base import BaseSink, SinkContext
from streamer.outputs.folder import FRAMES, REPORT_HTML, REPORT_JSON, output_errors
from streamer.outputs.report_html import render_html
from streamer.outputs.report_json import report as report_content
from streamer.outputs.schema import Report, read_frames
from streamer.outputs.timeline import read_curves, timeline_svg
from streamer.summaries import StudyReport


class ReportSink(BaseSink):
    """Base of what needs the report alone: nothing happens until `close`."""

    def __init__(self, context: SinkContext) -> None:
        self._context = context

    def close(self, report: StudyReport | None) -> None:
        """Write the file.

        Raises:
            OutputError: it cannot be written.
        """
        if report is None:
            return
        content = report_content(
            report,
            created=datetime.now(UTC).replace(microsecond=0),
            overlays=self._context.overlays,
            images=self._context.pictures,
            warnings=self._context.warnings,
        )
        name, text = self._rendered(content)
        path = self._context.folder.partial(name)
        with output_errors(path):
            path.write_text(text, encoding="utf-8")
        self._context.commit(name)

    def _rendered(self, content: Report) -> tuple[str, str]:
        """Name and text of the file."""
        raise NotImplementedError


class JsonSink(ReportSink):
    """Writes `report.json`."""

    def _rendered(self, content: Report) -> tuple[str, str]:
        return REPORT_JSON, content.model_dump_json(indent=2) + "\n"


class HtmlSink(ReportSink):
    """Writes `report.html`, with the pictures and the timeline where those outputs are chosen, too."""

    def _rendered(self, content: Report) -> tuple[str, str]:
        folder = self._context.folder
        frames = {video.name: video.frames for video in content.videos}
        written = FRAMES in self._context.committed
        curves = read_curves(read_frames(folder.partial(FRAMES)), frames) if written else {}
        timeline = timeline_svg(content, curves) if curves and content.videos else None
        pictures = {track: folder.partial(name) for track, name in self._context.pictures.items()}
        return REPORT_HTML, render_html(content, pictures, timeline, self._context.heatmaps)
