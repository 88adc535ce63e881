"""What the documentation's tables rest on: an image's likeness, and the speed of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.benchmark.scintigraphy import measure
from streamer.scintigraphy.phantom.likeness import likeness
from tests.scintigraphy.random_run import write_random_run


def test_likeness_of_a_picture_of_known_size_contrast_and_noise() -> None:
    rng = np.random.default_rng(0)
    gland = np.zeros((256, 256), np.bool_)
    gland[120:184, 96:160] = True
    level = np.where(gland, 60.0, 10.0)
    level[40:60, 100:150] = 50.0  # salivary
    found = likeness(level + rng.normal(0, 3, level.shape), gland)
    assert (found.width, found.height) == (0.25, 0.25)
    assert found.contrast == pytest.approx(6, rel=0.02)
    assert found.noise == pytest.approx(3 / 60, rel=0.05)  # smoothing over 2 px takes little of white noise away
    assert found.salivary == pytest.approx(5, rel=0.15)


def test_speed_is_measured_from_files_to_probabilities(study_folder: Path, tmp_path: Path) -> None:
    images = sorted(study_folder.glob("*/*/*.jpg"))[:6]
    speed = measure(images, write_random_run(tmp_path / "run"), threads=1)
    assert (speed.images, speed.cores, speed.network) == (6, 1, "shufflenet-v2, 64 px")
    assert speed.total_s == pytest.approx(speed.load_s + speed.read_s + speed.predict_s)
    assert min(speed.load_s, speed.read_s, speed.predict_s, speed.cpu_s) > 0
