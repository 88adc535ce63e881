"""Bad input ends in one clear line, and no file can make streamer read another."""

import struct
import zlib
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from streamer.errors import InputError
from streamer.sources import _container as container
from streamer.sources import file, open_live, open_source
from tests.dicom_files import cine_dataset, frame_images, write_dicom
from tests.sources.media import write_clip


def _refusal(path: str | Path) -> str:
    with pytest.raises(InputError) as caught:
        open_source(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message
    return message


def test_missing(tmp_path: Path) -> None:
    assert _refusal(tmp_path / "nope.mp4") == "there is no file or folder nope.mp4"


def test_empty(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    assert _refusal(tmp_path / "empty.mp4") == "empty.mp4 is empty (0 bytes)"


@pytest.mark.parametrize("extension", ["mp4", "avi", "h264", "mpg", "jpg", "txt"])
@pytest.mark.parametrize(
    "content",
    [b"plain text\n" * 99, b"%PDF-1.7\n" + b"x" * 999, b"\x01", np.random.default_rng(0).bytes(50_000), b"BMW\n" * 50],
    ids=["text", "pdf", "byte", "random", "bm"],
)
def test_no_recording_whatever_its_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes, extension: str
) -> None:
    (tmp_path / f"a.{extension}").write_bytes(content)
    assert f"a.{extension} " in _refusal(tmp_path / f"a.{extension}")
    assert capfd.readouterr() == ("", "")


def test_sound_only(tmp_path: Path) -> None:
    with av.open(str(tmp_path / "a.mp4"), "w") as output:
        stream = output.add_stream("aac", rate=48000)
        sound = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        sound.sample_rate = 48000
        output.mux(stream.encode(sound))
        output.mux(stream.encode(None))
    assert "holds no video" in _refusal(tmp_path / "a.mp4")


def test_a_dicom_file_is_known_by_its_content(tmp_path: Path) -> None:
    data = cine_dataset(1)
    path = write_dicom(tmp_path / "a.mp4", data, frame_images(1)[0].tobytes())
    with open_source(path) as source:
        assert [frame.image.shape for frame in source.frames()] == [(48, 64, 3)]
    path.write_bytes(bytes(128) + b"DICM" + bytes(100))
    assert "damaged DICOM" in _refusal(path) or "no pixel data" in _refusal(path)


def test_dicom_without_its_libraries_is_one_line_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamer.dicom.library.find_spec", lambda _: None)
    (tmp_path / "a").write_bytes(bytes(128) + b"DICM" + bytes(100))
    assert _refusal(tmp_path / "a") == "a is a DICOM file, which needs pydicom: pip install 'streamer[dicom]'"


@pytest.mark.parametrize(
    "url", ["http://example.org/a.mp4", "rtsp://10.0.0.1/live", "file:///etc/hosts", "HTTPS://x/y"]
)
def test_urls(url: str) -> None:
    assert _refusal(url) == "a URL is not read: give the path of a file on this machine, or live --source"
    assert _refusal(Path(url)) == _refusal(url)


@pytest.mark.parametrize("path", ["concat:a.mp4|b.mp4", "pipe:0", "a\0b", "x" * 5000])
def test_names_that_mean_something_to_a_library(path: str) -> None:
    _refusal(path)


def test_device_files() -> None:
    assert _refusal("/dev/zero") == "zero is not a regular file"


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=1)

    def refuse(*arguments: Any, **named: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert _refusal(clip) == "a.mp4 cannot be read: Permission denied"


def test_folder_without_stills(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing to see")
    assert "holds no stills" in _refusal(tmp_path)


def test_frames_too_large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=1)
    monkeypatch.setattr(container, "MAX_FRAME_PIXELS", 96 * 64 - 1)
    assert "a.mp4 is 96x64 pixels; at most" in _refusal(clip)


def test_frames_larger_than_announced_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = write_clip(tmp_path / "s.h264", codec="libx264", frames=3)
    large = write_clip(tmp_path / "l.h264", codec="libx264", frames=2, size_wh=(640, 480))
    (tmp_path / "bomb.h264").write_bytes(small.read_bytes() + large.read_bytes())
    for module in (container, file):
        monkeypatch.setattr(module, "MAX_FRAME_PIXELS", 100_000)
    with open_source(tmp_path / "bomb.h264") as source:
        assert {frame.image.shape for frame in source.frames()} == {(64, 96, 3)}
        assert not source.complete


def test_still_too_large(tmp_path: Path) -> None:
    """Only the header claims the size: nothing of it may be decoded."""
    PillowImage.new("L", (8, 8)).save(tmp_path / "bomb.png")
    data = bytearray((tmp_path / "bomb.png").read_bytes())
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (tmp_path / "bomb.png").write_bytes(data)
    assert "bomb.png is 60000x60000 pixels; at most 67 megapixels" in _refusal(tmp_path / "bomb.png")


_MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static"><Period><AdaptationSet>'
    '<Representation id="0" bandwidth="1"><BaseURL>secret.mp4</BaseURL></Representation></AdaptationSet></Period></MPD>'
)


@pytest.mark.parametrize("file_name", ["clip.mp4", "clip.ffconcat", "clip.m3u8", "clip.sdp"])
@pytest.mark.parametrize(
    "script",
    [
        "ffconcat version 1.0\nfile secret.mp4\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:10\n#EXTINF:10,\nsecret.mp4\n#EXT-X-ENDLIST\n",
        "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
        _MPD,
    ],
    ids=["concat", "hls", "sdp", "dash"],
)
def test_playlists_cannot_read_other_files(tmp_path: Path, script: str, file_name: str) -> None:
    write_clip(tmp_path / "secret.mp4", codec="libx264", frames=2)
    (tmp_path / file_name).write_text(script)
    assert "is not a video or still" in _refusal(tmp_path / file_name)


def test_the_library_alone_would_follow_a_playlist(tmp_path: Path) -> None:
    """Shows that the test above tests something."""
    write_clip(tmp_path / "secret.mp4", codec="libx264", frames=2)
    (tmp_path / "clip.mp4").write_text("ffconcat version 1.0\nfile secret.mp4\n")
    with av.open(str(tmp_path / "clip.mp4")) as followed:
        assert len(list(followed.decode(video=0))) == 2


@pytest.mark.parametrize(
    "file_name", ["frame%03d.mp4", "concat:a|b", "clip.jpg", "vidéo 甲状腺 (1).mp4", "no extension"]
)
def test_a_clip_of_any_name_is_read_by_content(tmp_path: Path, file_name: str) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=2)
    clip.rename(tmp_path / file_name)
    with open_source(tmp_path / file_name) as source:
        assert source.info.name == file_name
        assert len(list(source.frames())) == 2


def test_control_characters_do_not_reach_the_display_name(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264", frames=1)
    clip.rename(tmp_path / "a\n\x1b[31m.mp4")
    with open_source(tmp_path / "a\n\x1b[31m.mp4") as source:
        assert source.info.name == "a??[31m.mp4"


def test_a_string_is_a_path_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(tmp_path / "a.mp4", codec="libx264", frames=1)
    monkeypatch.chdir(tmp_path)
    with open_source("a.mp4") as source:
        assert len(list(source.frames())) == 1


@pytest.mark.parametrize("path", [b"clip.mp4", 5, None, ""])
def test_what_is_no_path_is_refused_in_one_line(path: object) -> None:
    for opener in (open_source, open_live):
        with pytest.raises(InputError, match=r"^(a path or address is needed, not a \w+|the path is empty)$"):
            opener(path)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("argument", "value", "error"),
    [
        *(("folder_fps", value, InputError) for value in (0, -1.0, float("nan"), float("inf"), "30", None)),
        *((name, value, InputError) for name in ("decoder", "deinterlace") for value in ("maybe", None, True)),
        *(("pixel_spacing_mm", value, ValueError) for value in ((0, 1), (1,), 0.5, ("a", "b"), (float("nan"), 1))),
    ],
)
def test_an_argument_that_means_nothing_is_not_taken_for_another(
    tmp_path: Path, argument: str, value: object, error: type[Exception]
) -> None:
    openers = (open_source,) if argument == "folder_fps" else (open_source, open_live)
    for opener in openers:
        with pytest.raises(error, match=rf"^{argument} must be [^\n]+$"):
            opener(tmp_path / "absent.mp4", **{argument: value})  # type: ignore[arg-type]
