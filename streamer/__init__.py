"""Watches a thyroid ultrasound cine loop and tells where each nodule is, how large and how suspicious.

Research use only: not a medical device.

    for result in streamer.analyse("clip.mp4"):
        print(result.frame.time_s, [(nodule.track, nodule.malignancy) for nodule in result.nodules])
"""

from typing import TYPE_CHECKING, Any

from streamer.version import __version__

if TYPE_CHECKING:
    from streamer.pipeline.aggregation import PatientAggregator
    from streamer.pipeline.analyse import analyse
    from streamer.pipeline.multistream import analyse_streams
    from streamer.pipeline.thyroid import Engine
    from streamer.run import run_live, run_study
    from streamer.settings import Settings, load_settings
    from streamer.sources import open_live, open_source

__all__ = [
    "Engine",
    "PatientAggregator",
    "Settings",
    "__version__",
    "analyse",
    "analyse_streams",
    "load_settings",
    "open_live",
    "open_source",
    "run_live",
    "run_study",
]

_HOMES = {
    "Engine": "streamer.pipeline.thyroid",
    "Settings": "streamer.settings",
    "PatientAggregator": "streamer.pipeline.aggregation",
    "analyse": "streamer.pipeline.analyse",
    "load_settings": "streamer.settings",
    "open_live": "streamer.sources",
    "open_source": "streamer.sources",
    "run_live": "streamer.run",
    "run_study": "streamer.run",
    "analyse_streams": "streamer.pipeline.multistream",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `streamer --help` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'streamer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
