import subprocess
import sys

import pytest
import torch
import typer

from streamer.cli import models
from streamer.errors import StreamerError, WeightsError
from streamer.evaluation.tasks import Evaluator, evaluator
from streamer.models.networks import build
from streamer.models.registry import OTHER_TASKS, TASKS, OperatingPoint, TaskSpec, load_object, register_task, task
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
        models._network("scintigraphy")


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
