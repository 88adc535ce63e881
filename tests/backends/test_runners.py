"""What every backend promises about running a network."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import nn

from streamer.backends import Backend, Runner
from streamer.backends.openvino import OpenVinoBackend
from streamer.backends.torch_cpu import TorchCpuBackend
from streamer.models.architectures import GreyInput
from streamer.quantisation.network import quantised


def graph(seed: int = 0) -> GreyInput:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Conv2d(4, 2, 3))
    return GreyInput(network, 0.3, 0.2).eval()


def images(count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.random.default_rng(1).integers(0, 256, (count, 32, 48), np.uint8)


@pytest.fixture(params=[lambda: OpenVinoBackend(1), TorchCpuBackend], ids=["openvino", "torch"])
def backend(request: pytest.FixtureRequest) -> Backend:
    made: Backend = request.param()
    return made


def int8_runner() -> Runner:
    backend = OpenVinoBackend(2)
    model, inputs = backend.converted(graph, (48, 32), "runner"), images(20)[:, None]
    return backend.ready(quantised(model, inputs, fp32_layers=(), fast_bias_correction=True))


@pytest.fixture(
    scope="module",
    params=[
        lambda: OpenVinoBackend(2).load(graph, (48, 32), "runner"),
        int8_runner,
        lambda: TorchCpuBackend().load(graph, (48, 32), "runner"),
    ],
    ids=["openvino", "int8", "torch"],
)
def runner(request: pytest.FixtureRequest) -> Runner:
    made: Runner = request.param()
    return made


def test_output_is_the_networks(backend: Backend) -> None:
    with torch.no_grad():
        expected = graph()(torch.from_numpy(images(3))).numpy()
    found = backend.load(graph, (48, 32), "output")(images(3))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_int8_is_near_and_not_the_same() -> None:
    with torch.no_grad():
        expected = graph()(torch.from_numpy(images(3))).numpy()
    found = int8_runner()(images(3))
    # Without VNNI (AVX2 alone) 16-bit sums saturate: 0.115 was measured there.
    assert 0 < np.abs(found - expected).max() < 0.15 * np.abs(expected).max()


def test_an_image_does_not_depend_on_its_company(runner: Runner) -> None:
    together = runner(images(5))
    alone = np.concatenate([runner(one[None]) for one in images(5)])
    np.testing.assert_array_equal(together, alone)
    assert runner(images(0)).shape == (0,)


def test_an_earlier_output_is_not_overwritten(runner: Runner) -> None:
    first = runner(images(1))
    kept = first.copy()
    runner(255 - images(1))
    np.testing.assert_array_equal(first, kept)


def test_threads_may_share_a_runner(runner: Runner) -> None:
    expected = runner(images(40))
    with ThreadPoolExecutor(4) as pool:
        found = np.concatenate(list(pool.map(lambda one: runner(one[None]), images(40))))
    np.testing.assert_array_equal(found, expected)


class _Pairs(nn.Module):
    """Means of the first and of the second image of each pair, from grey bytes."""

    def forward(self, grey: torch.Tensor) -> torch.Tensor:
        return grey.float().mean(dim=(1, 2)).reshape(-1, 2)


def test_several_views_of_an_object_make_one_output(backend: Backend) -> None:
    runner = backend.load(_Pairs, (48, 32), "pairs", views=2)
    np.testing.assert_allclose(runner(images(6)), images(6).mean(axis=(1, 2)).reshape(3, 2), rtol=1e-4)
    assert runner(images(0)).shape == (0,)
