"""The head that pools by region: where it looks, and that its map is the gradient times the activation, exactly."""

from __future__ import annotations

import torch
from torch.nn.functional import avg_pool2d, interpolate

from streamer.models.architectures import build_classifier
from streamer.models.region_head import (
    COARSE_CHANNELS,
    FINE_CHANNELS,
    RegionClassifier,
    RegionHead,
    from_plain_head,
)
from streamer.models.registry import MALIGNANT


def features(seed: int, count: int = 2, side: int = 8) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    fine = torch.rand(count, FINE_CHANNELS, side, side, generator=generator)
    return fine, torch.rand(count, COARSE_CHANNELS, side // 2, side // 2, generator=generator)


def head(seed: int = 0) -> RegionHead:
    torch.manual_seed(seed)
    made = RegionHead(2).eval()
    with torch.no_grad():
        made.outline.weight.mul_(20)  # outlines that are neither everywhere nor nowhere
    return made


def test_the_map_is_gradient_times_activation() -> None:
    """Exact against autograd: the coarse features by their own cells, of which each holds four of the fine ones."""
    network = head()
    fine, coarse = (part.requires_grad_() for part in features(1))
    logits, _ = network(fine, coarse)
    (logits[:, MALIGNANT] - logits[:, 1 - MALIGNANT]).sum().backward()
    assert fine.grad is not None
    assert coarse.grad is not None
    with torch.no_grad():
        found = network.evidence(fine, coarse, MALIGNANT)
    by_autograd = 4 * avg_pool2d((fine * fine.grad).sum(1, keepdim=True), 2) + (coarse * coarse.grad).sum(
        1, keepdim=True
    )
    assert found.shape == (2, 1, 8, 8)
    torch.testing.assert_close(4 * avg_pool2d(found, 2), by_autograd, atol=1e-6, rtol=1e-4)


def test_a_cells_share_is_that_of_its_own_features() -> None:
    """Down to the single cell, with coarse features as the head sees them: spread over their four cells."""
    network = head(2)
    fine, coarse = features(3)
    spread = interpolate(coarse, scale_factor=2.0, mode="nearest")
    with torch.no_grad():
        both, _, weights = network._inside(fine, coarse)
        found = network.evidence(fine, coarse, MALIGNANT)[:, 0]
    both.requires_grad_()
    logits = network.logits(network._hidden(both, weights).relu())
    (logits[:, MALIGNANT] - logits[:, 1 - MALIGNANT]).sum().backward()
    assert both.grad is not None
    torch.testing.assert_close(found, (both * both.grad).sum(1), atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(both[:, FINE_CHANNELS:].detach(), spread)


def test_a_nodule_elsewhere_is_looked_at_elsewhere() -> None:
    network = head()
    fine, coarse = features(4, 1)
    with torch.no_grad():
        network.outline.weight.zero_()
        network.outline.weight[0, 0] = 40.0
        network.outline.load_state_dict({**network.outline.state_dict(), "bias": torch.tensor([-20.0])})
        fine[:, 0] = 0.0
        fine[:, 0, 1:4, 1:4] = 1.0  # what the outline is drawn by
        _, _, weights = network._inside(fine, coarse)
    assert weights[0, 0, 1:4, 1:4].sum() > 0.99


def test_a_crop_without_an_outline_gives_a_finite_answer() -> None:
    network = head()
    with torch.no_grad():
        network.outline.weight.zero_()
        network.outline.load_state_dict({**network.outline.state_dict(), "bias": torch.tensor([-60.0])})
        logits, _ = network(*features(5))
    assert torch.isfinite(logits).all()


def test_it_starts_as_the_plain_classifier_and_has_its_encoder() -> None:
    torch.manual_seed(0)
    plain, region = build_classifier().eval(), build_classifier("densenet121-region").eval()
    assert isinstance(region, RegionClassifier)
    missing, unexpected = region.load_state_dict(from_plain_head(plain.state_dict()), strict=False)
    assert (sorted(missing), unexpected) == (["head.outline.bias", "head.outline.weight"], [])
    with torch.no_grad():
        torch.nn.init.zeros_(region.head.outline.weight)  # everywhere alike: what is inside is the whole crop
        image = torch.rand(1, 3, 64, 64)
        torch.testing.assert_close(region(image), plain(image), atol=2e-3, rtol=2e-3)
        region.train()
        logits, outline = region(torch.rand(2, 3, 64, 64))
    assert (logits.shape, outline.shape) == ((2, 2), (2, 1, 4, 4))
