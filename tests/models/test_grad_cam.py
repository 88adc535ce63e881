"""Heat maps lie where the classifier looks, within its window, and depend on its weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from torch.nn.functional import avg_pool2d

from streamer._resources import weights_dir
from streamer.errors import WeightsError
from streamer.geometry import CropWindow
from streamer.models.architectures import build_classifier
from streamer.models.explained import Evidence, ExplainedHead
from streamer.models.grad_cam import classifier_heat_maps
from streamer.models.networks import save_half
from streamer.models.region_head import feature_maps
from streamer.models.registry import MALIGNANT
from streamer.models.weights_manifest import read_manifest, write_entry
from streamer.phantom import simulate
from streamer.settings import ClassificationSettings
from tests.fakes import quadrant_heat_maps

BOX = (60.0, 40.0, 100.0, 80.0)
LEFT, TOP, RIGHT, BOTTOM = 40, 20, 120, 100  # its window, at half its side all round


def even(width: int = 200, height: int = 120) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((height, width), 90, np.uint8)


def test_map_lies_in_the_quarter_that_the_classifier_looks_at() -> None:
    heat = quadrant_heat_maps()(even(), BOX)
    assert heat.shape == (120, 200)
    assert heat.dtype == np.float32
    assert (heat.min(), heat.max()) == (0, 1)
    middle_x, middle_y = (LEFT + RIGHT) // 2, (TOP + BOTTOM) // 2
    assert heat[TOP + 2 : middle_y - 6, LEFT + 2 : middle_x - 6].min() > 0.95
    heat[TOP : middle_y + 6, LEFT : middle_x + 6] = 0  # a cell is 10 pixels, and runs out over half of the next
    assert heat.max() == 0


def test_map_of_a_mirrored_classification_is_that_of_both_views() -> None:
    heat = quadrant_heat_maps(mirrored=True)(even(), BOX)
    window = heat[TOP:BOTTOM, LEFT:RIGHT]
    np.testing.assert_allclose(window, window[:, ::-1], atol=1e-6)
    assert window[2:34, 2:34].min() > 0.95
    assert window[46:].max() == 0


def test_map_follows_the_tissue() -> None:
    grey = even()
    grey[:] = 0
    grey[30:40, 60:70] = 200
    heat = quadrant_heat_maps()(grey, BOX)
    y, x = np.unravel_index(int(heat.argmax()), heat.shape)
    assert 28 <= y < 42
    assert 58 <= x < 72


@pytest.mark.parametrize("box", [(0.0, 0.0, 30.0, 20.0), (180.0, 100.0, 200.0, 120.0), (-50.0, -50.0, -10.0, -10.0)])
def test_map_stays_inside_frame_and_window(box: tuple[float, float, float, float]) -> None:
    heat = quadrant_heat_maps()(even(), box)
    window = CropWindow.around(box, 0.5)
    assert heat.shape == (120, 200)
    assert np.isfinite(heat).all()
    assert heat.max() in (0, 1)
    heat[max(window.top, 0) : max(window.bottom, 0), max(window.left, 0) : max(window.right, 0)] = 0
    assert heat.max() == 0


def test_what_speaks_for_benign_is_not_shown() -> None:
    assert quadrant_heat_maps(malignant_sign=-1)(even(), BOX).max() == 0


def test_crop_and_frame_give_the_same_map() -> None:
    heat_maps = quadrant_heat_maps()
    box = (60.0, 40.0, 92.0, 72.0)  # its window is as large as the input: 64 pixels
    whole = heat_maps(even(), box)[24:88, 44:108]
    np.testing.assert_allclose(heat_maps.of_crop(heat_maps.crop(even(), box)), whole, atol=1e-6)


@pytest.mark.parametrize("architecture", ["densenet121", "densenet121-region"])
def test_the_closed_form_is_what_autograd_gives(architecture: str) -> None:
    """Features times the gradient of the log-odds by them; the logits are the classifier's own."""
    torch.manual_seed(0)
    classifier = build_classifier(architecture).eval()
    images = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        fine, coarse = feature_maps(classifier.get_submodule("features"), images)
        logits, evidence = ExplainedHead(classifier)(fine, coarse)
        torch.testing.assert_close(logits, classifier(images))
        torch.testing.assert_close(Evidence(classifier)(images), evidence)
    fine.requires_grad_()
    coarse.requires_grad_()
    logits, _ = ExplainedHead(classifier)(fine, coarse)
    (logits[:, MALIGNANT] - logits[:, 1 - MALIGNANT]).sum().backward()
    assert coarse.grad is not None
    expected = (coarse.detach() * coarse.grad).sum(1, keepdim=True)
    if fine.grad is not None:  # four of the fine cells lie in each coarse one
        expected = expected + 4 * avg_pool2d((fine.detach() * fine.grad).sum(1, keepdim=True), 2)
        evidence = 4 * avg_pool2d(evidence, 2)
    torch.testing.assert_close(evidence, expected, atol=1e-6, rtol=1e-4)


def test_randomised_weights_change_the_map(tmp_path: Path) -> None:
    """A map that stays shows edges, not reasons (Adebayo et al., NeurIPS 2018, arXiv:1810.03292)."""
    published = weights_dir()
    manifest = read_manifest(published)
    if "classifier" not in manifest.models:
        pytest.skip("the published weights hold no classifier yet")
    frame = next(iter(simulate(frames=1)))
    grey = np.ascontiguousarray(frame.image[..., 1])
    box = (0.25 * grey.shape[1], 0.25 * grey.shape[0], 0.6 * grey.shape[1], 0.7 * grey.shape[0])
    trained = classifier_heat_maps(published, manifest, ClassificationSettings())
    crop = trained.crop(grey, box)
    torch.manual_seed(1)
    architecture = manifest.models["classifier"].architecture
    digest = save_half(build_classifier(architecture).state_dict(), tmp_path / "classifier.safetensors")
    entry = manifest.models["classifier"].model_copy(update={"file": "classifier.safetensors", "sha256": digest})
    write_entry(tmp_path, "classifier", entry)
    randomised = classifier_heat_maps(tmp_path, read_manifest(tmp_path), ClassificationSettings())
    one, other = trained.of_crop(crop), randomised.of_crop(crop)
    assert one.max() == other.max() == 1
    assert spearmanr(one.ravel(), other.ravel()).statistic < 0.5


def test_the_published_files_give_the_map_that_torch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    published = weights_dir()
    manifest = read_manifest(published)
    if not manifest.one_encoder:
        pytest.skip("the published segmenter and classifier share no encoder")
    image = next(iter(simulate(frames=1))).image[:, :, 1]
    crops = [np.ascontiguousarray(image[y : y + 128, x : x + 128]) for y, x in ((100, 60), (100, 200), (60, 300))]
    heat_maps = classifier_heat_maps(published, manifest, ClassificationSettings())
    with monkeypatch.context() as patch:
        patch.setattr("streamer.models.explained.explain_with_torch", lambda *_: pytest.fail("the files do"))
        from_files = np.stack([heat_maps.of_crop(crop) for crop in crops])
    model = manifest.models["classifier"].model_copy(update={"fp32": None})
    other = manifest.models["segmenter"].model_copy(update={"fp32": None})
    without = manifest.model_copy(update={"models": {"segmenter": other, "classifier": model}})
    torch_maps = classifier_heat_maps(published, without, ClassificationSettings())
    with_torch = np.stack([torch_maps.of_crop(crop) for crop in crops])
    np.testing.assert_allclose(from_files, with_torch, atol=1e-3)
    assert np.ptp(from_files) == 1


def test_missing_classifier_is_one_clear_error(weights_folder: Path, tmp_path: Path) -> None:
    heat_maps = classifier_heat_maps(tmp_path, read_manifest(weights_folder), ClassificationSettings())
    with pytest.raises(WeightsError, match="cannot read the classifier's weights"):
        heat_maps(even(), BOX)


@pytest.mark.parametrize(("grey", "shown"), [(0.3, False), (90, True)])
def test_a_nodule_of_which_next_to_nothing_speaks_for_malignancy_has_no_map(grey: float, shown: bool) -> None:
    """The fake's evidence is a quarter of the brightness (0 to 1): 16 cells of it in the dark are less than 0.02."""
    heat_maps = quadrant_heat_maps()
    heat_maps._explain = lambda crop: np.full((8, 8), grey / 255 / 8, np.float32)
    assert (heat_maps(even(), BOX).max() == 1) == shown
    assert (heat_maps.of_crop(heat_maps.crop(even(), BOX)).max() == 1) == shown
