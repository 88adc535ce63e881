"""OpenVINO on the CPU, int8 or float32: the fastest way measured to run these networks on a few cores.

Both come with the weights, as files that need no torch. A network that has none is converted by torch, once for a
machine, and kept in the user's cache folder, keyed by weights and OpenVINO version.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
import threading
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt
import openvino
from platformdirs import user_cache_path

from streamer._files import atomic_paths
from streamer.backends._compiled_cache import CompiledCache, compiled_key
from streamer.backends._openvino_graph import chain_concatenations, halve_constants
from streamer.backends.base import OpenVinoFiles, Runner, grouped
from streamer.errors import DeviceError, OutputError, WeightsError

if TYPE_CHECKING:
    from torch import nn


NO_FILES = (
    "these weights have no OpenVINO files, and making them needs torch: python -m pip install 'streamer[train]'; "
    "`streamer publish --weights FOLDER` then keeps them for machines without it"
)


_ARITHMETIC = {"INFERENCE_PRECISION_HINT": "f32"}  # or machines with AMX would silently use bf16


class OpenVinoBackend:
    """Runs networks with OpenVINO on `threads` cores.

    Two streams of one core beat one stream of two by a fifth, and two workers keep both busy while a third prepares
    the next frame.
    """

    def __init__(
        self, threads: int, precision: Literal["auto", "fp32", "int8"] = "auto", *, streams: int | None = None
    ) -> None:
        """Run on `threads` cores in a precision: "auto" takes int8 where it is made for the processor and agrees.

        `streams` is the number of calls that share the cores; one a core where it is None.

        Raises:
            DeviceError: int8 is asked for and OpenVINO has none for this processor.
        """
        release = openvino.get_version().split("-")[0]
        self.device = f"CPU (OpenVINO {release})"
        self.warnings: tuple[str, ...] = ()
        self.workers = threads + 1
        self.batch_frames = 1
        self.streams = streams or threads
        self._core = openvino.Core()
        self._properties = {
            "NUM_STREAMS": self.streams,
            "INFERENCE_NUM_THREADS": threads,
            "ENABLE_CPU_PINNING": False,
            **_ARITHMETIC,
        }
        self._release = openvino.get_version()
        int8 = "INT8" in _capabilities(self._core)
        if precision == "int8" and not int8:
            raise DeviceError("OpenVINO has no int8 arithmetic for this processor: use precision auto or fp32")
        self._int8_asked = precision == "int8"
        self._int8_wanted = self._int8_asked or (precision == "auto" and int8 and has_int8_instructions())
        self._loaded: set[str] = set()
        self._compiled_cache = CompiledCache(cache_folder() / "compiled")

    @property
    def precision(self) -> str:
        """Arithmetic of the networks loaded so far."""
        return "mixed" if len(self._loaded) > 1 else next(iter(self._loaded), "fp32")

    def load(
        self,
        build: Callable[[], nn.Module],
        size_wh: tuple[int, int],
        key: str,
        int8: OpenVinoFiles | None = None,
        fp32: OpenVinoFiles | None = None,
        *,
        views: int = 1,
    ) -> Runner:
        """Compile the int8 version if it is wanted and passes its checks, else the float32 one; run it once."""
        runner = self._load_int8(int8, views) if self._int8_wanted else None
        self._loaded.add("fp32" if runner is None else "int8")
        if runner is None and fp32 is not None:
            runner = self._load_fp32(fp32, views)
        return runner or self.ready(self.converted(build, size_wh, key, views=views))

    def converted(self, build: Callable[[], nn.Module], size_wh: tuple[int, int], key: str, *, views: int = 1) -> Any:
        """A network as an OpenVINO model in float32, not compiled; from the cache where it has been converted.

        Raises:
            WeightsError: it has not been, and torch is not installed.
        """
        digest = hashlib.sha256(f"{key} {size_wh} {views} {self._release}".encode()).hexdigest()[:32]
        path = cache_folder() / f"{digest}.xml"
        model = self._cached(path)
        if model is None:
            try:
                from streamer.backends._openvino_convert import convert
            except ModuleNotFoundError as error:
                raise WeightsError(NO_FILES) from error
            model = convert(build(), (views, size_wh[1], size_wh[0]))
            _keep(model, path)
        return model

    def _load_int8(self, files: OpenVinoFiles | None, views: int) -> Runner | None:
        if files is None:
            if self._int8_asked:
                raise WeightsError("the weights have no int8 version: make it with `streamer quantise`, or use auto")
            return None
        try:
            return self.checked(files, views=views)
        except WeightsError as error:
            if self._int8_asked:
                raise
            self.warnings += (f"{error}; fp32 runs instead",)
            return None

    def _load_fp32(self, files: OpenVinoFiles, views: int) -> Runner | None:
        try:
            return self.checked(files, views=views)
        except WeightsError as error:
            if find_spec("torch") is None:
                raise
            self.warnings += (f"{error}; it is converted anew instead",)
            return None

    def checked(self, files: OpenVinoFiles, *, views: int = 1) -> Runner:
        """Make a network from files ready, for so many views of each object, and see that it is what it should be.

        Where it was compiled before, it comes out of the user's cache folder, and passes the same check.

        Raises:
            WeightsError: it is not, or cannot run.
        """
        files.check_files()
        # Streams and threads are chosen when it is read: the network is the same for any number of them.
        key = compiled_key(files.digest, {"release": self._release, "views": views, **_ARITHMETIC})
        runner = self._kept(key, files)
        if runner is None:
            compiled = self._compiled(files.path, views, files.prepare)
            runner = _OpenVinoRunner(compiled, views)
            files.check_output(runner)  # which runs it once, see `_started`
            with contextlib.suppress(RuntimeError):
                self._compiled_cache.put(key, compiled.export_model().getvalue())
        return files.part_of(runner)

    def open(self, path: Path, *, views: int = 1) -> Runner:
        """Compile a network from its `.xml` and `.bin` files for so many views of each object, and run it once.

        Raises:
            WeightsError: they are absent or damaged, or this release of OpenVINO cannot run them.
        """
        return _started(self._compiled(path, views), views)

    def ready(self, model: Any) -> Runner:
        """Compile an OpenVINO model, whose graph is changed on the way, and run it once."""
        chain_concatenations(model)
        return _started(self._core.compile_model(model, "CPU", self._properties), model.input(0).shape[0])

    def _compiled(self, path: Path, views: int, prepare: Callable[[Any], None] | None = None) -> Any:
        try:
            model = self._core.read_model(path)
            _, height, width = model.input(0).shape
            model.reshape([views, height, width])
            if prepare is not None:
                prepare(model)
            chain_concatenations(model)
            return self._core.compile_model(model, "CPU", self._properties)
        except RuntimeError as error:
            reason = str(error).strip().splitlines()[-1]
            raise WeightsError(f"OpenVINO {self._release} cannot run {path}: {reason}") from error

    def _kept(self, key: str, files: OpenVinoFiles) -> Runner | None:
        """A network that was compiled before, if it computes what it should."""
        network = self._compiled_cache.get(key)
        if network is None:
            return None
        try:
            compiled = self._core.import_model(network, "CPU", self._properties)
            runner = _OpenVinoRunner(compiled, compiled.input(0).shape[0])
            files.check_output(runner)
        except (RuntimeError, WeightsError):
            self._compiled_cache.remove(key)
            return None
        return runner

    def _cached(self, path: Path) -> Any:
        try:
            if _seal(path).read_text(encoding="ascii") == _digest(path):
                return self._core.read_model(path)
        except (OSError, ValueError, RuntimeError):
            pass
        return None  # absent or damaged: it is made again


def _started(compiled: Any, views: int) -> _OpenVinoRunner:
    """A runner that has run once."""
    runner = _OpenVinoRunner(compiled, views)
    # The first call ever sets up OpenVINO's Python binding; where two threads make it at once, they wait for each
    # other for ever (2026.4: one holds the interpreter's lock, the other that of a static variable).
    runner(np.zeros(compiled.input(0).shape, np.uint8))
    return runner


class _OpenVinoRunner:
    def __init__(self, compiled: Any, views: int) -> None:
        self._compiled, self._views = compiled, views
        self._threads = threading.local()

    def __call__(self, grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        # One object a request: batching gains 0 to 15 % on a CPU, and results must not depend on it.
        if len(grey) == 0:
            return np.zeros(0, np.float32)
        request = self._request()
        outputs = [request(part) for part in grouped(grey, self._views)]
        return outputs[0] if len(outputs) == 1 else np.concatenate(outputs)

    def _request(self) -> _Request:
        if not hasattr(self._threads, "request"):
            self._threads.request = _Request(self._compiled.create_infer_request())
        request: _Request = self._threads.request
        return request


class _Request:
    """An infer request of one thread, which writes to the request's own input and reads its own output.

    `InferRequest.infer` looks at its inputs and wraps its outputs anew each time: the calling thread is then busy for
    1.0 instead of 0.4 ms of a call, most of it with Python's lock.
    """

    def __init__(self, request: Any) -> None:
        self._request, self._input = request, request.get_input_tensor(0).data

    def __call__(self, images: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        if images.shape != self._input.shape:  # it would be repeated where a view is missing
            raise ValueError(f"the network takes images of shape {self._input.shape}, not {images.shape}")
        np.copyto(self._input, images)
        self._request.start_async()
        self._request.wait()
        return np.array(self._request.get_output_tensor(0).data)  # a copy: the next call writes there


def _capabilities(core: Any) -> list[str]:
    """Kinds of arithmetic that OpenVINO has for this processor."""
    return list(core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))


def has_int8_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether int8 is faster than float32 here: with AVX and all that came after it; True where nothing tells.

    With AVX2 it takes 0.7 of float32's processor time for the detector and 0.55 for the joined network; with AVX alone
    OpenVINO has no float32 for the joined network (docs/performance.md). Sums of products may overflow there:
    `NetworkFiles.check_output` looks.
    """
    try:
        lines = cpuinfo.read_text(encoding="ascii", errors="replace").splitlines()
    except OSError:
        return True
    flags = next((line for line in lines if line.startswith("flags")), None)
    return flags is None or "avx" in flags  # as in avx2, avx512_vnni; where there is AMX there is AVX-512


def cache_folder() -> Path:
    """Where converted networks are kept: $STREAMER_CACHE, else the user's cache folder, else the temporary folder."""
    own = os.environ.get("STREAMER_CACHE")
    if own:
        return Path(own)
    path = user_cache_path("streamer", appauthor=False)
    if path.is_absolute():
        return path
    # A user without a name or a home, as in a container.
    return Path(tempfile.gettempdir()) / f"streamer-cache-{os.getuid()}"


def save(model: Any, path: Path) -> None:
    """Write an OpenVINO model as `.xml` and `.bin`, as it is.

    OpenVINO's own compression to half precision would round the constants of preprocessing.

    Raises:
        RuntimeError: OpenVINO cannot write it.
    """
    openvino.save_model(model, path, compress_to_fp16=False)


def save_halved(model: Any, path: Path) -> None:
    """Write an OpenVINO model whose weights came from half precision, at half the size: it computes the same.

    Raises:
        RuntimeError: OpenVINO cannot write it.
    """
    halve_constants(model)
    save(model, path)


def _keep(model: Any, path: Path) -> None:
    """Save a converted network for the next start; a cache that cannot be written only costs that time again."""
    with contextlib.suppress(OSError, OutputError, RuntimeError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_paths(path.with_suffix(".bin"), path, _seal(path)) as (_, partial, seal):
            save(model, partial)
            seal.write_text(_digest(partial), encoding="ascii")


def _seal(path: Path) -> Path:
    """The file beside a cached network that holds its checksum."""
    return path.with_suffix(".sha256")


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes() + path.with_suffix(".bin").read_bytes()).hexdigest()
