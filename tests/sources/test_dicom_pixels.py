"""Every transfer syntax and colour against what was encoded, and real files against their reference pixels."""

import io
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.pixels.encoders.base import RLELosslessEncoder
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array

from streamer.sources.dicom import DicomFile
from streamer.types import Image
from tests.dicom_files import PREFIX, cine_dataset, deflate, frame_images, jpeg, real_file, write_dicom


def _read(path: Path) -> list[Image]:
    with DicomFile(path, name="cine") as source:
        images = [frame.image for frame in source.frames()]
        assert source.complete, source.warnings
        return images


def _worst(images: Sequence[Image], expected: Sequence[Image]) -> int:
    assert len(images) == len(expected)
    return max(int(np.abs(a.astype(int) - b).max()) for a, b in zip(images, expected, strict=True))


def _jpeg_2000(image: Image) -> bytes:
    return bytes(imagecodecs.jpeg2k_encode(image, codecformat="j2k", reversible=True, mct=True))


def _rle(image: Image) -> bytes:
    rows, columns = image.shape[:2]
    return RLELosslessEncoder.encode(
        image,
        rows=rows,
        columns=columns,
        samples_per_pixel=3,
        planar_configuration=0,
        photometric_interpretation="RGB",
        bits_allocated=8,
        bits_stored=8,
        pixel_representation=0,
        number_of_frames=1,
    )


def _jpeg_in_rgb(image: Image) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(image, level=95, colorspace="RGB", outcolorspace="RGB", subsampling="444"))


def _progressive(image: Image) -> bytes:
    flags = (cv2.IMWRITE_JPEG_PROGRESSIVE, 1, cv2.IMWRITE_JPEG_QUALITY, 95)
    return bytes(cv2.imencode(".jpg", image[..., ::-1], flags)[1])


@pytest.mark.parametrize(
    ("syntax", "photometric", "encode", "loss"),
    [
        ("5", "RGB", _rle, 0),
        ("4.50", "YBR_FULL_422", jpeg, 12),
        ("4.50", "RGB", jpeg, 12),  # a JFIF stream is Y'CbCr, whatever the header says
        ("4.50", "RGB", _jpeg_in_rgb, 12),
        ("4.55", "YBR_FULL_422", _progressive, 12),
        ("4.70", "RGB", lambda image: bytes(imagecodecs.ljpeg_encode(image[..., 0])), 0),
        ("4.80", "RGB", lambda image: bytes(imagecodecs.jpegls_encode(image)), 0),
        ("4.81", "RGB", lambda image: bytes(imagecodecs.jpegls_encode(image, level=2)), 2),
        ("4.90", "YBR_RCT", _jpeg_2000, 0),
        ("4.91", "YBR_ICT", lambda image: bytes(imagecodecs.jpeg2k_encode(image, level=50, codecformat="j2k")), 6),
        ("4.201", "YBR_RCT", lambda image: bytes(imagecodecs.htj2k_encode(image)), 0),
        ("4.110", "RGB", lambda image: bytes(imagecodecs.jpegxl_encode(image, lossless=True)), 0),
        ("4.112", "RGB", lambda image: bytes(imagecodecs.jpegxl_encode(image, level=95)), 12),
    ],
)
def test_every_encapsulated_syntax_gives_back_what_was_encoded(
    tmp_path: Path, syntax: str, photometric: str, encode: Callable[[Image], bytes], loss: int
) -> None:
    images = frame_images()
    data = cine_dataset()
    if syntax == "4.70":  # this encoder is for grey
        images = [np.repeat(image[..., :1], 3, axis=2) for image in images]
        data = cine_dataset(samples=1)
        photometric = "MONOCHROME2"
    data.PhotometricInterpretation = photometric
    path = write_dicom(tmp_path / "cine", data, [encode(image) for image in images], syntax=PREFIX + syntax)
    assert _worst(_read(path), images) <= loss


@pytest.mark.parametrize("syntax", ["", "1", "2"])
def test_native_pixels_either_byte_order(tmp_path: Path, syntax: str) -> None:
    uid = PREFIX + syntax if syntax else PREFIX[:-1]
    images = frame_images()
    raw = np.stack(images).tobytes()
    assert _worst(_read(write_dicom(tmp_path / "cine", cine_dataset(), raw, syntax=uid)), images) == 0


def test_a_deflated_file_is_read_as_any_other(tmp_path: Path) -> None:
    images = frame_images()
    plain = write_dicom(tmp_path / "plain", cine_dataset(), np.stack(images).tobytes()).read_bytes()
    meta_end = 144 + int.from_bytes(plain[140:144], "little")
    meta = plain[:meta_end].replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.1.99")
    grown = len(meta) - meta_end
    for offset, size in ((140, 4), (plain.index(b"1.2.840.10008.1.2.1\0") - 2, 2)):
        length = int.from_bytes(meta[offset : offset + size], "little") + grown
        meta = meta[:offset] + length.to_bytes(size, "little") + meta[offset + size :]
    path = tmp_path / "deflated"
    path.write_bytes(meta + deflate(plain[meta_end:]))
    assert _worst(_read(path), images) == 0


def _ybr(images: Sequence[Image]) -> list[Image]:
    matrix = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    return [(image @ matrix.T + [0, 128, 128]).round().clip(0, 255).astype(np.uint8) for image in images]


def _planar(images: Sequence[Image]) -> bytes:
    return np.stack(images).transpose(0, 3, 1, 2).tobytes()


def _halved(images: Sequence[Image]) -> bytes:
    y, colour = np.stack(images)[..., 0], np.stack(images)[..., 1:]
    pairs = np.concatenate([y[..., 0::2, None], y[..., 1::2, None], colour[..., 0::2, :]], axis=-1)
    return pairs.astype(np.uint8).tobytes()


@pytest.mark.parametrize(
    ("photometric", "planar", "pack", "loss"),
    [
        ("RGB", 1, _planar, 0),
        ("YBR_FULL", 0, lambda images: np.stack(_ybr(images)).tobytes(), 3),
        ("YBR_FULL", 1, lambda images: _planar(_ybr(images)), 3),
        ("YBR_FULL_422", 0, lambda images: _halved(_ybr(images)), 6),
        ("YBR_FULL_422", 0, lambda images: np.stack(_ybr(images)).tobytes(), 3),  # not halved, whatever it says
    ],
)
def test_native_colours(
    tmp_path: Path, photometric: str, planar: int, pack: Callable[[Sequence[Image]], bytes], loss: int
) -> None:
    data, images = cine_dataset(), frame_images()
    data.PhotometricInterpretation, data.PlanarConfiguration = photometric, planar
    assert _worst(_read(write_dicom(tmp_path / "cine", data, pack(images))), images) <= loss


def test_monochrome_1_is_turned_over_and_more_bits_are_windowed(tmp_path: Path) -> None:
    ramp = np.linspace(0, 4095, 48 * 64).reshape(48, 64).astype("<u2")
    data = cine_dataset(1, samples=1)
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    upper = _read(write_dicom(tmp_path / "a", data, ramp.tobytes()))[0][..., 0]
    assert np.array_equal(upper, ramp >> 4)
    data.WindowCenter, data.WindowWidth = 1024, 512
    windowed = _read(write_dicom(tmp_path / "b", data, ramp.tobytes()))[0][..., 0]
    assert windowed[ramp < 768].max() == 0
    assert windowed[ramp > 1280].min() == 255
    data.PhotometricInterpretation = "MONOCHROME1"
    assert np.array_equal(_read(write_dicom(tmp_path / "c", data, ramp.tobytes()))[0][..., 0], 255 - windowed)


@pytest.mark.parametrize("bits", [8, 16])
def test_a_palette_of_8_or_16_bits_gives_colour(tmp_path: Path, bits: int) -> None:
    data, index = cine_dataset(1, samples=1), (np.arange(48 * 64) % 256).reshape(48, 64).astype(np.uint8)
    data.PhotometricInterpretation = "PALETTE COLOR"
    ramps = {"Red": np.arange(256), "Green": 255 - np.arange(256), "Blue": np.full(256, 7)}
    for colour, ramp in ramps.items():
        setattr(data, f"{colour}PaletteColorLookupTableDescriptor", [256, 0, bits])
        table = ramp.astype(np.uint8) if bits == 8 else (ramp * 257).astype("<u2")
        setattr(data, f"{colour}PaletteColorLookupTableData", table.tobytes())
        data[f"{colour}PaletteColorLookupTableData"].VR = "OW"
    image = _read(write_dicom(tmp_path / "cine", data, index.tobytes()))[0]
    assert np.array_equal(image, np.stack([index, 255 - index, np.full_like(index, 7)], axis=2))


def test_fragments_of_one_frame_are_joined_whatever_the_offset_table_says(tmp_path: Path) -> None:
    images = frame_images()
    parts = [part for image in images for part in _in_two(jpeg(image))]
    data = cine_dataset()
    data.PhotometricInterpretation = "YBR_FULL_422"
    for table in (True, False):
        path = write_dicom(tmp_path / f"{table}", data, parts, syntax=PREFIX + "4.50", table=table)
        assert _worst(_read(path), images) <= 12


def _in_two(frame: bytes) -> tuple[bytes, bytes]:
    half = len(frame) // 4 * 2
    return frame[:half], frame[half:]


@pytest.mark.parametrize(
    ("syntax", "codec", "container"),
    [
        ("4.100", "mpeg2video", "mpeg"),
        ("4.100", "mpeg2video", "mpeg2video"),
        ("4.102", "libx264", "mp4"),
        ("4.102", "libx264", "mpegts"),
        ("4.103", "libx264", "h264"),
        ("4.107", "libx265", "mp4"),
    ],
)
def test_a_video_is_decoded_from_its_fragments(tmp_path: Path, syntax: str, codec: str, container: str) -> None:
    images = frame_images(10, rows=128, columns=160)
    buffer = io.BytesIO()
    with av.open(buffer, "w", format=container) as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt = 160, 128, "yuv420p"
        stream.options = {"x265-params": "log-level=none"} if codec == "libx265" else {"qscale": "2"}
        stream.bit_rate = 2_000_000
        for image in images:
            output.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        output.mux(stream.encode())
    video = buffer.getvalue()
    data = cine_dataset(10, rows=128, columns=160)
    data.PhotometricInterpretation = "YBR_PARTIAL_420"
    path = write_dicom(tmp_path / "cine", data, _in_two(video), syntax=PREFIX + syntax)
    with DicomFile(path, name="cine") as source:
        frames = list(source.frames())
        assert source.complete, source.warnings
    differences = [np.abs(frame.image.astype(int) - image).mean() for frame, image in zip(frames, images, strict=True)]
    assert max(differences) < 8
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(10)])


_REFERENCE = [
    "examples_jpeg2k.dcm",
    "examples_palette.dcm",
    "examples_rgb_color.dcm",
    "examples_ybr_color.dcm",
    "US1_J2KI.dcm",
    "color3d_jpeg_baseline.dcm",
    "OBXXXX1A_rle_2frame.dcm",
    "gdcm-US-ALOKA-16.dcm",
    "color-pl.dcm",
    "SC_rgb_small_odd.dcm",
    "SC_rgb_dcmtk_+eb+cr.dcm",
    "SC_rgb_dcmtk_+eb+cy+s4.dcm",
    "SC_ybr_full_422_uncompressed.dcm",
    "SC_rgb_jls_lossy_sample.dcm",
    "GREYSCALE_IMAGE.dcm",
    "RGB_IMAGE.dcm",
]


@pytest.mark.parametrize("name", _REFERENCE)
def test_real_files_have_the_pixels_that_pydicom_gives(name: str) -> None:
    _compare(real_file(name))


@pytest.mark.parametrize(
    "name",
    [
        "mf_acme_echo_palette_jpegls_10f.dcm",
        "sf_acuson_sequoia_THYROID_ybrfull_rle.dcm",
        "sf_esaote6100_ybr422_raw.dcm",
        "sf_ge_logiq700_rgb_bigendian.dcm",
    ],
)
def test_real_ultrasound_has_the_pixels_that_pydicom_gives(data_dir: Path, name: str) -> None:
    _compare(data_dir / "dicom" / name)


def test_a_real_jpeg_xl_cine_holds_the_jpeg_that_it_was_made_from(data_dir: Path) -> None:
    """The stream is a packed JPEG: decoded as such it has the same pixels but for the rounding of the colours."""
    path = data_dir / "dicom" / "mf_ge_vividE95_jpegxl_27f.dcm"
    data = pydicom.dcmread(path)
    frames = list(pydicom.encaps.generate_frames(data.PixelData, number_of_frames=27))
    images = _read(path)
    assert len(images) == 27
    for index in (0, 26):
        direct = np.asarray(imagecodecs.jpegxl_decode(frames[index]))
        assert np.abs(direct.astype(int) - images[index]).max() <= 1


def _compare(path: Path) -> None:
    data: Dataset = pydicom.dcmread(path)
    images = _read(path)
    for index in {0, len(images) - 1}:
        if data.PhotometricInterpretation == "PALETTE COLOR":
            reference = apply_color_lut(pixel_array(data, index=index), data)
            reference = reference if reference.dtype == np.uint8 else reference >> 8
        else:
            reference = pixel_array(path, index=index)
        if reference.ndim == 2:
            reference = np.repeat(reference[..., None], 3, axis=2)
        assert np.abs(reference.astype(int) - images[index]).max() <= 1


def test_big_endian_words_of_bytes_are_turned_round() -> None:
    little, big = _read(real_file("OBXXXX1A_2frame.dcm")), _read(real_file("OBXXXX1A_expb_2frame.dcm"))
    assert _worst(big, little) == 0
    odd = _read(real_file("SC_rgb_small_odd_big_endian.dcm"))
    assert _worst(odd, _read(real_file("SC_rgb_small_odd.dcm"))) == 0
