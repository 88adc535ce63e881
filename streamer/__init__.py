"""Watches a thyroid ultrasound cine loop and tells where each nodule is, how large and how suspicious.

Research use only: not a medical device.

    for result in streamer.analyse("clip.mp4"):
        print(result.frame.time_s, [(nodule.track, nodule.malignancy) for nodule in result.nodules])
"""

from typing import TYPE_CHECKING, Any

from streamer.version import __version__

if TYPE_CHECKING:
    from streamer.engine import Engine
    from streamer.pipeline import analyse
    from streamer.run import run_live, run_study
    from streamer.serving import serve
    from streamer.settings import Settings, load_settings
    from streamer.sources import open_live, open_source
    from streamer.study import Study

__all__ = [
    "Engine",
    "Settings",
    "Study",
    "__version__",
    "analyse",
    "load_settings",
    "open_live",
    "open_source",
    "run_live",
    "run_study",
    "serve",
]

_HOMES = {
    "Engine": "streamer.engine",
    "Settings": "streamer.settings",
    "Study": "streamer.study",
    "analyse": "streamer.pipeline",
    "load_settings": "streamer.settings",
    "open_live": "streamer.sources",
    "open_source": "streamer.sources",
    "run_live": "streamer.run",
    "run_study": "streamer.run",
    "serve": "streamer.serving",
}


def __getattr__(name: str) -> Any:
    """Import on first use: `streamer --help` need not wait for torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'streamer' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
