"""Always the same number of images at a time, and fewer when memory runs out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn

import streamer.pipeline.thyroid
from streamer.backends import Runner
from streamer.backends._chunks import ChunkedRunner, Run
from streamer.backends.torch_cpu import TorchCpuBackend
from streamer.errors import DeviceError
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from tests.fakes import frame
from tests.pipeline.test_thyroid import speckle

SIZE_WH = (6, 4)


def images(count: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (count, SIZE_WH[1], SIZE_WH[0]), np.uint8)


class Device:
    """Sums up each image; has room for `room` images, in preparing or (`late`) only in running."""

    def __init__(self, room: int, *, late: bool = False) -> None:
        self.room, self.late = room, late
        self.prepared: list[int] = []
        self.ran: list[int] = []

    def prepare(self, count: int) -> Run:
        self.prepared.append(count)
        if not self.late:
            self._take(count)

        def run(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            assert len(grey) <= count
            self._take(count)
            self.ran.append(len(grey))
            return np.asarray(grey.sum(axis=(1, 2), dtype=np.float32)[:, None], np.float32)

        return run

    def _take(self, count: int) -> None:
        if count > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")


@pytest.mark.parametrize(("count", "calls"), [(0, []), (1, [1]), (7, [7]), (8, [8]), (9, [8, 1]), (20, [8, 8, 4])])
def test_no_call_is_of_more_than_was_prepared(count: int, calls: list[int]) -> None:
    device = Device(8)
    runner = ChunkedRunner(device.prepare, SIZE_WH, most=8)
    output = runner(images(count))
    assert device.ran == [1, *calls]  # the first by itself, when it was loaded
    np.testing.assert_array_equal(output.ravel(), images(count).sum(axis=(1, 2)))
    assert device.prepared == [8]


@pytest.mark.parametrize(("room", "tried"), [(16, [16]), (5, [16, 8, 4]), (2, [16, 8, 4, 2])])
def test_views_of_an_object_stay_together(room: int, tried: list[int]) -> None:
    """Two images an output: each call is of whole pairs, however little memory there is."""
    device = Device(room)

    def prepare(count: int) -> Run:
        run = device.prepare(count)
        return lambda grey: run(grey).reshape(-1, 2).sum(axis=1, keepdims=True)

    runner = ChunkedRunner(prepare, SIZE_WH, most=16, views=2)
    np.testing.assert_array_equal(runner(images(18)).ravel(), images(18).reshape(9, -1).sum(axis=1))
    assert device.prepared == tried
    device.room = 1
    with pytest.raises(DeviceError):
        ChunkedRunner(prepare, SIZE_WH, most=16, views=2)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize(("room", "tried"), [(7, [8, 4]), (2, [8, 4, 2]), (1, [8, 4, 2, 1])])
def test_the_number_is_halved_until_there_is_room(room: int, tried: list[int], late: bool) -> None:
    device = Device(room, late=late)
    runner = ChunkedRunner(device.prepare, SIZE_WH, most=8)
    np.testing.assert_array_equal(runner(images(9)).ravel(), images(9).sum(axis=(1, 2)))
    assert device.prepared == tried
    assert max(device.ran) == tried[-1]


def test_memory_taken_by_others_meanwhile() -> None:
    device = Device(8)
    runner = ChunkedRunner(device.prepare, SIZE_WH, most=8)
    expected = runner(images(9))
    device.room = 3
    np.testing.assert_array_equal(runner(images(9)), expected)
    assert device.prepared == [8, 4, 2]
    device.room = 0
    for _ in range(2):
        with pytest.raises(DeviceError, match="memory is full, even for a single image: end other programs"):
            runner(images(1))
    device.room = 8
    np.testing.assert_array_equal(runner(images(9)), expected)


class _SmallDevice(TorchCpuBackend):
    """Runs the real networks, two images at a time at most."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.batch_frames = 8
        self.room = room
        self.tried: set[int] = set()

    def load(
        self,
        build: Callable[[], nn.Module],
        size_wh: tuple[int, int],
        key: str,
        int8: Any = None,
        fp32: Any = None,
        *,
        views: int = 1,
    ) -> Runner:
        alone = super().load(build, size_wh, key, views=views)

        def prepare(count: int) -> Run:
            self.tried.add(count)
            if count > self.room:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            return alone

        return ChunkedRunner(prepare, size_wh, most=8 * views, views=views)


def test_an_engine_on_a_device_with_little_memory(
    engine: Engine, random_engine_settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = _SmallDevice(2)
    monkeypatch.setattr(streamer.pipeline.thyroid, "choose_backend", lambda *_: backend)
    small = Engine(random_engine_settings)
    frames = [frame(index, image=speckle(index)) for index in range(3)]
    assert [len(found.findings) for found in small.analyse(frames)] == [
        len(found.findings) for found in engine.analyse(frames)
    ]
    assert backend.tried == {8, 4, 2}


def test_a_device_that_fails() -> None:
    def prepare(_: int) -> Run:
        raise RuntimeError("CUDA error: an illegal memory access was encountered\nCompile with TORCH_USE_CUDA_DSA")

    with pytest.raises(
        DeviceError, match=r"the device failed \(CUDA error: an illegal .* encountered\): use --device cpu"
    ):
        ChunkedRunner(prepare, SIZE_WH, most=8)
