"""Watches a thyroid ultrasound cine loop and tells where each nodule is, how large and how suspicious.

Research use only: not a medical device.

    for result in streamer.analyse("clip.mp4"):
        print(result.frame.time_s, [(nodule.track_id, nodule.malignancy) for nodule in result.nodules])
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from streamer.version import __version__

if TYPE_CHECKING:
    from streamer.errors import (
        ClipGoneError,
        DataError,
        DeviceError,
        InputError,
        NoFrameError,
        OutputError,
        SettingsError,
        StreamerError,
        WeightsError,
    )
    from streamer.models.sweep_point import SweepOperatingPoint
    from streamer.outputs.base import BaseSink, Sink
    from streamer.outputs.schema import (
        FrameLine,
        NoduleEntry,
        NoduleLine,
        Report,
        VideoEntry,
        read_frames,
        read_report,
    )
    from streamer.pipeline.aggregation import PatientAggregator
    from streamer.pipeline.analyse import analyse, analyse_image
    from streamer.pipeline.analyser import (
        AnalyserInfo,
        DetectorAnalyser,
        FrameAnalyser,
        FrameCandidates,
        FrameFindings,
        TwoStepAnalyser,
    )
    from streamer.pipeline.multistream import Serving, StreamEvent, StreamFigures, analyse_streams
    from streamer.pipeline.thyroid import Engine
    from streamer.run import Progress, run_live, run_study
    from streamer.settings import (
        ClassificationSettings,
        DetectionSettings,
        InputSettings,
        OverlaySettings,
        RuntimeSettings,
        Settings,
        StudySettings,
        TrackingSettings,
        load_settings,
    )
    from streamer.sources import Source, open_live, open_source
    from streamer.sources._url import Capture
    from streamer.summaries import ClipSummary, LiveFigures, ModelVersion, StageTiming, StudyReport, Track
    from streamer.types import Candidate, ClipInfo, Finding, Frame, FrameResult, Nodule, NoduleHeat, ScanView, SizeMm

_HOMES = {
    "streamer.errors": (
        "ClipGoneError",
        "DataError",
        "DeviceError",
        "InputError",
        "NoFrameError",
        "OutputError",
        "SettingsError",
        "StreamerError",
        "WeightsError",
    ),
    "streamer.models.sweep_point": ("SweepOperatingPoint",),
    "streamer.outputs.base": ("BaseSink", "Sink"),
    "streamer.outputs.schema": (
        "FrameLine",
        "NoduleEntry",
        "NoduleLine",
        "Report",
        "VideoEntry",
        "read_frames",
        "read_report",
    ),
    "streamer.pipeline.aggregation": ("PatientAggregator",),
    "streamer.pipeline.analyse": ("analyse", "analyse_image"),
    "streamer.pipeline.analyser": (
        "AnalyserInfo",
        "DetectorAnalyser",
        "FrameAnalyser",
        "FrameCandidates",
        "FrameFindings",
        "TwoStepAnalyser",
    ),
    "streamer.pipeline.multistream": ("Serving", "StreamEvent", "StreamFigures", "analyse_streams"),
    "streamer.pipeline.thyroid": ("Engine",),
    "streamer.run": ("Progress", "run_live", "run_study"),
    "streamer.settings": (
        "ClassificationSettings",
        "DetectionSettings",
        "InputSettings",
        "OverlaySettings",
        "RuntimeSettings",
        "Settings",
        "StudySettings",
        "TrackingSettings",
        "load_settings",
    ),
    "streamer.sources": ("Source", "open_live", "open_source"),
    "streamer.sources._url": ("Capture",),
    "streamer.summaries": ("ClipSummary", "LiveFigures", "ModelVersion", "StageTiming", "StudyReport", "Track"),
    "streamer.types": (
        "Candidate",
        "ClipInfo",
        "Finding",
        "Frame",
        "FrameResult",
        "Nodule",
        "NoduleHeat",
        "ScanView",
        "SizeMm",
    ),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AnalyserInfo",
    "BaseSink",
    "Candidate",
    "Capture",
    "ClassificationSettings",
    "ClipGoneError",
    "ClipInfo",
    "ClipSummary",
    "DataError",
    "DetectionSettings",
    "DetectorAnalyser",
    "DeviceError",
    "Engine",
    "Finding",
    "Frame",
    "FrameAnalyser",
    "FrameCandidates",
    "FrameFindings",
    "FrameLine",
    "FrameResult",
    "InputError",
    "InputSettings",
    "LiveFigures",
    "ModelVersion",
    "NoFrameError",
    "Nodule",
    "NoduleEntry",
    "NoduleHeat",
    "NoduleLine",
    "OutputError",
    "OverlaySettings",
    "PatientAggregator",
    "Progress",
    "Report",
    "RuntimeSettings",
    "ScanView",
    "Serving",
    "Settings",
    "SettingsError",
    "Sink",
    "SizeMm",
    "Source",
    "StageTiming",
    "StreamEvent",
    "StreamFigures",
    "StreamerError",
    "StudyReport",
    "StudySettings",
    "SweepOperatingPoint",
    "Track",
    "TrackingSettings",
    "TwoStepAnalyser",
    "VideoEntry",
    "WeightsError",
    "__version__",
    "analyse",
    "analyse_image",
    "analyse_streams",
    "load_settings",
    "open_live",
    "open_source",
    "read_frames",
    "read_report",
    "run_live",
    "run_study",
]


def __getattr__(name: str) -> Any:
    """Import on first use: `streamer --help` need not wait for torch."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'streamer' has no attribute {name!r}")
    return getattr(import_module(_HOME_OF[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
