"""The order of things on a CUDA device, with a stand-in for the device: what runs, what is read, what fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import SimpleNamespace
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import streamer.backends.torch_cuda as torch_cuda
from streamer._resources import weights_dir
from streamer.backends.torch_cuda import CudaBackend
from streamer.errors import DeviceError
from streamer.models.loading import joint_graph, network_graph
from streamer.models.openvino_files import probe_image
from streamer.models.weights_manifest import read_manifest

SIZE_WH = (6, 4)


class Graph:
    """What was captured, done again."""

    def __init__(self) -> None:
        self.again: Callable[[], object] = lambda: None

    def replay(self) -> None:
        self.again()


class Device:
    """As much of `torch.cuda` as the backend uses, on the processor; each stream is a number."""

    def __init__(self) -> None:
        self.capturing: Graph | None = None
        self.fault: Exception | None = None
        self.stream_now: object = "default"
        self.streams = self.captures = 0
        self.module = SimpleNamespace(
            get_device_name=lambda: "a card",
            empty_cache=lambda: None,
            synchronize=lambda: None,
            Stream=self._new_stream,
            stream=lambda _: nullcontext(),
            current_stream=lambda: "default",
            set_stream=lambda stream: setattr(self, "stream_now", stream),
            CUDAGraph=Graph,
            graph=self._capture,
        )

    def _new_stream(self) -> SimpleNamespace:
        self.streams += 1
        return SimpleNamespace(number=self.streams, synchronize=lambda: None)

    @contextmanager
    def _capture(self, graph: Graph, *, stream: SimpleNamespace, capture_error_mode: str) -> Iterator[None]:
        assert capture_error_mode == "thread_local"
        self.captures += 1
        self.capturing, self.stream_now = graph, stream
        yield
        if self.fault is not None:
            raise self.fault
        self.capturing, self.stream_now = None, "default"


class Sums(nn.Module):
    """The sum of each pair of images, the first twice; notes how many images it saw."""

    def __init__(self, device: Device) -> None:
        super().__init__()
        self.device, self.seen = device, set[int]()

    def to(self, *_: object, **__: object) -> Any:
        return self

    def forward(self, grey: torch.Tensor) -> torch.Tensor:
        def compute() -> torch.Tensor:
            self.seen.add(len(grey))
            pairs = grey.float().sum(dim=(1, 2)).reshape(-1, 2)
            return 2 * pairs[:, :1] + pairs[:, 1:]

        output = compute()
        if self.device.capturing is not None:
            self.device.capturing.again = lambda: output.copy_(compute())
        return output


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Device:
    made = Device()

    def on_the_processor(make: Callable[..., torch.Tensor]) -> Callable[..., torch.Tensor]:
        def changed(shape: Any, *, device: str = "cpu", pin_memory: bool = False, dtype: torch.dtype) -> torch.Tensor:
            assert (device == "cuda") != pin_memory
            return make(shape, dtype=dtype)

        return changed

    names = {"zeros": on_the_processor(torch.zeros), "empty": on_the_processor(torch.empty), "cuda": made.module}
    known = ("no_grad", "uint8", "float32", "channels_last", "backends", "OutOfMemoryError", "__version__")
    names |= {name: getattr(torch, name) for name in known}
    monkeypatch.setattr(torch_cuda, "torch", SimpleNamespace(**names))
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    return made


def images(count: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (count, SIZE_WH[1], SIZE_WH[0]), np.uint8)


def expected(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
    pairs = grey.sum(axis=(1, 2), dtype=np.float32).reshape(-1, 2)
    return np.asarray(2 * pairs[:, :1] + pairs[:, 1:], np.float32)


def loaded(device: Device, **options: Any) -> tuple[CudaBackend, Callable[..., npt.NDArray[np.float32]], Sums]:
    backend, network = CudaBackend("fp32", **options), Sums(device)
    return backend, backend.load(lambda: network, SIZE_WH, "sums", views=2), network


def test_each_call_is_answered_for_its_own_images(device: Device) -> None:
    backend, runner, network = loaded(device)
    for seed, count in enumerate((16, 2, 4, 18, 34, 2)):  # fewer than before, and more than fit at once
        grey = images(count, seed)
        np.testing.assert_array_equal(runner(grey), expected(grey))
    assert network.seen == {16}
    assert (device.captures, device.streams, backend.warnings) == (1, 1, ())


def test_an_answer_stays_when_the_next_comes(device: Device) -> None:
    _, runner, _ = loaded(device)
    first, second = images(4, 1), images(4, 2)
    kept = runner(first)
    runner(second)
    np.testing.assert_array_equal(kept, expected(first))


def test_for_one_caller_with_one_object_nothing_else_is_computed(device: Device) -> None:
    backend, runner, network = loaded(device, chunk=1)
    np.testing.assert_array_equal(runner(images(6)), expected(images(6)))
    assert network.seen == {2}
    assert backend.batch_frames == 1


def test_a_network_that_cannot_be_captured(device: Device) -> None:
    device.fault = RuntimeError("operation not permitted when stream is capturing")
    backend, runner, _ = loaded(device)
    device.capturing = None
    np.testing.assert_array_equal(runner(images(18)), expected(images(18)))
    assert "could not be captured" in backend.warnings[0]
    assert device.stream_now == "default"


@pytest.mark.parametrize("hidden", [False, True])
def test_memory_that_runs_out_in_a_capture_halves_the_number(device: Device, hidden: bool) -> None:
    fault: Exception = torch.OutOfMemoryError("CUDA out of memory")
    if hidden:  # the end of a broken capture raises an error of its own
        ended = RuntimeError("the capture was invalidated")
        ended.__context__, fault = fault, ended
    device.fault = fault
    with pytest.raises(DeviceError, match="memory is full"):
        loaded(device)
    assert device.captures == 4  # 16, 8, 4 and 2 images
    device.fault = None
    backend, _, _ = loaded(device)
    assert backend.warnings == ()


def test_only_one_network_is_captured_at_a_time(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[bool] = []
    capture = device.module.graph

    def noted(*arguments: Any, **options: Any) -> AbstractContextManager[None]:
        held.append(torch_cuda._preparing.locked())
        return capture(*arguments, **options)  # type: ignore[no-any-return]

    monkeypatch.setattr(device.module, "graph", noted)
    loaded(device)
    assert held == [True]
    assert not torch_cuda._preparing.locked()


@pytest.mark.parametrize(
    ("name", "views", "most"),
    [
        ("detector", 1, 0.002),  # of the largest number, a box's corner: half a pixel
        ("joint", 2, 0.002),
    ],
)
def test_the_published_networks_in_half_precision(name: str, views: int, most: float) -> None:
    """What the device computes, on the processor: the shapes that readers expect, and nearly the same numbers."""
    folder = weights_dir()
    manifest = read_manifest(folder)
    size_wh = manifest.models["detector" if name == "detector" else "segmenter"].preprocessing.size_wh

    def network() -> nn.Module:
        return network_graph(folder, name, manifest) if name == "detector" else joint_graph(folder, manifest, views)

    image = torch.from_numpy(np.repeat(probe_image(size_wh), views, axis=0))
    with torch.no_grad():
        full = network()(image)
        half = network().half().to(memory_format=torch.channels_last)(image)
    assert half.shape == full.shape
    assert half.dtype == torch.float16
    assert (half.float() - full).abs().max() <= most * full.abs().max()
