import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import pytest
import torch
import typer
from pydantic import BaseModel, ConfigDict, Field
from typer.testing import CliRunner

from streamer.cli.main import app
from streamer.cli.models import known_network
from streamer.errors import SettingsError, StreamerError, WeightsError
from streamer.evaluation.tasks import Evaluator, evaluator
from streamer.models import registry
from streamer.models.networks import build
from streamer.models.registry import OTHER_TASKS, TASKS, OperatingPoint, TaskSpec, load_object, register_task, task
from streamer.settings import validated
from streamer.training.config import TrainingConfig

POINT = OperatingPoint(meaning="share", initial=0.5, source="none")


def spec(**changes: object) -> TaskSpec:
    values: dict[str, object] = {
        "name": "quality",
        "purpose": "grades a frame",
        "view": "frame",
        "target": "label",
        "classes": ("good", "fair", "poor"),
        "architectures": {"tiny": "some.module:build"},
        "trainer": "some.module:Trainer",
        "evaluator": "some.module:EVALUATOR",
        "operating_point": POINT,
    }
    return TaskSpec(**(values | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TASKS)
def test_every_task_has_what_it_names(name: str) -> None:
    known = task(name)
    assert isinstance(evaluator(name), Evaluator)
    assert callable(load_object(known.trainer))
    assert all(callable(load_object(path)) for path in known.architectures.values())
    assert known.options <= set(TrainingConfig.model_fields)


def test_another_modality_is_apart_and_has_what_it_names() -> None:
    assert list(OTHER_TASKS) == ["scintigraphy"]
    known = task("scintigraphy")
    assert len(known.classes) == 4
    assert callable(load_object(known.trainer))
    assert callable(load_object(known.evaluator))
    assert build("shufflenet-v2")(torch.zeros(1, 3, 64, 64)).shape == (1, len(known.classes))
    with pytest.raises(typer.BadParameter, match="commands of its own: streamer scintigraphy --help"):
        known_network("scintigraphy")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "scintigraphy"}, "there is a task scintigraphy already"),
        ({"architectures": {"alexnet": "some.module:build"}}, "alexnet belongs to the task scintigraphy"),
        ({"name": "detector"}, "there is a task detector already"),
        ({"architectures": {"yolov5n": "some.module:build"}}, "yolov5n belongs to the task detector"),
    ],
)
def test_names_are_taken_once(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        register_task(spec(**changes))
    assert list(TASKS) == ["detector", "segmenter", "classifier"]


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"name": "two words"}, "letters, digits"),
        ({"classes": ()}, "at least one class"),
        ({"architectures": {}}, "one architecture"),
        ({"trainer": "some.module"}, "package.module:name"),
    ],
)
def test_a_spec_is_whole(changes: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        spec(**changes)


class QualityOptions(BaseModel):
    """Options that no other task has."""

    model_config = ConfigDict(extra="forbid")

    levels: Annotated[int, Field(ge=2)] = 3
    strict: bool = False


@pytest.fixture
def quality(request: pytest.FixtureRequest) -> Iterator[TaskSpec]:
    """A task that only one test knows, changed as its parameter says."""
    yield register_task(spec(**getattr(request, "param", {"task_options": QualityOptions})))
    del registry._TASKS["quality"]


QUALITY = {"role": "quality", "architecture": "tiny", "sources": {"stills": {}}, "size_wh": [64, 64], "epochs": 1}
DETECTOR = QUALITY | {"role": "detector", "architecture": "yolov5n"}


@pytest.mark.usefixtures("quality")
def test_a_task_has_options_of_its_own() -> None:
    config = validated(TrainingConfig, QUALITY | {"task_options": {"levels": 4}}, "x.yaml")
    assert config.task_options == {"levels": 4, "strict": False}
    assert TrainingConfig.model_validate(config.model_dump(mode="json")) == config
    assert validated(TrainingConfig, QUALITY, "x.yaml").task_options == {"levels": 3, "strict": False}


@pytest.mark.usefixtures("quality")
@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        (QUALITY | {"task_options": {"levels": 1}}, r"options of the quality: setting 'levels': .* 2 \(got 1\)"),
        (QUALITY | {"task_options": {"level": 4}}, "no setting 'level' .*known there: levels, strict"),
        (QUALITY | {"mosaic": 0.1}, "mosaic does nothing for a quality"),
        (DETECTOR | {"task_options": {"levels": 4}}, "a detector has no options of its own: leave levels out"),
    ],
)
def test_a_wrong_option_of_its_own_is_one_line(given: dict[str, object], complaint: str) -> None:
    with pytest.raises(SettingsError, match=complaint) as caught:
        validated(TrainingConfig, given, "x.yaml")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("quality", [{"options": frozenset({"levels", "mosaic"})}], indirect=True)
def test_options_that_no_training_has_break_no_other_task(quality: TaskSpec) -> None:
    config = validated(TrainingConfig, DETECTOR, "x.yaml")
    assert "task_options" not in config.model_dump()  # as in the manifests of weights that were trained before
    with pytest.raises(SettingsError, match=r"has \(levels\): options of its own belong into its task_options"):
        validated(TrainingConfig, QUALITY, "x.yaml")
    assert known_network(quality.name) == "quality"


@pytest.mark.usefixtures("quality")
def test_a_study_of_generalisation_says_which_networks_it_measures(tmp_path: Path) -> None:
    arguments = ["study", "generalise", "--data", str(tmp_path), "--by", "source", "--task", "quality"]
    result = CliRunner().invoke(app, [*arguments, "--output", str(tmp_path / "out")])
    assert "no measure of generalisation for the quality, but for detector, segmenter, classifier" in str(
        result.exception or result.output
    )


def test_what_is_not_there_is_one_line() -> None:
    with pytest.raises(WeightsError, match="no network 'quality': it is one of detector, segmenter, classifier, scin"):
        task("quality")
    with pytest.raises(StreamerError, match=r"some\.module:build cannot be imported"):
        load_object("some.module:build")
    with pytest.raises(ValueError, match="0 to 1"):
        OperatingPoint(meaning="share", initial=1.5, source="none")


def test_the_registry_needs_no_network_library() -> None:
    code = "import sys, streamer.models.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
