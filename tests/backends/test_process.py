"""Networks after a fork: a refusal in one line, where they would wait for ever."""

import os

import numpy as np
import pytest

import streamer.backends.process as process
from streamer.errors import DeviceError
from streamer.pipeline.thyroid import Engine
from streamer.settings import Settings
from tests.fakes import frame


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> None:
    """This process, as if it had been forked from the one that loaded the networks."""
    process.stay_in_process()
    monkeypatch.setattr(process, "_loaded_in", os.getpid() + 1)


def test_the_first_networks_may_be_loaded_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_loaded_in", 0)
    process.stay_in_process()
    process.stay_in_process()
    assert process._loaded_in == os.getpid()


def test_an_engine_that_was_loaded_before(engine: Engine, forked: None) -> None:
    with pytest.raises(DeviceError, match=r"before a fork.*spawn"):
        engine.analyse([frame(0)])


def test_its_heat_maps(engine: Engine, forked: None) -> None:
    with pytest.raises(DeviceError, match="before a fork"):
        engine.heat_maps(np.zeros((48, 64), np.uint8), (8.0, 8.0, 40.0, 40.0))


def test_another_engine(forked: None) -> None:
    with pytest.raises(DeviceError, match="before a fork"):
        Engine(Settings())
