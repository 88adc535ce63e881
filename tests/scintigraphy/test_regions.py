from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from streamer.scintigraphy.classes import Diagnosis
from streamer.scintigraphy.image import PlanarImage
from streamer.scintigraphy.phantom import HOSPITALS, Acquisition, acquire, draw_subject
from streamer.scintigraphy.read import read_image
from streamer.scintigraphy.regions import RegionCounts, count_regions


def phantom(label: Diagnosis, seed: int, hospital: str = "north") -> tuple[Acquisition, PlanarImage]:
    rng = np.random.default_rng(seed)
    taken = acquire(draw_subject(label, rng), HOSPITALS[hospital], rng)
    spacing = (taken.pixel_mm, taken.pixel_mm)
    return taken, PlanarImage(pixels=taken.counts.astype(np.float32), kind="counts", pixel_mm=spacing)


def dice(found: RegionCounts, truth: np.ndarray) -> float:
    gland = found.right_mask | found.left_mask
    return float(2 * (gland & truth).sum() / (gland.sum() + truth.sum()))


@pytest.mark.parametrize("hospital", list(HOSPITALS))
@pytest.mark.parametrize("label", ["graves", "normal"])
def test_the_gland_of_a_phantom_is_outlined(label: Diagnosis, hospital: str) -> None:
    overlaps = []
    for seed in range(8):
        taken, image = phantom(label, seed, hospital)
        overlaps.append(dice(count_regions(image), taken.right | taken.left))
    assert np.median(overlaps) > 0.8


def test_the_lobes_hold_what_the_phantom_put_into_them() -> None:
    differences = []
    for seed in range(8):
        taken, image = phantom("graves", seed)
        found = count_regions(image)
        assert found.right_share is not None
        differences.append(found.right_share - taken.right_counts / (taken.right_counts + taken.left_counts))
    assert np.abs(differences).mean() < 0.04


def test_the_patients_right_is_on_the_images_left() -> None:
    _, image = phantom("normal", 3)
    found = count_regions(image)
    assert np.nonzero(found.right_mask)[1].mean() < np.nonzero(found.left_mask)[1].mean()


def test_totals_means_and_areas_belong_together() -> None:
    _, image = phantom("normal", 1)
    found = count_regions(image)
    assert found.right is not None
    assert found.right.total == pytest.approx(image.pixels[found.right_mask].sum())
    assert found.right.mean == pytest.approx(found.right.total / found.right.pixels)
    assert found.right.area_cm2 == pytest.approx(found.right.pixels * 0.04)
    assert found.unit == "counts"


def test_uptake_ratios_are_in_the_order_of_the_classes() -> None:
    labels: tuple[Diagnosis, ...] = ("graves", "normal")
    graves, normal = (
        np.median([count_regions(phantom(label, seed)[1]).uptake_ratio or 0 for seed in range(6)]) for label in labels
    )
    assert graves > 1.8 * normal > 3


def test_an_even_picture_has_no_gland() -> None:
    pixels = np.random.default_rng(0).poisson(20, (128, 128)).astype(np.float32)
    found = count_regions(PlanarImage(pixels=pixels, kind="counts"))
    assert found.right is None
    assert found.left is None
    assert found.uptake_ratio is None
    assert found.background.pixels > 0


def test_the_real_views(data_dir: Path) -> None:
    """Goitres are outlined where the given outline is; in thyroiditis no salivary gland is taken for the thyroid."""
    for path in sorted((data_dir / "scintigraphy").glob("*[0-9].png")):
        found = count_regions(read_image(path))
        if path.name.startswith("thyroiditis"):
            assert found.uptake_ratio is None, path.name
        else:
            truth = cv2.imread(str(path.with_name(path.stem + "-gland.png")), cv2.IMREAD_GRAYSCALE)
            assert truth is not None
            assert dice(found, truth > 0) > 0.5, path.name
            assert 0.2 < (found.right_share or 0) < 0.8, path.name
