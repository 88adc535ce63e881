"""Mixed precision: bfloat16 inside, float32 outside, and nothing where the device has no units for it."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from streamer.training import precision
from streamer.training.precision import mixed_precision

CPU = torch.device("cpu")


class Branches(nn.Module):
    """Puts out what detectors do: tensors in a mapping, some of them in lists."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)
        self.seen: list[torch.dtype] = []

    def forward(self, images: torch.Tensor) -> dict[str, object]:
        found = self.layer(images)
        self.seen.append(found.dtype)
        return {"boxes": found, "feats": [found, found + 1]}


@pytest.mark.parametrize(
    ("capabilities", "computed_in"),
    [
        ({"amx_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": False}, torch.bfloat16),
        ({"avx512_f": True, "avx512_bf16": False}, torch.float32),
        ({}, torch.float32),
    ],
)
def test_a_cpu_has_units_for_it_or_not(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], computed_in: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    network = Branches()
    mixed_precision(network, CPU)(torch.rand(1, 3, 8, 8))
    assert network.seen == [computed_in]


def test_computes_in_bfloat16_and_hands_out_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "_has_bfloat16_units", lambda device: True)
    network, images = Branches(), torch.rand(2, 3, 8, 8)
    outputs = mixed_precision(network, CPU)(images)
    exact = network(images)
    assert network.seen == [torch.bfloat16, torch.float32]
    for found, expected in zip([outputs["boxes"], *outputs["feats"]], [exact["boxes"], *exact["feats"]], strict=True):
        assert found.dtype == torch.float32
        torch.testing.assert_close(found, expected, rtol=0.02, atol=0.02)
    outputs["boxes"].sum().backward()
    gradient = network.layer.weight.grad
    assert gradient is not None
    assert gradient.dtype == torch.float32
    assert gradient.abs().sum() > 0


def test_is_the_network_itself_where_float32_is_as_fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx2": True})
    network = Branches()
    assert mixed_precision(network, CPU) is network
