"""Decoding on the GPU: what is asked of FFmpeg, and what is said where it cannot."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from av.codec.hwaccel import HWAccel

from streamer.errors import DeviceError
from streamer.run import run_study
from streamer.settings import Settings
from streamer.sources import Source, open_live, open_source
from streamer.sources import _container as container
from streamer.sources import _hwaccel as hardware
from streamer.sources._url import Address
from streamer.sources.stream import LiveStream
from tests.fakes import FakeEngine
from tests.sources.media import write_clip

without_cuda = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    return write_clip(tmp_path / "a.mp4", codec="libx264", frames=4)


@without_cuda
@pytest.mark.parametrize("open_it", [open_source, open_live])
def test_no_device_to_decode_with(clip: Path, open_it: Callable[..., Source]) -> None:
    with pytest.raises(DeviceError, match=r"CUDA cannot decode video here .*runtime\.decoder at cpu"):
        open_it(clip, decoder="cuda")


@without_cuda
def test_a_run_that_is_to_decode_there_says_so_and_writes_nothing(clip: Path, tmp_path: Path) -> None:
    settings = Settings.model_validate({"runtime": {"decoder": "cuda"}})
    with pytest.raises(DeviceError, match="CUDA cannot decode"):
        run_study([clip], tmp_path / "results", analyser=FakeEngine(settings=settings))
    assert not (tmp_path / "results").exists()


def test_a_stream_that_the_device_does_not_know_is_decoded_by_the_processor(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def acceleration(decoder: hardware.Decoder) -> HWAccel:
        asked.append(decoder)
        return HWAccel("drm")  # which has no H.264

    monkeypatch.setattr(container, "acceleration", acceleration)
    with open_source(clip, decoder="cuda") as there, open_source(clip) as here:
        assert all(
            np.array_equal(one.image, other.image) for one, other in zip(there.frames(), here.frames(), strict=True)
        )
        assert there.warnings == (hardware.LEFT_TO_CPU,)
        assert not here.warnings
    assert asked == ["cuda", "cpu"]


def test_an_ffmpeg_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_cuda", lambda: HWAccel("drm"))
    with pytest.raises(DeviceError, match="built without it"):
        hardware.refuse_without_device()


@without_cuda
def test_a_device_that_is_gone_is_not_a_damaged_clip(clip: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_device_once", lambda: None)  # it was there before
    with pytest.raises(DeviceError, match="CUDA cannot decode"):
        open_source(clip, decoder="cuda")
    with pytest.raises(DeviceError, match="CUDA cannot decode"):
        LiveStream(Address(str(clip), name="a", format=None, options={}), decoder="cuda")


def test_without_a_wish_no_device_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "_device_once", lambda: pytest.fail("asked for a device"))
    assert hardware.acceleration("cpu") is None


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_device_gives_the_same_pictures(clip: Path) -> None:
    torch.zeros(1, device="cuda")  # torch's context comes first, as it does in a run
    try:
        hardware.refuse_without_device()
    except DeviceError as error:
        pytest.skip(str(error))
    with open_source(clip, decoder="cuda") as there, open_source(clip) as here:
        if hardware.LEFT_TO_CPU in there.warnings:
            pytest.skip("no driver of the video engine, or one that does not know so small a picture")
        for one, other in zip(there.frames(), here.frames(), strict=True):
            assert np.abs(one.image.astype(int) - other.image).max() <= 2  # colour is scaled from another layout
