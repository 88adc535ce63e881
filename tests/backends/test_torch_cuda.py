"""CUDA graphs: the same output as kernel by kernel, and a way out where a network cannot be captured."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from streamer.backends.torch_cuda import CudaBackend
from streamer.models.architectures import GreyInput
from tests.backends.test_runners import graph, images

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


class _Branching(nn.Module):
    """Looks at a value while it runs, which no graph can hold."""

    def __init__(self) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(2.0))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return image if image.sum().item() < 0 else image * self.gain


def test_output_is_the_networks() -> None:
    backend = CudaBackend()
    with torch.no_grad():
        expected = graph()(torch.from_numpy(images(11))).numpy()
    found = backend.load(graph, (48, 32), "cuda")(images(11))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=2e-2)  # half precision
    assert backend.warnings == ()


def test_an_image_does_not_depend_on_its_company() -> None:
    runner = CudaBackend().load(graph, (48, 32), "cuda")
    together = runner(images(11))
    np.testing.assert_array_equal(together, np.concatenate([runner(one[None]) for one in images(11)]))


def test_a_network_that_cannot_be_captured_runs_all_the_same() -> None:
    backend = CudaBackend()
    runner = backend.load(lambda: GreyInput(_Branching(), 0.0, 1.0).eval(), (48, 32), "cuda")
    assert "could not be captured" in backend.warnings[0]
    np.testing.assert_allclose(runner(images(3))[:, 0], images(3) / 255 * 2, atol=2e-2)
    captured = CudaBackend().load(graph, (48, 32), "cuda")
    assert np.isfinite(captured(images(3))).all()
