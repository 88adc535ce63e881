from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from streamer.errors import DataError, OutputError
from streamer.scintigraphy.classes import CLASSES, Diagnosis
from streamer.scintigraphy.phantom import HOSPITALS, PhantomStudy, acquire, draw_subject, write_study
from streamer.scintigraphy.phantom import study as study_module
from streamer.scintigraphy.phantom.anatomy import Ellipsoid, project
from streamer.scintigraphy.read import read_image


def ratio(label: Diagnosis, seed: int) -> float:
    """Mean count in the true gland over that of the rest of the picture's lower middle."""
    rng = np.random.default_rng(seed)
    subject = draw_subject(label, rng)
    image = acquire(subject, HOSPITALS["north"], rng)
    gland = image.right | image.left
    around = np.zeros_like(gland)
    around[60:90, 40:88] = True
    return float(image.counts[gland].mean() / image.counts[around & ~gland].mean())


def test_graves_is_brighter_than_normal_and_normal_than_subacute() -> None:
    labels: tuple[Diagnosis, ...] = ("graves", "normal", "subacute")
    graves, normal, subacute = (np.median([ratio(name, seed) for seed in range(6)]) for name in labels)
    assert graves > 2 * normal
    assert normal > 1.3 * subacute


def test_counts_are_poisson_about_what_is_expected() -> None:
    subject = draw_subject("normal", np.random.default_rng(1))
    camera = replace(HOSPITALS["north"].camera, distance_mm=(80, 80))
    hospital = replace(HOSPITALS["north"], camera=camera, activity_mbq=(185, 185), counts=(200_000, 200_000))
    # The generator places and times the picture alike; only the counts differ.
    pictures = []
    for stream in range(24):
        fixed = _Fixed(np.random.default_rng(3), np.random.default_rng(1000 + stream))
        pictures.append(acquire(subject, hospital, fixed).counts.astype(float))  # type: ignore[arg-type]
    stack = np.stack(pictures)
    warm = stack.mean(axis=0) > 8
    fano = stack.var(axis=0, ddof=1)[warm] / stack.mean(axis=0)[warm]
    assert fano.mean() == pytest.approx(1.0, abs=0.04)
    assert stack.sum(axis=(1, 2)).mean() == pytest.approx(200_000, rel=0.005)


class _Fixed:
    """A generator whose placing is always the same and whose Poisson counts are not."""

    def __init__(self, placing: np.random.Generator, counting: np.random.Generator) -> None:
        self.normal, self.uniform, self.poisson = placing.normal, placing.uniform, counting.poisson


def test_a_parallel_hole_camera_blurs_more_the_farther_it_is() -> None:
    camera = HOSPITALS["north"].camera
    assert camera.fwhm_mm(100) == pytest.approx(7.5, abs=0.1)
    assert camera.fwhm_mm(40) < camera.fwhm_mm(100) < camera.fwhm_mm(160)


def test_a_pinhole_counts_less_at_the_rim_and_from_farther() -> None:
    camera = HOSPITALS["south"].camera
    x, y = np.array([[0.0, 80.0]], np.float32), np.zeros((1, 2), np.float32)
    centre, rim = camera.sensitivity(100, x, y)[0]
    assert rim / centre == pytest.approx((100 / np.hypot(100, 80)) ** 3, rel=1e-4)
    assert camera.sensitivity(200, x, y)[0, 0] == pytest.approx(centre / 4, rel=1e-4)


def test_all_of_the_uptake_is_in_the_projection() -> None:
    subject = draw_subject("graves", np.random.default_rng(0))
    steps = np.arange(-110, 110, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    thyroid = project(subject, x, y, 1.0).thyroid
    assert thyroid.sum() == pytest.approx(subject.uptake * np.exp(-0.012 * 20), rel=1e-3)


def test_an_ellipsoid_is_as_thick_as_its_depth_and_holds_its_volume() -> None:
    ball = Ellipsoid(x_mm=0, y_mm=0, half_width_mm=10, half_height_mm=10, half_depth_mm=7, tilt_degrees=30)
    steps = np.linspace(-12, 12, 241, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    thickness = ball.thickness_mm(x, y)
    assert thickness.max() == pytest.approx(14, abs=0.01)
    assert thickness.sum() * 0.1**2 / 1000 == pytest.approx(ball.volume_ml, rel=0.01)


def test_a_cold_nodule_takes_activity_away_and_a_hot_one_adds_it() -> None:
    steps = np.arange(-80, 80, dtype=np.float32)
    x, y = np.meshgrid(steps, steps)
    seen = set()
    for seed in range(12):
        subject = draw_subject("tumour", np.random.default_rng(seed))
        shares = []
        for one in (subject, replace(subject, nodules=())):
            truth = project(one, x, y, 1.0)
            lesion = project(subject, x, y, 1.0).lesion
            shares.append(float(truth.thyroid[lesion].sum() / truth.thyroid.sum()))
        assert (shares[0] > shares[1]) == (subject.variant == "hot"), (seed, subject.variant)
        seen.add(subject.variant == "hot")
    assert seen == {True, False}


def test_a_study_is_the_same_with_any_number_of_workers(tmp_path: Path) -> None:
    study = PhantomStudy(images={"north": 1}, seed=9)
    write_study(study, tmp_path / "one")
    write_study(study, tmp_path / "two", workers=2)
    files = sorted(path.relative_to(tmp_path / "one") for path in (tmp_path / "one").rglob("*") if path.is_file())
    assert len(files) == 9  # four images, four masks, the truth
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


@pytest.mark.parametrize("centre", list(HOSPITALS))
def test_both_formats_of_every_hospital_are_read_back_and_say_that_they_are_simulated(
    tmp_path: Path, centre: str
) -> None:
    write_study(PhantomStudy(images={centre: 1}, formats=("jpeg", "dicom")), tmp_path)
    for label in CLASSES:
        picture = read_image(next((tmp_path / "jpeg" / centre / label).iterdir()))
        counts = read_image(next((tmp_path / "dicom" / centre / label).iterdir()))
        assert picture.simulated
        assert counts.simulated
        assert (picture.kind, counts.kind) == ("grey levels", "counts")
        assert counts.pixel_mm == pytest.approx((HOSPITALS[centre].camera.pixel_mm,) * 2, rel=1e-4)
        side = counts.pixels.shape[0]
        shrunk = picture.pixels.reshape(side, picture.pixels.shape[0] // side, side, -1) if side == 128 else None
        if shrunk is not None:  # the export shows the counts
            assert np.corrcoef(shrunk.mean(axis=(1, 3)).ravel(), counts.pixels.ravel())[0, 1] > 0.95


def test_a_folder_that_holds_something_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(OutputError, match="is not an empty folder"):
        write_study(PhantomStudy(images={"north": 1}), tmp_path)


def test_a_study_that_was_stopped_leaves_nothing_and_can_be_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    wanted = PhantomStudy(images={"north": 1})
    with monkeypatch.context() as patched:
        patched.setattr(study_module, "_write_masks", stopped)
        with pytest.raises(KeyboardInterrupt):
            write_study(wanted, tmp_path / "study")
    assert list(tmp_path.iterdir()) == []
    assert write_study(wanted, tmp_path / "study") == 4


def test_an_unknown_centre_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no simulated centre 'moon'"):
        write_study(PhantomStudy(images={"moon": 1}), tmp_path)
