"""Calibration images: from the training split alone, as the network will see them."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.data.dataset import load_dataset
from streamer.data.pixels import Picture, load_pictures
from streamer.errors import DataError, SettingsError
from streamer.geometry import CropWindow, Letterbox
from streamer.models.detector import Detector
from streamer.models.weights_manifest import ModelEntry, Role
from streamer.quantisation.calibration import calibration
from streamer.settings import DetectionSettings
from tests.random_weights import entry
from tests.training.tiny import config, write_data

TRAINED_ON = 6


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), train=TRAINED_ON, val=4)


def trained(role: Role, **changes: object) -> ModelEntry:
    made = entry(role, "0" * 64)
    training = made.training.model_copy(update={"config": config(role, **changes).model_dump(mode="json")})
    return made.model_copy(update={"training": training})


def blind() -> Detector:
    """A detector that finds nothing."""
    return Detector(lambda grey: np.zeros((len(grey), 5, 1), np.float32), entry("detector", ""), DetectionSettings())


def grey(data: Path, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = cv2.imread(str(data.parent / f"{number}.png"), cv2.IMREAD_GRAYSCALE)
    assert pixels is not None
    return np.asarray(pixels, np.uint8)


def test_frames_are_letterboxed_as_in_use(data: Path) -> None:
    found = calibration("detector", trained("detector"), data, 100, blind())
    assert found.counts == {"tiny": TRAINED_ON}
    expected = [Letterbox((96, 72), (96, 64)).apply(grey(data, number)) for number in range(TRAINED_ON)]
    np.testing.assert_array_equal(found.images, expected)


def test_crops_are_cut_as_in_use(data: Path) -> None:
    made = trained("classifier", box_shift=0.0, box_stretch=1.0)
    found = calibration("classifier", made, data, 100, blind())
    boxes = [picture.boxes_xyxy[0] for picture in _pictures(data)]
    expected = [CropWindow.around(box, 0.25).crop(grey(data, number), 64) for number, box in enumerate(boxes)]
    np.testing.assert_array_equal(found.images, expected)


def test_crops_are_jittered_the_same_way_every_time(data: Path) -> None:
    made = [calibration("segmenter", trained("segmenter"), data, 100, blind()).images for _ in range(2)]
    still = calibration("segmenter", trained("segmenter", box_shift=0.0, box_stretch=1.0), data, 100, blind())
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.array_equal(made[0], still.images)


def test_few_are_spread_evenly(data: Path) -> None:
    found = calibration("detector", trained("detector"), data, 3, blind())
    chosen = [Letterbox((96, 72), (96, 64)).apply(grey(data, number)) for number in (0, 2, 5)]
    np.testing.assert_array_equal(found.images, chosen)


def test_data_of_another_source(data: Path) -> None:
    with pytest.raises(DataError, match="holds no training image of elsewhere"):
        calibration("detector", trained("detector", sources={"elsewhere": {}}), data, 3, blind())


def test_weights_of_unknown_training(data: Path) -> None:
    with pytest.raises(SettingsError, match="the detector's training in the manifest"):
        calibration("detector", entry("detector", "0" * 64), data, 3, blind())


def _pictures(data: Path) -> list[Picture]:
    return load_pictures(sample for sample in load_dataset(data).samples if sample.split == "train")
