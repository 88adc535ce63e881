"""Codecs, containers, times and orientation, on clips made here."""

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from av.stream import Disposition
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image as PillowImage

from streamer.sources import open_source
from tests.sources.media import FIELDS_RGB, field_colours, numbered_image, read_number, write_clip

_H264_B = {"bf": "3", "x264-params": "b-adapt=0:log-level=none"}


@pytest.mark.parametrize(
    ("file_name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx264", "yuv420p", {}),
        ("b_frames.mp4", "libx264", "yuv420p", _H264_B),
        ("a.mkv", "libx264", "yuv420p", {}),
        ("full_chroma.mp4", "libx264", "yuv444p", {}),
        ("ten_bit.mp4", "libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        ("a.h264", "libx264", "yuv420p", _H264_B),
        ("a.avi", "mpeg4", "yuv420p", {"bf": "2"}),
        ("a.mpeg", "mpeg1video", "yuv420p", {"bf": "2"}),
        ("a.ts", "mpeg2video", "yuv420p", {"bf": "2"}),
        ("a.m2v", "mpeg2video", "yuv420p", {}),
        ("vp8.webm", "libvpx", "yuv420p", {}),
        ("vp9.webm", "libvpx-vp9", "yuv420p", {}),
        ("a.mov", "mjpeg", "yuvj420p", {}),
        ("a.gif", "gif", "rgb8", {}),
        ("alpha.mov", "png", "rgba", {}),
        ("raw.avi", "rawvideo", "bgr24", {}),
        ("raw.mov", "rawvideo", "rgb24", {}),
        ("twelve_bit.mkv", "ffv1", "yuv444p12le", {}),
        ("sixteen_bit.mkv", "ffv1", "rgb48le", {}),
        ("a.wmv", "wmv2", "yuv420p", {}),
        ("a.flv", "flv", "yuv420p", {}),
        ("a.mxf", "mpeg2video", "yuv420p", {"bf": "2"}),
        ("b_frames.mxf", "libx264", "yuv420p", _H264_B),
    ],
)
def test_every_frame_once_in_order_and_in_colour(
    tmp_path: Path, file_name: str, codec: str, pix_fmt: str, options: dict[str, str]
) -> None:
    clip = write_clip(tmp_path / file_name, codec=codec, pix_fmt=pix_fmt, options=options)
    with open_source(clip) as source:
        frames = list(source.frames())
        assert (source.info.name, source.info.width, source.info.height, source.info.fps) == (file_name, 96, 64, 25)
        assert source.complete
        assert source.duration_s == pytest.approx(12 / 25, abs=1e-3)
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    assert [frame.index for frame in frames] == list(range(12))
    assert [frame.time_s for frame in frames] == pytest.approx([number / 25 for number in range(12)], abs=1e-3)
    assert {(frame.image.shape, frame.image.dtype.name, frame.video) for frame in frames} == {
        ((64, 96, 3), "uint8", file_name)
    }
    assert all(frame.decode_ms > 0 for frame in frames)
    tolerance = 40 if pix_fmt == "rgb8" else 12
    np.testing.assert_allclose(field_colours(frames[5].image), FIELDS_RGB, atol=tolerance)


@pytest.mark.parametrize("pix_fmt", ["gray", "gray10le", "gray12le", "gray16le"])
def test_grey_of_any_depth_keeps_its_values(tmp_path: Path, pix_fmt: str) -> None:
    clip = write_clip(tmp_path / "grey.mkv", codec="ffv1", pix_fmt=pix_fmt, frames=3)
    with open_source(clip) as source:
        images = [frame.image for frame in source.frames()]
    assert [read_number(image) for image in images] == [0, 1, 2]
    expected = cv2.cvtColor(numbered_image(2), cv2.COLOR_RGB2GRAY)
    for channel in range(3):
        np.testing.assert_allclose(images[2][..., channel].astype(int), expected, atol=2)


@pytest.mark.parametrize("size_wh", [(1, 1), (3, 5), (97, 63)])
@pytest.mark.parametrize(("file_name", "codec", "pix_fmt"), [("a.mp4", "libx264", "yuv444p"), ("a.gif", "gif", "rgb8")])
def test_odd_sizes(tmp_path: Path, size_wh: tuple[int, int], file_name: str, codec: str, pix_fmt: str) -> None:
    clip = write_clip(tmp_path / file_name, codec=codec, pix_fmt=pix_fmt, size_wh=size_wh, frames=3)
    with open_source(clip) as source:
        assert [frame.image.shape for frame in source.frames()] == [(size_wh[1], size_wh[0], 3)] * 3
        assert source.complete


def test_odd_size_with_halved_chroma(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "odd.mkv", codec="ffv1", pix_fmt="yuv420p", size_wh=(97, 63), frames=3)
    with open_source(clip) as source:
        frames = list(source.frames())
    assert [read_number(frame.image) for frame in frames] == [0, 1, 2]
    np.testing.assert_allclose(field_colours(frames[0].image), FIELDS_RGB, atol=6)


def test_8k_is_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "8k.mov", codec="mjpeg", pix_fmt="yuvj420p", size_wh=(7680, 4320), frames=1)
    with open_source(clip) as source:
        assert next(source.frames()).image.shape == (4320, 7680, 3)


@pytest.mark.parametrize("full_range", [False, True])
@pytest.mark.parametrize(
    ("space", "k_red", "k_blue"),
    [(Colorspace.ITU709, 0.2126, 0.0722), (Colorspace.ITU601, 0.299, 0.114), (Colorspace.BT2020, 0.2627, 0.0593)],
)
def test_stated_matrix_and_range_are_applied(
    tmp_path: Path, full_range: bool, space: Colorspace, k_red: float, k_blue: float
) -> None:
    planes = (120, 90, 170)
    colour_range = ColorRange.JPEG if full_range else ColorRange.MPEG
    picture = av.VideoFrame(64, 64, "yuv444p")
    for plane, value in zip(picture.planes, planes, strict=True):
        plane.update(bytes([value]) * plane.buffer_size)
    picture.color_range, picture.colorspace = colour_range, space
    with av.open(str(tmp_path / "c.mp4"), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv444p"
        stream.codec_context.color_range, stream.codec_context.colorspace = colour_range, space
        output.mux(stream.encode(picture))
        output.mux(stream.encode(None))

    # ITU-R BT.601, BT.709 and BT.2020 state the same equations with other coefficients.
    offset, y_scale, c_scale = (0, 255, 255) if full_range else (16, 219, 224)
    y, blue_difference, red_difference = (planes[0] - offset) / y_scale, *((c - 128) / c_scale for c in planes[1:])
    red = y + 2 * (1 - k_red) * red_difference
    blue = y + 2 * (1 - k_blue) * blue_difference
    green = (y - k_red * red - k_blue * blue) / (1 - k_red - k_blue)
    with open_source(tmp_path / "c.mp4") as source:
        pixel = next(source.frames()).image[32, 32]
    np.testing.assert_allclose(pixel.astype(int), [255 * red, 255 * green, 255 * blue], atol=2)


@pytest.mark.parametrize("file_name", ["vfr.mp4", "vfr.mkv"])
def test_variable_frame_rate_and_late_start(tmp_path: Path, file_name: str) -> None:
    ticks = [100, 140, 300, 310, 900, 1000]
    clip = write_clip(tmp_path / file_name, codec="libx264", frames=6, ticks=ticks)
    with open_source(clip) as source:
        frames = list(source.frames())
        assert source.complete
        assert source.duration_s > 0.9
        assert not source.warnings
    assert [frame.time_s for frame in frames] == pytest.approx([(tick - 100) / 1000 for tick in ticks], abs=1e-6)
    assert [read_number(frame.image) for frame in frames] == list(range(6))


def test_missing_timestamps_are_replaced_with_a_warning(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.h264", codec="libx264", frames=5)  # a bare stream has no timestamps
    with open_source(clip) as source:
        assert [frame.time_s for frame in source.frames()] == pytest.approx([0, 0.04, 0.08, 0.12, 0.16])
        assert source.warnings == ("5 timestamps missing or out of order; 25 frames a second assumed",)


@pytest.mark.parametrize(("degrees", "turns"), [(90, 1), (180, 2), (270, 3)])
def test_rotation_is_applied(tmp_path: Path, degrees: int, turns: int) -> None:
    clip = write_clip(tmp_path / "r.mp4", codec="libx264", pix_fmt="yuv444p", frames=2, rotation_deg=degrees)
    with open_source(clip) as source:
        upright = next(source.frames()).image
        assert (source.info.height, source.info.width) == upright.shape[:2]
    np.testing.assert_allclose(upright.astype(int), np.rot90(numbered_image(0), turns), atol=25)
    found, bgr = cv2.VideoCapture(str(clip)).read()  # an independent reader that turns the picture, too
    assert found
    np.testing.assert_allclose(upright.astype(int), bgr[..., ::-1], atol=3)


def test_mirrored_picture_is_restored(tmp_path: Path) -> None:
    clip = tmp_path / "m.mp4"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv444p"
        stream.set_display_rotation(0, hflip=True)
        mirrored = np.ascontiguousarray(numbered_image(5)[:, ::-1])
        output.mux(stream.encode(av.VideoFrame.from_ndarray(mirrored)))
        output.mux(stream.encode(None))
    with open_source(clip) as source:
        assert read_number(next(source.frames()).image) == 5


def _mux_jpeg(output: av.container.OutputContainer, stream: av.VideoStream, data: bytes, tick: int) -> None:
    packet = av.Packet(data)
    packet.stream = stream
    packet.pts = packet.dts = tick
    packet.duration, packet.time_base, packet.is_keyframe = 1, Fraction(1, 25), True
    output.mux(packet)


def _jpeg(path: Path, orientation: int) -> bytes:
    exif = PillowImage.Exif()
    exif[274] = orientation
    PillowImage.fromarray(numbered_image(5)).save(path, "JPEG", exif=exif, quality=95)
    return path.read_bytes()


def test_orientation_from_exif_inside_a_clip(tmp_path: Path) -> None:
    """FFmpeg then attaches side data that PyAV has no name for."""
    data = _jpeg(tmp_path / "turned.jpg", orientation=6)
    clip = tmp_path / "exif.mov"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("mjpeg", rate=25)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuvj420p"
        _mux_jpeg(output, stream, data, 0)
    with open_source(clip) as source:
        image = next(source.frames()).image
    np.testing.assert_allclose(image.astype(int), np.rot90(numbered_image(5), -1), atol=80)
    assert read_number(np.rot90(image)) == 5


def test_cover_picture_is_no_video(tmp_path: Path) -> None:
    clip = tmp_path / "cover.mp4"
    with av.open(str(clip), "w") as output:
        stream = output.add_stream("libx264", rate=25)
        stream.width, stream.height, stream.pix_fmt = 32, 32, "yuv420p"
        cover = output.add_stream("mjpeg", rate=25)
        cover.width, cover.height, cover.pix_fmt = 96, 64, "yuvj420p"
        cover.disposition = Disposition.attached_pic
        output.start_encoding()
        _mux_jpeg(output, cover, _jpeg(tmp_path / "cover.jpg", orientation=1), 0)
        for number in range(4):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(numbered_image(number, width=32, height=32))))
        output.mux(stream.encode(None))
    with open_source(clip) as source:
        assert source.info.width == 32
        assert len(list(source.frames())) == 4
        assert source.complete


def test_largest_of_several_streams(tmp_path: Path) -> None:
    clip = tmp_path / "two.mkv"
    with av.open(str(clip), "w") as output:
        streams = []
        for width, height in ((32, 32), (96, 64)):
            stream = output.add_stream("ffv1", rate=25)
            stream.width, stream.height, stream.pix_fmt = width, height, "bgr0"
            streams.append(stream)
        for number in range(3):
            for stream in streams:
                image = numbered_image(number, width=stream.width, height=stream.height)
                output.mux(stream.encode(av.VideoFrame.from_ndarray(image)))
        for stream in streams:
            output.mux(stream.encode(None))
    with open_source(clip) as source:
        frames = list(source.frames())
    assert [(frame.image.shape, read_number(frame.image)) for frame in frames] == [((64, 96, 3), n) for n in range(3)]


def test_size_change_is_delivered_with_a_warning(tmp_path: Path) -> None:
    small = write_clip(tmp_path / "s.h264", codec="libx264", frames=3)
    large = write_clip(tmp_path / "l.h264", codec="libx264", frames=2, size_wh=(160, 120))
    (tmp_path / "both.h264").write_bytes(small.read_bytes() + large.read_bytes())
    with open_source(tmp_path / "both.h264") as source:
        assert [frame.image.shape for frame in source.frames()] == [(64, 96, 3)] * 3 + [(120, 160, 3)] * 2
        assert (source.info.width, source.info.height) == (96, 64)
        assert "the frame size changes to 160x120 at frame 3" in source.warnings


def test_edit_list_is_no_truncation(tmp_path: Path) -> None:
    """Frames that an edit list hides are neither delivered nor missed."""
    clip = write_clip(tmp_path / "e.mp4", codec="libx264", frames=10, first_tick=-4)
    with open_source(clip) as source:
        numbers = [read_number(frame.image) for frame in source.frames()]
        assert source.complete
        assert source.expected_frames == len(numbers)
    assert numbers == list(range(4, 10))


def test_stated_pixel_aspect_gives_a_warning(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=2, pixel_aspect=Fraction(16, 15))
    with open_source(clip) as source:
        assert source.warnings == ("pixels are not square (aspect 16/15); shapes are measured in stored pixels",)


def test_frames_can_be_taken_once_and_end_with_the_source(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264")
    source = open_source(clip)
    frames = source.frames()
    kept = [next(frames), next(frames)]
    with pytest.raises(RuntimeError, match="once"):
        source.frames()
    source.close()
    source.close()
    assert list(frames) == []
    assert not source.complete
    assert [read_number(frame.image) for frame in kept] == [0, 1]  # pixels outlive the file


def test_display_name_can_be_given(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=1)
    with open_source(clip, name="left lobe") as source:
        assert source.info.name == "left lobe"
        assert next(source.frames()).video == "left lobe"


@pytest.mark.parametrize(("rotation_deg", "expected"), [(0, Fraction(16, 11)), (90, Fraction(11, 16))])
def test_shape_of_the_upright_pixels(tmp_path: Path, rotation_deg: int, expected: Fraction) -> None:
    clip = write_clip(
        tmp_path / "a.mp4", codec="libx264", frames=3, pixel_aspect=Fraction(16, 11), rotation_deg=rotation_deg
    )
    with open_source(clip) as source:
        assert source.info.pixel_aspect == expected


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
@pytest.mark.parametrize("count", [1, 2, 30])
def test_reordered_pictures_in_avi_are_evenly_spaced(tmp_path: Path, codec: str, count: int) -> None:
    clip = write_clip(tmp_path / "a.avi", codec=codec, frames=count, options={"bf": "2"})
    with open_source(clip) as source:
        frames = list(source.frames())
        assert source.warnings == ()
        assert source.duration_s == pytest.approx(count / 25)
    assert [read_number(frame.image) for frame in frames] == list(range(count))
    assert [frame.time_s for frame in frames] == pytest.approx([index / 25 for index in range(count)])


@pytest.mark.parametrize(
    ("pix_fmt", "bits", "used"),
    [("gray16le", 16, 12), ("gray16le", 16, 14), ("rgb48le", 16, 12), ("gray12le", 12, 8), ("gray12le", 12, 10)],
)
def test_values_at_the_low_end_of_their_range_are_pointed_out(
    tmp_path: Path, pix_fmt: str, bits: int, used: int
) -> None:
    values = np.linspace(0, 2**used - 1, 64 * 48).reshape(48, 64).astype(np.uint16)
    if pix_fmt == "rgb48le":
        values = np.repeat(values[..., None], 3, axis=2)
    with av.open(str(tmp_path / "a.mkv"), "w") as output:
        stream = output.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        for _ in range(3):
            output.mux(stream.encode(av.VideoFrame.from_ndarray(values, format=pix_fmt)))
        output.mux(stream.encode(None))
    with open_source(tmp_path / "a.mkv") as source:
        brightest = max(int(frame.image.max()) for frame in source.frames())
        assert brightest <= 2 ** (8 - bits + used)
        assert source.warnings == (f"the video uses few of its {bits} bits, and is dark; export it with 8 bits",)
