"""Clips that break off or are damaged inside: what can be decoded is delivered, and the source says so."""

from pathlib import Path

import pytest

from streamer.errors import InputError
from streamer.sources import open_source
from streamer.types import Frame
from tests.sources.media import read_number, write_clip

_FRAMES = 40
_INDEX_FIRST = {"movflags": "faststart"}
_FRAGMENTS = {"movflags": "frag_keyframe+empty_moov"}


def _read(path: Path) -> tuple[list[Frame], bool, tuple[str, ...]]:
    with open_source(path) as source:
        frames = list(source.frames())
        return frames, source.complete, source.warnings


@pytest.mark.parametrize(
    ("file_name", "codec", "pix_fmt", "options", "container_options"),
    [
        ("a.mp4", "libx264", "yuv420p", {"g": "10", "bf": "2"}, _INDEX_FIRST),
        ("fragmented.mp4", "libx264", "yuv420p", {"g": "10"}, _FRAGMENTS),
        ("a.mov", "mjpeg", "yuvj420p", {}, _INDEX_FIRST),
        ("a.mkv", "libx264", "yuv420p", {"g": "10"}, {}),
        ("a.webm", "libvpx-vp9", "yuv420p", {}, {}),
        ("a.avi", "mpeg4", "yuv420p", {"bf": "2"}, {}),
        ("raw.avi", "rawvideo", "bgr24", {}, {}),
        ("a.mpeg", "mpeg1video", "yuv420p", {}, {}),
        ("a.ts", "mpeg2video", "yuv420p", {}, {}),
        ("a.gif", "gif", "rgb8", {}, {}),
        ("a.wmv", "wmv2", "yuv420p", {"g": "10"}, {}),
        ("a.flv", "flv", "yuv420p", {"g": "10"}, {}),
        ("a.mxf", "mpeg2video", "yuv420p", {}, {}),
    ],
)
def test_cut_clip(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    file_name: str,
    codec: str,
    pix_fmt: str,
    options: dict[str, str],
    container_options: dict[str, str],
) -> None:
    clip = write_clip(
        tmp_path / file_name,
        codec=codec,
        pix_fmt=pix_fmt,
        frames=_FRAMES,
        options=options,
        container_options=container_options,
    )
    whole = _read(clip)
    assert (len(whole[0]), whole[1], whole[2]) == (_FRAMES, True, ())

    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 7 // 10 + 1])
    frames, complete, warnings = _read(clip)
    assert 0 < len(frames) < _FRAMES
    assert not complete
    assert warnings
    assert all("\n" not in line for line in warnings)
    assert [frame.index for frame in frames] == list(range(len(frames)))
    intact = frames[:-2]  # the last one or two may be torn
    assert [read_number(frame.image) for frame in intact] == list(range(len(intact)))
    assert capfd.readouterr() == ("", "")


def test_damage_inside_a_clip_is_survived_the_same_way_each_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=_FRAMES, options={"g": "5"})
    data = bytearray(clip.read_bytes())
    middle = data.index(b"mdat") + (data.index(b"moov") - data.index(b"mdat")) // 2
    data[middle : middle + 400] = bytes(400)
    clip.write_bytes(data)
    first, again = _read(clip), _read(clip)
    assert not first[1]
    assert any("damaged" in line for line in first[2])
    assert read_number(first[0][0].image) == 0
    assert read_number(first[0][-1].image) == _FRAMES - 1  # reading goes on after the damage
    assert [frame.image.tobytes() for frame in first[0]] == [frame.image.tobytes() for frame in again[0]]


def test_mp4_without_its_index_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264")
    data = clip.read_bytes()
    clip.write_bytes(data[: data.index(b"moov")])
    with pytest.raises(InputError, match=r"a\.mp4 is a damaged mp4 or mov file: its index \(moov\) is missing or cut"):
        open_source(clip)


def test_stream_without_a_decodable_frame_is_refused(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264")
    data = bytearray(clip.read_bytes())
    start, end = data.index(b"mdat") + 4, data.index(b"moov") - 4
    data[start:end] = bytes(end - start)
    clip.write_bytes(data)
    with pytest.raises(InputError, match="no frame that can be decoded"):
        open_source(clip)


def test_metadata_that_is_not_unicode_is_no_obstacle(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=2, metadata={"comment": "XXXXXXXX"})
    data = clip.read_bytes()
    assert b"XXXXXXXX" in data
    clip.write_bytes(data.replace(b"XXXXXXXX", b"\xff\xfe\xe9\xe8\x80\x81\xc3\x28"))
    frames, complete, _ = _read(clip)
    assert (len(frames), complete) == (2, True)
