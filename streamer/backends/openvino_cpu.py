"""OpenVINO on the CPU, float32: the fastest way measured to run these networks on a few cores.

Each network is converted once for a machine and kept in the user's cache folder, keyed by weights and OpenVINO version.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import tempfile
import threading
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from streamer.backends.base import Runner

# OpenVINO's converter reports usage to its maker unless told otherwise, merely by being used. Without this module it
# falls back to a stub that sends nothing.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

import openvino  # noqa: E402
from openvino.frontend import FrontEndManager  # noqa: E402
from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder  # noqa: E402


class OpenVinoBackend:
    """Runs networks with OpenVINO on `threads` cores.

    Two streams of one core beat one stream of two by a fifth, and two workers keep both busy while a third prepares
    the next frame.
    """

    def __init__(self, threads: int) -> None:
        release = openvino.get_version().split("-")[0]
        self.device = f"CPU (OpenVINO {release})"
        self.precision = "fp32"
        self.workers = threads + 1
        self.batch_frames = 1
        self._core = openvino.Core()
        self._properties = {
            "NUM_STREAMS": threads,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            "INFERENCE_PRECISION_HINT": "f32",  # or machines with AMX would silently use bf16
        }
        self._release = openvino.get_version()

    def load(self, graph: nn.Module, size_wh: tuple[int, int], key: str) -> Runner:
        """Convert (or take from the cache) and compile a network, and run it once."""
        digest = hashlib.sha256(f"{key} {size_wh} {self._release}".encode()).hexdigest()[:32]
        path = cache_folder() / f"{digest}.xml"
        model = self._cached(path)
        if model is None:
            model = _convert(graph, size_wh)
            _keep(model, path)
        runner = _OpenVinoRunner(self._core.compile_model(model, "CPU", self._properties))
        # The first call ever sets up OpenVINO's Python binding; where two threads make it at once, they wait for each
        # other for ever (2026.4: one holds the interpreter's lock, the other that of a static variable).
        runner(np.zeros((1, size_wh[1], size_wh[0]), np.uint8))
        return runner

    def _cached(self, path: Path) -> Any:
        try:
            if _seal(path).read_text(encoding="ascii") == _digest(path):
                return self._core.read_model(path)
        except (OSError, ValueError, RuntimeError):
            pass
        return None  # absent or damaged: it is made again


class _OpenVinoRunner:
    def __init__(self, compiled: Any) -> None:
        self._compiled = compiled
        self._threads = threading.local()

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        # One image a request: batching gains 0 to 15 % on a CPU, and results must not depend on it.
        if len(grey) == 0:
            return np.zeros(0, np.float32)
        request = self._request()
        return np.concatenate([np.array(request.infer([image[None]], share_inputs=True)[0]) for image in grey])

    def _request(self) -> Any:
        if not hasattr(self._threads, "request"):
            self._threads.request = self._compiled.create_infer_request()
        return self._threads.request


def cache_folder() -> Path:
    """Where converted networks are kept: below $STREAMER_CACHE, else $XDG_CACHE_HOME, else ~/.cache."""
    own = os.environ.get("STREAMER_CACHE")
    if own:
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "streamer"


def _convert(graph: nn.Module, size_wh: tuple[int, int]) -> Any:
    example = torch.zeros((1, size_wh[1], size_wh[0]), dtype=torch.uint8)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of branches on sizes, which are fixed here
        graph(example)  # YOLO builds its anchors at the first call
        decoder = TorchScriptPythonDecoder(graph, example_input=(example,))
        frontend = FrontEndManager().load_by_framework("pytorch")
        model = frontend.convert(frontend.load(decoder))
    model.reshape([1, size_wh[1], size_wh[0]])
    return model


def _keep(model: Any, path: Path) -> None:
    """Save a converted network for the next start; a cache that cannot be written only costs that time again."""
    with contextlib.suppress(OSError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            partial = Path(folder) / path.name
            # Not compressed: half precision would round the constants of preprocessing, and a network from the cache
            # would differ from one just converted.
            openvino.save_model(model, partial, compress_to_fp16=False)
            _seal(partial).write_text(_digest(partial), encoding="ascii")
            for part in (partial.with_suffix(".bin"), partial, _seal(partial)):
                part.replace(path.with_name(part.name))


def _seal(path: Path) -> Path:
    """The file beside a cached network that holds its checksum."""
    return path.with_suffix(".sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() + path.with_suffix(".bin").read_bytes()).hexdigest()
