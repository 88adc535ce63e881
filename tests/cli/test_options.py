"""Options that several commands share: settings by file, by the name of a preset, and by device."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import get_args

import pytest
import yaml
from pydantic import BaseModel

from streamer._resources import configs_dir
from streamer.cli.models import Precision
from streamer.cli.options import Deinterlace, Device, settings_of
from streamer.errors import SettingsError
from streamer.settings import PRESETS, InputSettings, RuntimeSettings, Settings
from tests.cli.command_line import Cli


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_its_file(name: str) -> None:
    said = yaml.safe_load((configs_dir() / f"{name}.yaml").read_text(encoding="utf-8"))
    assert settings_of(Path(name), None) == Settings.model_validate(said)


def test_the_default_is_the_balanced_preset() -> None:
    assert settings_of(None, None) == settings_of(Path("balanced"), None)
    assert settings_of(None, None) != settings_of(Path("fast"), None)


def test_the_papers_rules_are_those_of_its_code() -> None:
    settings = settings_of(Path("paper"), Device.cpu)
    assert (settings.detection.confidence, settings.detection.nms_iou, settings.study.threshold) == (0.3, 0.5, 0.65)
    assert (settings.study.min_track_frames, settings.runtime.precision) == (1, "fp32")
    assert settings.runtime.device == "cpu"
    assert not settings.study.threshold_rises


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("paper").write_text("tracking: {min_iou: 0.4}\n", encoding="utf-8")
    assert settings_of(Path("paper"), None).tracking.min_iou == 0.4
    with pytest.raises(SettingsError, match="slow"):
        settings_of(Path("slow"), None)


def test_published_figures_are_those_of_the_default_settings(
    cli: Cli, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("evaluate", "pipeline", "--data", str(tmp_path), "--config", "paper", "--update-manifest") == 2
    assert "leave out --config" in capsys.readouterr().err


def test_deinterlacing_is_the_options_or_the_configurations(tmp_path: Path) -> None:
    config = tmp_path / "c.yaml"
    config.write_text("input: {deinterlace: on}\n")
    assert settings_of(None, None).input.deinterlace == "auto"
    assert settings_of(config, None).input.deinterlace == "on"
    assert settings_of(config, None, None, Deinterlace.off).input.deinterlace == "off"


@pytest.mark.parametrize(
    ("option", "section", "setting"),
    [
        (Device, RuntimeSettings, "device"),
        (Precision, RuntimeSettings, "precision"),
        (Deinterlace, InputSettings, "deinterlace"),
    ],
)
def test_an_option_offers_what_the_setting_takes(option: type[StrEnum], section: type[BaseModel], setting: str) -> None:
    assert tuple(option) == get_args(section.model_fields[setting].annotation)
