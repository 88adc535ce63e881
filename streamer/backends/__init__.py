"""How a network is run: one small interface, one backend chosen once."""

import sys

# OpenVINO's converter reports usage to its maker unless told otherwise, merely by being used. Without this module it
# falls back to a stub that sends nothing. Here, as no module of this room is imported before.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

from streamer.backends.base import Backend, OpenVinoFiles, Runner  # noqa: E402
from streamer.backends.select import choose_backend  # noqa: E402

__all__ = ["Backend", "OpenVinoFiles", "Runner", "choose_backend"]
