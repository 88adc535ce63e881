"""How a network is run: one small interface, one backend chosen once."""

from streamer.backends.base import Backend, OpenVinoFiles, Runner
from streamer.backends.select import choose_backend

__all__ = ["Backend", "OpenVinoFiles", "Runner", "choose_backend"]
