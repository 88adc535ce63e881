"""The outputs that come with streamer, by the name that `settings.outputs` gives them. A new one is an entry here."""

from __future__ import annotations

from collections.abc import Callable

from streamer.outputs.base import Sink, SinkContext
from streamer.outputs.csv_rows import CsvSink
from streamer.outputs.jsonl import FramesSink
from streamer.outputs.key_frames import KeyFrameSink
from streamer.outputs.report_sinks import HtmlSink, JsonSink
from streamer.outputs.video import OverlaySink
from streamer.settings import OutputName

SINKS: dict[OutputName, Callable[[SinkContext], Sink]] = {
    "overlay": OverlaySink,
    "frames": FramesSink,
    "csv": CsvSink,
    "key_frames": KeyFrameSink,
    "report_html": HtmlSink,
    "report_json": JsonSink,
}
"""In the order in which they are called: the page shows what those before it have written, `report.json` comes last."""


def make_sinks(context: SinkContext) -> list[Sink]:
    """The sinks that `context.settings.outputs` chooses.

    Raises:
        OutputError: a file cannot be begun.
    """
    return [make(context) for name, make in SINKS.items() if name in context.settings.outputs]
