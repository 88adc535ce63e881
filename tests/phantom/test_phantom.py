"""The simulated cine: its statistics, its ground truth and its file."""

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import numpy.typing as npt
import pytest
from scipy import ndimage, stats

from streamer.errors import OutputError
from streamer.phantom import BENIGN, SUSPICIOUS, PhantomFrame, Scanner, random_scene, simulate, write_clip
from streamer.phantom.speckle import ScattererVolume, blur, envelope, power_after_blur

_RAYLEIGH_SNR = np.sqrt(np.pi / (4 - np.pi))


@pytest.fixture(scope="module")
def sweep() -> list[PhantomFrame]:
    return list(simulate(seed=3, frames=13, width=320, height=240))


def _area(frame: PhantomFrame, name: str) -> int:
    return int(frame.masks[name].sum()) if name in frame.masks else 0


def test_homogeneous_speckle_is_rayleigh() -> None:
    field = blur(ScattererVolume(5, (500, 500)).plane(0.3), 1.0, 1.3)
    # Every eighth sample: about independent, as the Kolmogorov-Smirnov distance expects.
    amplitude = envelope(field)[20:-20:8, 20:-20:8].ravel()
    snr = amplitude.mean() / amplitude.std()
    assert snr == pytest.approx(_RAYLEIGH_SNR, rel=0.05)
    power = float((amplitude**2).mean())
    assert power == pytest.approx(power_after_blur(1.0, 1.0) * power_after_blur(1.3, 1.0), rel=0.05)
    scale = np.sqrt((amplitude.astype(np.float64) ** 2).mean() / 2)
    assert stats.kstest(amplitude, stats.rayleigh(scale=scale).cdf).statistic < 0.03


def test_speckle_keeps_its_power_and_decorrelates_across_the_plane() -> None:
    volume = ScattererVolume(5, (200, 200))
    here, near, far = (volume.plane(elevation) for elevation in (0.0, 0.25, 9.0))
    assert (here**2).sum(axis=2).mean() == pytest.approx((near**2).sum(axis=2).mean(), rel=0.05)
    assert np.corrcoef(here.ravel(), near.ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(here.ravel(), far.ravel())[0, 1]) < 0.1


def test_same_seed_same_frames_and_another_seed_another_clip() -> None:
    def first(seed: int) -> npt.NDArray[np.uint8]:
        return next(simulate(seed=seed, frames=4, width=160, height=120)).image

    assert np.array_equal(first(1), first(1))
    assert not np.array_equal(first(1), first(2))


def test_frames_are_grey_rgb_with_a_black_border(sweep: list[PhantomFrame]) -> None:
    for frame in sweep:
        assert frame.image.shape == (240, 320, 3)
        assert frame.image.dtype == np.uint8
        assert (frame.image == frame.image[..., :1]).all()
        assert not frame.image[-8:, 20:-20].any()
        assert frame.image[60:120, 100:220].mean() > 40


def test_nodules_come_grow_and_leave(sweep: list[PhantomFrame]) -> None:
    for spec in (BENIGN, SUSPICIOUS):
        areas = np.array([_area(frame, spec.name) for frame in sweep])
        moments = np.linspace(0, 1, len(sweep))
        offset = (moments - spec.position) / spec.half_span
        assert not areas[np.abs(offset) >= 1].any()
        expected = np.clip(1 - offset**2, 0, None)
        # The tissue bends a little during the sweep, hence the margin.
        assert areas / areas.max() == pytest.approx(expected / expected.max(), abs=0.12)


def test_masks_lie_in_the_field_of_view_and_boxes_hold_them() -> None:
    wide = Scanner(spread=0.5, depth_mm=30)
    empty = np.zeros((240, 320), bool)
    for frame in simulate(frames=5, width=320, height=240, scanner=wide):
        scan = ndimage.binary_closing(frame.image[..., 0] > 6, iterations=4)
        for name, mask in frame.masks.items():
            assert mask.dtype == bool
            assert mask.any()
            assert (mask & ~scan).sum() == 0
            x0, y0, x1, y1 = frame.box_xyxy(name)
            box = empty.copy()
            box[y0:y1, x0:x1] = True
            assert not (mask & ~box).any()
            assert mask[y0].any()
            assert mask[y1 - 1].any()
            assert mask[:, x0].any()
            assert mask[:, x1 - 1].any()


def test_suspicious_nodule_has_the_specified_contrast_and_shape() -> None:
    scanner = Scanner(attenuation_db_per_cm=0.0)
    spec = replace(SUSPICIOUS, position=0.5)
    contrasts_db = []
    for seed in range(4):
        frame = list(simulate(seed=seed, frames=3, nodules=(spec,), scanner=scanner))[1]
        mask, box = frame.masks[spec.name], frame.box_xyxy(spec.name)
        assert box[3] - box[1] > box[2] - box[0]
        core = ndimage.binary_erosion(mask, iterations=8)
        gland = ndimage.binary_dilation(mask, iterations=22) & ~ndimage.binary_dilation(mask, iterations=10)
        # Without the tissue behind the nodule, which lies in its faint shadow.
        gland[box[3] :] = False
        grey = frame.image[..., 0].astype(float)
        assert grey[mask].max() > np.median(grey[gland]) + 25  # a calcification
        # Medians: calcifications are few and bright.
        contrasts_db.append((np.median(grey[core]) - np.median(grey[gland])) * scanner.dynamic_range_db / 255)
    # Uneven texture and probe contact, about 1 dB each, average out over seeds.
    assert np.mean(contrasts_db) == pytest.approx(spec.echogenicity_db, abs=1.5)


def test_neighbouring_frames_are_correlated_but_differ() -> None:
    first, second = (frame.image[..., 0] for frame in islice(simulate(frames=90, width=320, height=240), 2))
    assert 0.97 < np.corrcoef(first.ravel(), second.ravel())[0, 1] < 0.9999


def test_random_scenes_vary_and_repeat() -> None:
    scenes = [random_scene(seed) for seed in range(40)]
    assert {len(scene.nodules) for scene in scenes} == {0, 1, 2, 3}
    assert {scene.scanner.spread > 0 for scene in scenes} == {True, False}
    assert scenes[7] == random_scene(7) != scenes[8]


def test_random_scenes_show_their_nodules() -> None:
    for seed in range(4):
        scene = random_scene(seed)
        given = {"nodules": scene.nodules, "neck": scene.neck, "scanner": scene.scanner}
        frames = simulate(seed=seed, frames=9, width=192, height=160, **given)  # type: ignore[arg-type]
        assert {name for frame in frames for name in frame.masks} == {spec.name for spec in scene.nodules}


@pytest.mark.parametrize("arguments", [{"frames": 0}, {"width": 10}, {"seed": -1}, {"nodules": (BENIGN, BENIGN)}])
def test_bad_arguments_are_refused_at_once(arguments: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"expected|unique"):
        simulate(**arguments)  # type: ignore[arg-type]


def test_clip_round_trip(tmp_path: Path, sweep: list[PhantomFrame]) -> None:
    path = tmp_path / "phantom.mp4"
    write_clip(path, sweep, fps=25)
    assert [item.name for item in tmp_path.iterdir()] == ["phantom.mp4"]
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.pix_fmt == "yuv420p"
        assert stream.average_rate == Fraction(25)
        decoded = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(decoded) == len(sweep)
    for image, frame in zip(decoded, sweep, strict=True):
        # Lossy: speckle is hard to code.
        assert np.abs(image.astype(int) - frame.image).mean() < 5


def test_clip_is_not_written_in_part(tmp_path: Path, sweep: list[PhantomFrame]) -> None:
    def broken() -> Iterator[PhantomFrame]:
        yield from sweep[:3]
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        write_clip(tmp_path / "a.mp4", broken())
    with pytest.raises(OutputError, match="no frame"):
        write_clip(tmp_path / "b.mp4", [])
    with pytest.raises(OutputError, match="cannot write"):
        write_clip(tmp_path / "absent" / "c.mp4", sweep)
    assert not list(tmp_path.iterdir())
