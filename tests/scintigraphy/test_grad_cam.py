"""Heat maps lie where the evidence is: networks made by hand, whose class score is the brightness of a place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from captum.attr import LayerGradCam
from torch import nn

from streamer.models.architectures import GreyInput
from streamer.scintigraphy.architectures import ARCHITECTURES, Architecture
from streamer.scintigraphy.networks import build
from streamer.scintigraphy.predictor import Predictor, heat_share, over_picture
from tests.scintigraphy.random_run import write_run

_SIDE = 128


def seeing_brightness(architecture: Architecture) -> nn.Module:
    """A network each of whose cells shows how bright the middle of what it sees is; all of it speaks for class 1."""
    network = build(architecture).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.Conv2d):
                height, width = module.kernel_size
                module.weight.zero_()
                module.weight[:, :, height // 2, width // 2] = 1 / module.weight.shape[1]
            elif isinstance(module, nn.Linear):
                module.weight.fill_(1 / module.in_features)
            if isinstance(module, (nn.Conv2d, nn.Linear)) and module.bias is not None:
                module.bias.zero_()
        heads = [module for module in network.modules() if isinstance(module, nn.Linear) and module.out_features == 4]
        heads[-1].weight[[0, 2, 3]] *= -1
    return network


def spot(x_px: float, y_px: float) -> np.ndarray:
    """A bright spot on black, shape (128, 128)."""
    rows, columns = np.mgrid[:_SIDE, :_SIDE]
    bright = np.exp(-((columns - x_px) ** 2 + (rows - y_px) ** 2) / (2 * 16.0**2))
    return np.asarray((255 * bright).round(), np.uint8)


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_a_map_lies_over_the_evidence(architecture: Architecture, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", architecture, seeing_brightness(architecture), size_px=_SIDE)
    explain = Predictor(run, threads=1).heat
    for x_px, y_px in ((48, 64), (64, 32)):
        heat = explain(spot(x_px, y_px), 1).astype(np.float64)
        rows, columns = np.mgrid[:_SIDE, :_SIDE]
        found = (columns * heat).sum() / heat.sum(), (rows * heat).sum() / heat.sum()
        assert found == pytest.approx((x_px, y_px), abs=5)  # cells stretched over the picture: 16 px off
        assert not explain(spot(x_px, y_px), 0).any()  # nothing there speaks for another class


def test_a_map_is_that_of_the_whole_network(tmp_path: Path) -> None:
    torch.manual_seed(1)
    network = build("shufflenet-v2").eval()
    heat = Predictor(write_run(tmp_path / "run", "shufflenet-v2", network, size_px=_SIDE), threads=1).heat
    graph = GreyInput(network, 0.449, 0.226).eval()
    whole = LayerGradCam(graph, network.get_submodule("conv5"))
    for number in range(4):
        picture = spot(50 + 5 * number, 60)
        cells = whole.attribute(torch.from_numpy(picture[None]), number, relu_attributions=True)[0, 0].detach().numpy()
        expected = over_picture(cells, _SIDE, (32, 0))
        assert heat(picture, number) == pytest.approx(expected / max(float(expected.max()), 1e-30), abs=1e-3)


def test_a_cell_lies_in_the_middle_of_what_it_sees() -> None:
    cells = np.zeros((4, 4), np.float32)
    cells[1, 2] = 1
    heat = over_picture(cells, _SIDE, (32, 0))
    assert np.argwhere(heat == heat.max()).tolist() == [[32, 64]]
    assert over_picture(np.eye(7, dtype=np.float32), _SIDE, (16, 15))[15, 15] == 1


def test_no_map_has_more_of_its_mass_in_a_region_than_its_cells_allow(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "shufflenet-v2", build("shufflenet-v2"), size_px=_SIDE)
    region = np.zeros((_SIDE, _SIDE), np.bool_)
    region[50:70, 40:80] = True
    highest = Predictor(run, threads=1).best_heat_share(region)
    rng = np.random.default_rng(0)
    shares = [heat_share(over_picture(rng.random((4, 4), np.float32) ** 9, _SIDE, (32, 0)), region) for _ in range(50)]
    assert region.mean() < max(shares) <= highest < 1
