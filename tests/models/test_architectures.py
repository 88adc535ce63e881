"""The three architectures: sizes, the paper's head, preprocessing inside the graph."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.special import expit
from torch import nn

from streamer.geometry import CropWindow
from streamer.models.architectures import GreyInput, build_classifier, build_detector
from streamer.models.classifier import Classifier
from streamer.models.detector import Detector
from streamer.models.segmenter import Segmenter
from streamer.settings import ClassificationSettings, DetectionSettings
from tests.random_weights import entry


class _Echo(nn.Module):
    """Gives its input back, in a list as YOLO does."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))

    def forward(self, image: torch.Tensor) -> list[torch.Tensor]:
        return [image * self.weight, image]


def test_grey_bytes_become_three_normalised_channels() -> None:
    grey = torch.tensor([[[0, 255], [51, 102]]], dtype=torch.uint8)
    image = GreyInput(_Echo(), mean=0.2, std=0.4)(grey)
    assert image.shape == (1, 3, 2, 2)
    expected = (grey[0].float() / 255 - 0.2) / 0.4
    for channel in image[0]:
        torch.testing.assert_close(channel, expected)


def test_the_classifiers_head_is_the_papers() -> None:
    head = build_classifier().classifier
    assert isinstance(head, nn.Sequential)
    layers = list(head)
    assert [type(layer).__name__ for layer in layers] == ["Linear", "ReLU", "Dropout", "Linear"]
    assert [layers[0].in_features, layers[0].out_features, layers[3].out_features] == [1024, 256, 2]
    assert layers[2].p == 0.2


def test_building_a_detector_keeps_the_thread_count() -> None:
    before = torch.get_num_threads()
    detector = build_detector("yolov5n").eval()
    assert torch.get_num_threads() == before
    with torch.no_grad():
        output = GreyInput(detector, 0.0, 1.0)(torch.zeros((1, 64, 96), dtype=torch.uint8))
    assert output.shape == (1, 5, 96 * 64 * (1 / 64 + 1 / 256 + 1 / 1024))


def test_malignancy_is_calibrated_as_stored() -> None:
    model = entry("classifier", "0" * 64).model_copy(update={"temperature": 2.0, "offset": -0.5})
    logits = np.array([[1.0, 3.0], [200.0, -200.0]], np.float32)
    classifier = Classifier(lambda crops: logits[: len(crops)], model, ClassificationSettings(mirrored=False))
    assert classifier(np.zeros((2, 64, 64), np.uint8)) == pytest.approx([expit(0.5), expit(-200.5)])
    assert classifier(np.zeros((0, 64, 64), np.uint8)) == []


def test_a_nodule_is_classified_together_with_its_mirror_image() -> None:
    def left_half(grey: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        """Log-odds: how many pixels of the left half are bright."""
        bright = grey[:, :, :32].astype(bool).sum(axis=(1, 2)).astype(np.float32)
        return np.stack([np.zeros_like(bright), bright], axis=1)

    crops = np.zeros((2, 64, 64), np.uint8)
    crops[0, 0, :6] = crops[1, 0, -2:] = crops[1, 0, 0] = 255
    model = entry("classifier", "0" * 64).model_copy(update={"temperature": 2.0})
    once, twice = (Classifier(left_half, model, ClassificationSettings(mirrored=value)) for value in (False, True))
    assert once(crops) == pytest.approx([expit(3.0), expit(0.5)])
    assert twice(crops) == twice(crops[:, :, ::-1]) == pytest.approx([expit(1.5), expit(0.75)])
    assert twice(crops[:0]) == []


@pytest.mark.parametrize(("operating_point", "area"), [(0.2, 1000), (0.5, 600), (0.9, 200), (0.0, 4096), (1.0, 0)])
def test_the_segmenter_cuts_at_its_operating_point(operating_point: float, area: int) -> None:
    probability = np.full((64, 64), 0.1)
    probability[:20, :50] = 0.3
    probability[:20, :30] = 0.7
    probability[:20, :10] = 0.95
    logits = np.log(probability / (1 - probability)).astype(np.float32)[None, None]
    segmenter = Segmenter(
        lambda _: logits, entry("segmenter", "0" * 64).model_copy(update={"operating_point": operating_point})
    )
    (outline,) = segmenter(np.zeros((1, 64, 64), np.uint8), [CropWindow(0, 0, 64, 64)], [(640, 480)])
    assert outline.area_px == area


def test_the_detector_maps_back_and_drops_boxes_of_the_border() -> None:
    """A 100x300 frame on a 96x64 canvas: scaled to 21x64, drawn from x = 37."""
    output = np.array([[[47.5, 32, 21, 64, 0.9], [10, 32, 20, 20, 0.8]]], np.float32).transpose(0, 2, 1)
    detector = Detector(lambda _: output, entry("detector", "0" * 64), DetectionSettings())
    ((detection,),) = detector([np.zeros((300, 100), np.uint8)])
    assert detection.box_xyxy == pytest.approx((0, 0, 100, 300))
    assert detection.score == pytest.approx(0.9)


@pytest.mark.parametrize(("setting", "found"), [(None, 1), (0.55, 1), (0.65, 0)])
def test_the_detectors_own_operating_point_holds_unless_a_setting_replaces_it(
    setting: float | None, found: int
) -> None:
    output = np.array([[[48, 32, 20, 20, 0.6], [20, 32, 20, 20, 0.4]]], np.float32).transpose(0, 2, 1)
    own = entry("detector", "0" * 64)
    assert own.operating_point == 0.5
    detector = Detector(lambda _: output, own, DetectionSettings(confidence=setting))
    assert len(detector([np.zeros((64, 96), np.uint8)])[0]) == found
