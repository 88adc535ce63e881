import logging
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from streamer.errors import InputError
from streamer.sources import open_source
from streamer.types import Image
from tests.sources.media import FIELDS_RGB, field_colours, numbered_image, read_number


def _save(path: Path, image: PillowImage.Image, *, kind: str | None = None, orientation: int = 1) -> Path:
    exif = PillowImage.Exif()
    exif[274] = orientation
    image.save(path, kind, exif=exif) if orientation != 1 else image.save(path, kind)
    return path


def _numbered(number: int) -> PillowImage.Image:
    return PillowImage.fromarray(numbered_image(number))


def _only(path: Path) -> Image:
    with open_source(path) as source:
        (frame,) = source.frames()
        assert source.complete
        assert not source.warnings
        assert (source.info.fps, source.duration_s, source.expected_frames) == (1.0, 1.0, 1)
        assert (frame.index, frame.time_s, frame.video) == (0, 0.0, path.name)
        assert (source.info.height, source.info.width) == frame.image.shape[:2]
    return frame.image


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp", "webp"])
def test_a_still_is_known_by_content(tmp_path: Path, kind: str) -> None:
    image = _only(_save(tmp_path / "scan.mp4", _numbered(77), kind=kind))
    assert (image.shape, image.dtype.name) == ((64, 96, 3), "uint8")
    assert read_number(image) == 77
    np.testing.assert_allclose(field_colours(image), FIELDS_RGB, atol=12)


@pytest.mark.parametrize(("mode", "kind"), [("CMYK", "jpeg"), ("P", "png"), ("RGBA", "png"), ("CMYK", "tiff")])
def test_colour_models(tmp_path: Path, mode: str, kind: str) -> None:
    image = _only(_save(tmp_path / "a.png", _numbered(5).convert(mode), kind=kind))
    assert read_number(image) == 5
    np.testing.assert_allclose(field_colours(image), FIELDS_RGB, atol=25)


@pytest.mark.parametrize("mode", ["L", "1", "LA"])
def test_grey_models(tmp_path: Path, mode: str) -> None:
    image = _only(_save(tmp_path / "a.png", _numbered(5).convert(mode, dither=PillowImage.Dither.NONE)))
    assert image.shape == (64, 96, 3)
    assert read_number(image) == 5
    assert (image[..., 0] == image[..., 2]).all()


@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_sixteen_bits_keep_the_upper_eight(tmp_path: Path, kind: str) -> None:
    values = np.linspace(0, 65535, 256 * 4).reshape(4, 256).astype(np.uint16)
    image = _only(_save(tmp_path / "a.png", PillowImage.fromarray(values), kind=kind))
    np.testing.assert_array_equal(image[..., 1], values >> 8)


def test_transparent_parts_are_black(tmp_path: Path) -> None:
    pixels = np.full((4, 6, 4), 200, np.uint8)
    pixels[:, :3, 3], pixels[:, 3:, 3] = 255, 0
    image = _only(_save(tmp_path / "a.png", PillowImage.fromarray(pixels)))
    assert image[0, 0].tolist() == [200, 200, 200]
    assert image[0, 5].tolist() == [0, 0, 0]


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
def test_exif_orientation(tmp_path: Path, kind: str) -> None:
    image = _only(_save(tmp_path / "a.jpg", _numbered(9), kind=kind, orientation=6))
    assert image.shape == (96, 64, 3)
    assert read_number(np.rot90(image)) == 9


def test_one_pixel(tmp_path: Path) -> None:
    assert _only(_save(tmp_path / "a.png", PillowImage.new("RGB", (1, 1), (1, 2, 3)))).tolist() == [[[1, 2, 3]]]


@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "bmp", "webp"])
@pytest.mark.parametrize("keep", [0.02, 0.3, 0.8])
def test_damaged_stills_are_refused(tmp_path: Path, kind: str, keep: float, capfd: pytest.CaptureFixture[str]) -> None:
    path = _save(tmp_path / "a.jpg", _numbered(1).resize((300, 200)), kind=kind)
    data = path.read_bytes()
    path.write_bytes(data[: max(12, int(len(data) * keep))])
    with pytest.raises(InputError, match=r"^a\.jpg [^\n]+$"):
        open_source(path)
    assert capfd.readouterr() == ("", "")


def test_a_damaged_tiff_is_no_matter_for_the_log(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger(), "handlers", [])  # where nobody listens, errors go to standard error
    samples = struct.pack("<HHI", 277, 3, 1)  # SamplesPerPixel, a SHORT
    PillowImage.fromarray(numbered_image(1)).save(tmp_path / "a.tiff")
    data = (tmp_path / "a.tiff").read_bytes()
    (tmp_path / "a.tiff").write_bytes(data.replace(samples + b"\3\0", samples + struct.pack("<H", 2048)))
    with pytest.raises(InputError, match=r"a\.tiff"):
        open_source(tmp_path / "a.tiff")
    assert capfd.readouterr().err == ""


def test_floating_point_is_refused(tmp_path: Path) -> None:
    _save(tmp_path / "a.tif", PillowImage.fromarray(np.zeros((4, 4), np.float32)))
    with pytest.raises(InputError, match=r"a\.tif .*floating-point"):
        open_source(tmp_path / "a.tif")


def _folder(path: Path, numbers: list[int]) -> Path:
    path.mkdir()
    for number in numbers:
        _save(path / f"frame{number}.png", _numbered(number))
    return path


def test_folder_in_the_order_of_its_numbers(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "série 1", [10, 2, 1, 100])
    (folder / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
    (folder / "notes 3.txt").write_text("no still")
    (folder / "empty4.jpg").touch()
    (folder / "sub").mkdir()
    with open_source(folder) as source:
        frames = list(source.frames())
        assert (source.info.name, source.info.fps, source.expected_frames, source.complete) == (
            "série 1",
            30.0,
            4,
            True,
        )
        assert source.warnings == ("stills carry no times; 30 frames a second assumed",)
        assert source.duration_s == pytest.approx(4 / 30)
    assert [read_number(frame.image) for frame in frames] == [1, 2, 10, 100]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1 / 30, 2 / 30, 3 / 30])


def test_rate_of_a_folder_can_be_given(tmp_path: Path) -> None:
    with open_source(_folder(tmp_path / "a", [1, 2]), folder_fps=10) as source:
        assert [frame.time_s for frame in source.frames()] == [0, 0.1]
        assert source.duration_s == pytest.approx(0.2)


def test_damaged_still_in_a_folder_leaves_a_gap(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [1, 2, 3])
    (folder / "frame2.png").write_bytes((folder / "frame2.png").read_bytes()[:60])
    with open_source(folder) as source:
        frames = list(source.frames())
        assert not source.complete
        assert any("frame2.png" in line for line in source.warnings)
    assert [(read_number(frame.image), frame.index) for frame in frames] == [(1, 0), (3, 1)]
    assert frames[1].time_s == pytest.approx(2 / 30)


def test_size_change_within_a_folder(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [1])
    _save(folder / "frame2.png", _numbered(2).resize((48, 32)))
    with open_source(folder) as source:
        assert [frame.image.shape for frame in source.frames()] == [(64, 96, 3), (32, 48, 3)]
        assert "the frame size changes to 48x32 at frame 1" in source.warnings


def test_folder_of_damaged_stills_is_refused(tmp_path: Path) -> None:
    folder = _folder(tmp_path / "a", [1, 2])
    for path in folder.iterdir():
        path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(InputError, match="a: none of its 2 stills can be read"):
        open_source(folder)


@pytest.mark.parametrize("bits", [12, 14])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_few_of_sixteen_bits_are_pointed_out_once(tmp_path: Path, kind: str, bits: int) -> None:
    values = np.linspace(0, 2**bits - 1, 256 * 4).reshape(4, 256).astype(np.uint16)
    for number in range(3):
        _save(tmp_path / f"{number}.{kind}", PillowImage.fromarray(values))
    with open_source(tmp_path) as source:
        assert len(list(source.frames())) == 3
        (warning, _) = source.warnings
    assert warning == f"0.{kind} uses few of its 16 bits, and is dark; export it with 8 bits"


def test_sixteen_bits_that_count_from_white(tmp_path: Path) -> None:
    values = np.linspace(0, 65535, 256 * 4).reshape(4, 256).astype(np.uint16)
    PillowImage.fromarray(values).save(tmp_path / "a.tif", tiffinfo={262: 0})
    np.testing.assert_array_equal(_only(tmp_path / "a.tif")[..., 0], (65535 - values) >> 8)


def test_many_changes_of_size_are_one_warning(tmp_path: Path) -> None:
    for number in range(9):
        _save(tmp_path / f"{number}.png", PillowImage.fromarray(numbered_image(number, height=64 + number % 2)))
    with open_source(tmp_path) as source:
        list(source.frames())
        assert len(source.warnings) == 2
        assert source.warnings[-1] == "the frame size changes to 96x65 at frame 1, and 7 more times"
