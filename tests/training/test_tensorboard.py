"""Figures for TensorBoard, where it is installed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from streamer.errors import SettingsError
from streamer.training.tensorboard import tensorboard_log


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with (
        pytest.raises(SettingsError, match=r"^TensorBoard is not installed: pip install tensorboard$"),
        tensorboard_log(tmp_path / "log"),
    ):
        pytest.fail("nothing to observe with")
    assert not (tmp_path / "log").exists()


def test_scalars_are_written(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    with tensorboard_log(tmp_path / "log") as observe:
        observe(0, {"loss": 2.0, "ap50": 0.25})
        observe(1, {"loss": 1.0, "ap50": 0.5})
    events = accumulator.EventAccumulator(str(tmp_path / "log")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("loss")] == [(0, 2.0), (1, 1.0)]
    assert [event.value for event in events.Scalars("ap50")] == [0.25, 0.5]
