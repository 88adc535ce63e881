"""Capture devices: what is listed, and what is chosen. There is none here: a driver's answers are made up."""

from __future__ import annotations

from enum import IntEnum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Self

import pytest

from streamer.cli.devices import capture_of
from streamer.errors import InputError
from streamer.sources import open_live
from streamer.sources._url import Capture, device_address
from streamer.sources.devices import CaptureMode, capture_devices
from tests.cli.command_line import Cli

linuxpy = pytest.importorskip("linuxpy.video.device")


class _Sizes(IntEnum):
    DISCRETE = 1
    STEPWISE = 3


class FakeDevice:
    """A frame grabber that also has a file for its metadata, and one that is in use."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> Self:
        if self._path.endswith("video10"):
            raise PermissionError(13, "Permission denied")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    @property
    def info(self) -> Any:
        formats = linuxpy.PixelFormat
        captures = not self._path.endswith("video1")
        rates = [SimpleNamespace(min_fps=Fraction(rate), max_fps=Fraction(rate)) for rate in (25, 60)]
        sizes = {
            formats.MJPEG: [(_Sizes.DISCRETE, 1920, 1080), (_Sizes.DISCRETE, 1280, 720)],
            formats.YUYV: [(_Sizes.STEPWISE, 0, 0)],
            formats.RGB332: [(_Sizes.DISCRETE, 64, 48)],
        }
        return SimpleNamespace(
            card="Grabber\x1b[31m",
            buffers=[linuxpy.BufferType.VIDEO_CAPTURE] if captures else [linuxpy.BufferType.META_CAPTURE],
            buffer_formats=lambda _: [SimpleNamespace(pixel_format=one) for one in sizes],
            format_frame_sizes=lambda one: [
                SimpleNamespace(type=kind, info=SimpleNamespace(width=width, height=height))
                for kind, width, height in sizes[one]
            ],
            fps_intervals=lambda _format, width, _height: rates if width == 1920 else rates[:1],
        )


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(linuxpy, "Device", FakeDevice)
    for name in ("video0", "video1", "video10", "video2", "null"):
        (tmp_path / name).touch()
    return tmp_path


def test_what_is_listed(folder: Path) -> None:
    first, second, third = capture_devices(folder)
    assert [Path(one.path).name for one in (first, second, third)] == ["video0", "video2", "video10"]
    assert first.name == "Grabber?[31m"
    assert first.modes == (
        CaptureMode(pixel_format="mjpeg", size_wh=(1920, 1080), rates_hz=(60.0, 25.0)),
        CaptureMode(pixel_format="mjpeg", size_wh=(1280, 720), rates_hz=(25.0,)),
        CaptureMode(pixel_format="yuyv422", size_wh=None, rates_hz=()),
    )
    assert (third.modes, third.problem) == ((), "Permission denied")


def test_the_command(
    cli: Cli, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    found = capture_devices(folder)
    monkeypatch.setattr("streamer.sources.devices.capture_devices", lambda: found)
    assert cli("devices") == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["mjpeg", "1920x1080", "60,", "25"] in lines
    assert ["yuyv422", "any"] in lines
    assert ["cannot", "be", "asked:", "Permission", "denied"] in lines
    monkeypatch.setattr("streamer.sources.devices.capture_devices", lambda: ())
    assert cli("devices") == 0
    assert "no capture device was found" in capsys.readouterr().out


def test_what_is_chosen_reaches_ffmpeg() -> None:
    chosen = capture_of("1280x720", 25.0, "mjpeg")
    assert chosen == Capture(size_wh=(1280, 720), rate_hz=25.0, pixel_format="mjpeg")
    options = device_address("/dev/video0", "video0", chosen).options
    assert options == {"video_size": "1280x720", "framerate": "25", "input_format": "mjpeg"}
    assert device_address("/dev/video0", "video0", capture_of(None, None, None)).options == {}
    assert device_address("/dev/video0", "video0", capture_of("640x480", None, None)).options == {
        "video_size": "640x480"
    }


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--size", "1280"), "width and height"),
        (("--size", "0x720"), "width and height"),
        (("--rate", "0"), "--rate"),
        (("--rate", "nan"), "--rate"),
        (("--pixel-format", "a:b"), "mjpeg or yuyv422"),
    ],
)
def test_no_choice(cli: Cli, capsys: pytest.CaptureFixture[str], options: tuple[str, str], complaint: str) -> None:
    assert cli("live", "--source", "/dev/video0", *options) == 2
    assert complaint in capsys.readouterr().err


def test_only_a_device_can_be_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="for a capture device only"):
        open_live(tmp_path / "clip.mp4", capture=Capture(rate_hz=25.0))
