"""Settings: defaults hold, files are read, and what is wrong is named in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from streamer._resources import configs_dir
from streamer._yaml import read_yaml
from streamer.errors import SettingsError
from streamer.settings import DetectionSettings, Settings, load_settings


def complaint(path: Path, text: str | bytes) -> str:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(SettingsError) as caught:
        load_settings(path)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_defaults_without_a_file() -> None:
    assert load_settings() == Settings()
    assert Settings().detection.confidence is None  # the weights' own
    assert Settings().detection.nms_iou == 0.5  # the paper's published code


def test_the_published_file_holds_the_defaults() -> None:
    path = configs_dir() / "default.yaml"
    assert load_settings(path) == Settings()
    named, known = read_yaml(path), Settings().model_dump(mode="json")
    assert {name: section.keys() for name, section in known.items() if isinstance(section, dict)} == {
        name: section.keys() for name, section in named.items() if isinstance(section, dict)
    }
    assert named.keys() == known.keys()


def test_a_file_changes_what_it_names(tmp_path: Path) -> None:
    path = tmp_path / "überblick.yaml"
    path.write_text("detection: {confidence: 0.5}\nweights: some/folder\nstudy:\n  threshold: 0.7\n")
    settings = load_settings(path)
    assert settings.detection == DetectionSettings(confidence=0.5)
    assert settings.weights == Path("some/folder")
    assert settings.study.threshold == 0.7
    assert settings.tracking == Settings().tracking


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n"])
def test_an_empty_file_means_defaults(tmp_path: Path, text: str) -> None:
    (tmp_path / "empty.yaml").write_text(text)
    assert load_settings(tmp_path / "empty.yaml") == Settings()


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("detection: {confidence: 1.5}", ["detection.confidence", "1.5", "less than or equal to 1"]),
        ("detection: {confidence: .nan}", ["detection.confidence"]),
        ("detection: {confidence: high}", ["detection.confidence", "'high'"]),
        ("detection: {confidense: 0.3}", ["detection.confidense", "there is no setting"]),
        ("detektion: {}", ["detektion", "there is no setting"]),
        ("runtime: {device: tpu}", ["runtime.device", "'tpu'"]),
        ("study: {min_track_frames: 0}", ["study.min_track_frames", "greater than or equal to 1"]),
        ("study: 3", ["study", "3"]),
        ("1: 2", ["1"]),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, named: list[str]) -> None:
    message = complaint(tmp_path / "wrong.yaml", text)
    for part in named:
        assert part in message


@pytest.mark.parametrize(
    "text",
    [
        "detection: {confidence: 0.3",
        "a: b: c",
        "\tx: 1",
        b"\xff\xfe\x00name",
        "day: 2024-13-45",
        "- 1\n- 2",
        "just text",
    ],
)
def test_what_is_not_a_mapping_in_yaml(tmp_path: Path, text: str | bytes) -> None:
    complaint(tmp_path / "broken.yaml", text)


def test_a_file_cannot_run_code(tmp_path: Path) -> None:
    complaint(tmp_path / "evil.yaml", f"weights: !!python/object/apply:os.mkdir ['{tmp_path / 'made'}']")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("name", ["absent.yaml", ""])
def test_a_missing_file_or_a_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match="cannot read the configuration file"):
        read_yaml(tmp_path / name)


def test_a_wrong_name_is_answered_with_the_right_ones(tmp_path: Path) -> None:
    message = complaint(tmp_path / "a.yaml", "detection: {conf: 0.3}")
    assert "there is no setting 'detection.conf' (got 0.3); known there: confidence, nms_iou, max_nodules" in message
    assert "there is no setting 'detect' (got 1); known there: detection, " in complaint(
        tmp_path / "b.yaml", "detect: 1"
    )


def test_a_setting_that_stands_twice_is_refused(tmp_path: Path) -> None:
    assert "conf stands twice" in complaint(tmp_path / "a.yaml", "detection:\n  conf: 0.3\n  conf: 0.4")


def test_runtime_can_be_changed_and_is_checked() -> None:
    changed = Settings(weights=Path("w")).with_runtime(device="cpu", threads=3)
    assert (changed.runtime.device, changed.runtime.threads, changed.weights) == ("cpu", 3, Path("w"))
    with pytest.raises(SettingsError, match=r"command line: setting 'runtime.threads'.*-1"):
        Settings().with_runtime(threads=-1)


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        Settings().detection.confidence = 0.1
