"""How a network is run: one small interface, one backend chosen once."""

from streamer.backends.base import Backend, Quantised, Runner
from streamer.backends.select import choose_backend

__all__ = ["Backend", "Quantised", "Runner", "choose_backend"]
