from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib import colormaps
from PIL import Image
from pydicom.data import get_testdata_file

from streamer.data.public_sources import load_public
from streamer.errors import DataError
from streamer.scintigraphy.colour_maps import COLOUR_MAPS, colour_table, grey_levels
from streamer.scintigraphy.image import SIMULATED_MARK, checked_pixels, normalised
from streamer.scintigraphy.nuclear_dicom import read_views
from streamer.scintigraphy.phantom import HOSPITALS, acquire, draw_subject
from streamer.scintigraphy.read import read_image
from tests.scintigraphy.study import detector, dicom_file, energy_window, frames


@pytest.fixture(scope="module")
def levels() -> np.ndarray:
    """A phantom's grey levels, with the noise of its counts, shape (256, 256)."""
    rng = np.random.default_rng(0)
    counts = acquire(draw_subject("normal", rng), HOSPITALS["west"], rng).counts
    return np.asarray(np.clip(counts * (255 / (0.8 * counts.max())), 0, 255), np.uint8)


def as_jpeg(rgb: np.ndarray, path: Path, quality: int = 88) -> Path:
    Image.fromarray(rgb).save(path, quality=quality)
    return path


@pytest.mark.parametrize("name", COLOUR_MAPS)
def test_a_known_colour_map_is_found_out_and_undone(name: str, levels: np.ndarray, tmp_path: Path) -> None:
    image = read_image(as_jpeg(colour_table(name)[levels], tmp_path / "a.jpg"))
    alike = np.corrcoef(image.pixels.ravel(), levels.ravel())[0, 1]
    assert alike > 0.9
    assert image.kind == "grey levels"


@pytest.mark.parametrize("name", ["viridis", "cool", "gist_rainbow", "gnuplot"])
def test_an_unknown_colour_map_is_refused_in_one_line(name: str, levels: np.ndarray, tmp_path: Path) -> None:
    rgb = (colormaps[name](levels)[..., :3] * 255).astype(np.uint8)
    with pytest.raises(DataError, match="map is not known"):
        read_image(as_jpeg(rgb, tmp_path / "a.jpg"))


def test_a_named_colour_map_goes_before_a_guess(levels: np.ndarray) -> None:
    grey = np.repeat(levels[..., None], 3, axis=2)
    assert (grey_levels(grey, "a", "inverse-grey")[0] == 255 - grey_levels(grey, "a", "grey")[0]).all()


def test_a_few_coloured_pixels_do_not_make_a_grey_picture_coloured(levels: np.ndarray, tmp_path: Path) -> None:
    rgb = np.repeat(levels[..., None], 3, axis=2)
    rgb[4:14, 4:60] = (255, 220, 0)  # a label
    assert read_image(as_jpeg(rgb, tmp_path / "a.jpg")).colour_map == "grey"


def test_the_mark_of_a_phantom_is_read_from_jpeg_and_png_and_is_gone_when_saved_again(
    levels: np.ndarray, tmp_path: Path
) -> None:
    from PIL.PngImagePlugin import PngInfo

    text = PngInfo()
    text.add_text("Comment", SIMULATED_MARK)
    Image.fromarray(levels).save(tmp_path / "a.png", pnginfo=text)
    Image.fromarray(levels).save(tmp_path / "a.jpg", comment=SIMULATED_MARK)
    with Image.open(tmp_path / "a.jpg") as picture:
        Image.fromarray(np.asarray(picture)).save(tmp_path / "again.jpg")
    assert read_image(tmp_path / "a.png").simulated
    assert read_image(tmp_path / "a.jpg").simulated
    assert not read_image(tmp_path / "again.jpg").simulated


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_sixteen_bits_are_refused(channels: int, tmp_path: Path) -> None:
    grey = np.arange(64 * 64, dtype=np.uint16).reshape(64, 64)
    cv2.imwrite(str(tmp_path / "a.png"), cv2.merge([grey] * channels))
    with pytest.raises(DataError, match="16 bits a pixel"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.full((64, 64), np.nan), "not finite"),
        (np.full((64, 64), -1.0), "negative counts"),
        (np.zeros((64, 64)), "no counts"),
        (np.ones((8, 8)), "its sides must be"),
        (np.ones((64, 64, 3)), "planar image is needed"),
    ],
)
def test_pixels_without_use_are_refused(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        checked_pixels(pixels, "a")


@pytest.mark.parametrize("content", [b"", b"no image", b"\xff\xd8\xff\xe0rubbish", b"\x00" * 128 + b"DICMrubbish"])
def test_rubbish_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.jpg"):
        read_image(tmp_path / "a.jpg")


def test_a_ct_is_refused() -> None:
    path = get_testdata_file("CT_small.dcm")
    with pytest.raises(DataError, match="modality CT, not of nuclear medicine"):
        read_image(Path(str(path)))


def test_counts_come_out_of_a_dicom_file_as_they_are(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).integers(0, 4000, (64, 96), np.uint16)
    image = read_image(dicom_file(tmp_path / "a.dcm", counts))
    assert (image.pixels == counts).all()
    assert (image.kind, image.pixel_mm) == ("counts", (2.0, 2.0))


def test_negative_counts_of_a_dicom_file_are_refused(tmp_path: Path) -> None:
    counts = np.full((64, 64), 65_500, np.uint16)
    counts[0, 0] = 3
    with pytest.raises(DataError, match="negative counts"):
        read_image(dicom_file(tmp_path / "a.dcm", counts, PixelRepresentation=1))


def test_an_image_of_zeros_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no counts"):
        read_image(dicom_file(tmp_path / "a.dcm", np.zeros((64, 64), np.uint16)))


def test_windows_and_detectors_are_kept_apart_and_the_anterior_technetium_view_is_chosen(tmp_path: Path) -> None:
    values = np.stack([np.full((64, 64), 10 * (number + 1), np.uint16) for number in range(4)])
    values[:, 0, 0] = 0
    path = frames(
        tmp_path / "a.dcm",
        values,
        EnergyWindowVector=[1, 1, 2, 2],
        DetectorVector=[1, 2, 1, 2],
        EnergyWindowInformationSequence=[energy_window(328, 400), energy_window(126, 154)],
        DetectorInformationSequence=[detector("Posterior"), detector("Anterior")],
    )
    views = [view.image for view in read_views(path.read_bytes(), str(path))]
    assert [(view.energy_window, view.detector, view.frame) for view in views] == [
        ("1", "1", 0), ("1", "2", 1), ("2", "1", 2), ("2", "2", 3),
    ]  # fmt: skip
    assert read_image(path).frame == 3
    assert read_image(path, frame=1).pixels.max() == 20
    with pytest.raises(DataError, match="no view begins at frame 9"):
        read_image(path, frame=9)


def test_a_dynamic_study_is_summed_over_time(tmp_path: Path) -> None:
    values = np.random.default_rng(0).integers(0, 9, (5, 64, 64), np.uint16)
    path = frames(
        tmp_path / "a.dcm",
        values,
        ImageType=["ORIGINAL", "PRIMARY", "DYNAMIC", "EMISSION"],
        EnergyWindowVector=[1] * 5,
        DetectorVector=[1] * 5,
    )
    assert (read_image(path).pixels == values.sum(axis=0)).all()


def test_a_whole_body_scan_is_read_but_not_classified(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm", ImageType=["ORIGINAL", "PRIMARY", "WHOLE BODY", "EMISSION"])
    assert len(read_views(path.read_bytes(), str(path))) == 1
    with pytest.raises(DataError, match="whole-body scan"):
        read_image(path)


def test_slices_are_refused(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm", ImageType=["DERIVED", "PRIMARY", "RECON TOMO", "EMISSION"])
    with pytest.raises(DataError, match="not a planar image"):
        read_image(path)


def test_a_missing_pixel_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"a\.dcm"):
        read_image(dicom_file(tmp_path / "a.dcm", PixelData=None))


def test_a_file_that_was_cut_short_is_told_from_one_that_needs_a_decoder(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm", np.ones((64, 64), np.uint16))
    path.write_bytes(path.read_bytes()[:-5000])
    with pytest.raises(DataError, match="cannot be decoded; the file is damaged or cut short"):
        read_image(path)


def test_a_file_without_a_modality_is_said_to_name_none(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="that names no modality"):
        read_image(dicom_file(tmp_path / "a.dcm", Modality=""))


def test_an_error_quotes_nothing_of_the_header(tmp_path: Path) -> None:
    path = dicom_file(tmp_path / "a.dcm", Modality="DOE^JANE", PatientName="DOE^JANE")
    with pytest.raises(DataError) as caught:
        read_image(path)
    assert "DOE" not in str(caught.value)


def test_a_picture_is_padded_to_a_square_and_white_at_its_brightest() -> None:
    pixels = np.zeros((64, 128), np.float32)
    pixels[20:40, 50:80] = 7.0
    picture = normalised(pixels, 64)
    assert picture.shape == (64, 64)
    assert picture[:15].max() == picture[-15:].max() == 0
    assert picture.max() == 255


def test_the_real_views_are_read(data_dir: Path) -> None:
    views = load_public(data_dir, modality="scintigraphy")
    assert len(views) == 9
    assert {(view.source, view.label, view.split) for view in views} == {("scintigraphy", None, "test")}
    for view in views:
        image = read_image(view.image)
        assert (image.colour_map, image.simulated, image.kind) == ("grey", False, "grey levels")
