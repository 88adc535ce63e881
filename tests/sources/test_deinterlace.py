"""Interlaced video: fields of two moments are not shown as one picture, unless that is asked for."""

from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image as PillowImage

from streamer.outputs.schema import read_report
from streamer.run import run_study
from streamer.settings import InputSettings, Settings
from streamer.sources import Source, open_live, open_source
from streamer.sources._deinterlace import DEINTERLACED, LEFT_INTERLACED, Deinterlacing
from streamer.testing import FakeAnalyser
from streamer.types import Frame, Image
from tests.sources.media import write_clip

_FRAMES, _STEP_PX, _LEFT, _RIGHT = 8, 12, 10, 40


def _fields(number: int) -> Image:
    """A bar that moves between the two fields of a picture as it does from one picture to the next."""
    image = np.full((128, 192, 3), 30, np.uint8)
    for field in range(2):
        left = _LEFT + _STEP_PX * number + field * _STEP_PX // 2
        image[20 + field : 100 : 2, left : left + _RIGHT - _LEFT] = 220
    return image


def _write(path: Path) -> Path:
    codec, options = ("libx264", {"x264-params": "interlaced=1:tff=1:log-level=none"})
    if path.suffix == ".ts":
        codec, options = "mpeg2video", {"flags": "+ilme+ildct"}
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25, options=options)
        assert isinstance(stream, av.VideoStream)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = 192, 128, "yuv420p", 8_000_000
        for number in range(_FRAMES):
            picture = av.VideoFrame.from_ndarray(_fields(number), format="rgb24")
            picture.pts = number
            output.mux(stream.encode(picture))
        output.mux(stream.encode(None))
    return path


def _combing(frame: Frame) -> float:
    """How much neighbouring lines differ where the bar is."""
    grey = np.asarray(PillowImage.fromarray(frame.image).convert("L")).astype(int)
    return float(np.abs(np.diff(grey[30:90], axis=0)).mean())


def _read(path: Path, deinterlace: Deinterlacing) -> tuple[Source, list[Frame]]:
    with open_source(path, deinterlace=deinterlace) as source:
        return source, list(source.frames())


@pytest.mark.parametrize("name", ["pal.ts", "1080i.mp4"])
def test_interlaced_video_is_deinterlaced_frame_by_frame_and_said(tmp_path: Path, name: str) -> None:
    clip = _write(tmp_path / name)
    combed_source, combed = _read(clip, "off")
    source, frames = _read(clip, "auto")
    assert len(frames) == len(combed) == _FRAMES
    assert [frame.time_s for frame in frames] == pytest.approx([frame.time_s for frame in combed])
    assert source.complete
    assert (source.warnings, combed_source.warnings) == ((DEINTERLACED,), (LEFT_INTERLACED,))
    for number in range(1, _FRAMES - 1):
        assert _combing(combed[number]) > 5
        assert _combing(frames[number]) < 1
        bar = np.flatnonzero(frames[number].image[60, :, 1] > 125)
        assert abs(int(bar[0]) - (_LEFT + _STEP_PX * number)) <= _STEP_PX // 2 + 1


def test_progressive_video_is_left_alone(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264")
    source, frames = _read(clip, "auto")
    assert source.warnings == ()
    np.testing.assert_array_equal(frames[3].image, _read(clip, "off")[1][3].image)


def test_on_deinterlaces_what_is_not_marked(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", codec="libx264")
    source, frames = _read(clip, "on")
    assert source.warnings == (DEINTERLACED,)
    assert len(frames) == 12


def test_a_live_picture_is_deinterlaced_too(tmp_path: Path) -> None:
    with open_live(_write(tmp_path / "pal.ts")) as source:
        frames = list(source.frames())
        assert source.warnings == (DEINTERLACED,)
    assert all(_combing(frame) < 1 for frame in frames[1:-1])


@pytest.mark.parametrize(
    ("deinterlace", "said"), [("auto", DEINTERLACED), ("on", DEINTERLACED), ("off", LEFT_INTERLACED)]
)
def test_a_run_does_as_its_settings_say_and_reports_it(tmp_path: Path, deinterlace: Deinterlacing, said: str) -> None:
    clip = _write(tmp_path / "1080i.mp4")
    analyser = FakeAnalyser()
    analyser.settings = Settings(input=InputSettings(deinterlace=deinterlace), outputs=("report_json",))
    run_study([clip], tmp_path / "out", analyser=analyser)
    report = read_report(tmp_path / "out" / "report.json")
    assert said in report.videos[0].warnings
    assert report.settings["input"] == {"deinterlace": deinterlace}
