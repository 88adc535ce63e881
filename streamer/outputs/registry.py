"""The outputs that come with streamer, by the name that `settings.outputs` gives them. A new one is an entry here."""

from __future__ import annotations

from collections.abc import Callable

from streamer.dicom.library import require_dicom
from streamer.outputs.base import Sink, SinkContext
from streamer.outputs.csv_rows import CsvSink
from streamer.outputs.jsonl import FramesSink
from streamer.outputs.key_frames import KeyFrameSink
from streamer.outputs.report_sinks import HtmlSink, JsonSink
from streamer.outputs.video import OverlaySink
from streamer.settings import OutputName, Settings
from streamer.types import ClipInfo


def _dicom(context: SinkContext) -> Sink:
    """Imported when it is chosen: its libraries are an extra."""
    require_dicom("the output dicom")
    from streamer.outputs.dicom import DicomSink

    return DicomSink(context)


SINKS: dict[OutputName, Callable[[SinkContext], Sink]] = {
    "overlay": OverlaySink,
    "frames": FramesSink,
    "csv": CsvSink,
    "key_frames": KeyFrameSink,
    "dicom": _dicom,
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


def check_clip(settings: Settings, info: ClipInfo) -> None:
    """See, before anything is analysed, that the chosen outputs can be made of a clip.

    Raises:
        InputError: `dicom` is chosen, and the clip is no DICOM file or does not say to which study it belongs.
    """
    if "dicom" not in settings.outputs:
        return
    require_dicom("the output dicom")
    from streamer.outputs.dicom import source_of

    source_of(info)
