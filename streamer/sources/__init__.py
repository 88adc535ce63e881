"""Where frames come from: video files, stills and folders of stills. `open_source` picks the kind by content."""

from streamer.sources.base import Source
from streamer.sources.opening import open_source

__all__ = ["Source", "open_source"]
