"""What the documentation's tables rest on: an image's likeness, and the speed of a network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from streamer.benchmark.scintigraphy import measure
from streamer.data.grey import read_grey
from streamer.data.public_sources import load_public
from streamer.scintigraphy.phantom.likeness import Likeness, likeness
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


def test_the_table_of_real_views_in_the_documentation(data_dir: Path) -> None:
    page = (Path(__file__).resolve().parents[2] / "docs" / "scintigraphy.md").read_text(encoding="utf-8")
    groups: dict[str, list[Likeness]] = {}
    for view in load_public(data_dir, modality="scintigraphy"):
        assert view.gland_mask is not None
        name = view.image.stem.rsplit("-", 1)[0].replace("-", " ")
        groups.setdefault(name, []).append(likeness(read_grey(view.image), read_grey(view.gland_mask) > 0))
    for name, found in groups.items():
        shown = [f"| real, {name} | {len(found)} "]
        for trait, digits in (("width", 2), ("height", 2), ("contrast", 1), ("noise", 2), ("salivary", 1)):
            values = [getattr(one, trait) for one in found]
            low, high = min(values), max(values)
            shown.append(f"| {np.median(values):.{digits}f} ({low:.{digits}f} to {high:.{digits}f}) ")
        assert "".join(shown) in page


def test_speed_is_measured_from_files_to_probabilities(study_folder: Path, tmp_path: Path) -> None:
    images = sorted(study_folder.glob("*/*/*.jpg"))[:6]
    speed = measure(images, write_random_run(tmp_path / "run"), threads=1)
    assert (speed.images, speed.cores, speed.network) == (6, 1, "shufflenet-v2, 64 px")
    assert speed.total_s == pytest.approx(speed.load_s + speed.read_s + speed.predict_s)
    assert min(speed.load_s, speed.read_s, speed.predict_s, speed.cpu_s) > 0
