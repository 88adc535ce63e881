"""The sinks of a run: those of the outputs that its settings choose (see `streamer.output_registry`)."""

from __future__ import annotations

from streamer.dicom.library import require_dicom
from streamer.models.registry import load_object
from streamer.output_registry import OUTPUTS
from streamer.outputs.base import Sink, SinkContext
from streamer.settings import Settings
from streamer.types import ClipInfo


def dicom_sink(context: SinkContext) -> Sink:
    """Imported when it is chosen: its libraries are an extra.

    Raises:
        InputError: they are not installed.
    """
    require_dicom("the output dicom")
    from streamer.outputs.dicom import DicomSink

    return DicomSink(context)


def check_dicom(info: ClipInfo) -> None:
    """See that DICOM results can be made of a clip.

    Raises:
        InputError: it is no DICOM file or does not say to which study it belongs.
    """
    require_dicom("the output dicom")
    from streamer.outputs.dicom import source_of

    source_of(info)


def make_sinks(context: SinkContext) -> list[Sink]:
    """The sinks that `context.settings.outputs` chooses, in the order in which they are called.

    Raises:
        OutputError: a file cannot be begun.
    """
    chosen = [spec for name, spec in OUTPUTS.items() if name in context.settings.outputs]
    return [load_object(spec.sink)(context) for spec in sorted(chosen, key=lambda spec: spec.sums_up)]


def check_clip(settings: Settings, info: ClipInfo) -> None:
    """See, before anything is analysed, that the chosen outputs can be made of a clip.

    Raises:
        InputError: one of them cannot.
    """
    for name, spec in OUTPUTS.items():
        if name in settings.outputs and spec.check is not None:
            load_object(spec.check)(info)
