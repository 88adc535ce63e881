"""Where frames come from: `open_source` opens recordings, which wait, and `open_live` live pictures, which do not."""

from streamer.sources.base import Source
from streamer.sources.open import open_live, open_source

__all__ = ["Source", "open_live", "open_source"]
