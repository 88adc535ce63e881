"""The recipes that ship are those that made the published weights."""

import pytest

from streamer._resources import configs_dir, weights_dir
from streamer._yaml import read_yaml
from streamer.models.registry import TASKS
from streamer.models.weights_manifest import read_manifest
from streamer.training.config import TrainingConfig


@pytest.mark.parametrize("role", TASKS)
def test_the_default_recipe_of_each_network_made_its_weights(role: str) -> None:
    training = read_manifest(weights_dir()).models[role].training
    recipe = TrainingConfig.model_validate(read_yaml(configs_dir() / f"train-{role}.yaml"))
    assert recipe == TrainingConfig.model_validate(training.config)


@pytest.mark.parametrize("path", sorted(configs_dir().glob("train-*.yaml")), ids=lambda path: path.stem)
def test_every_recipe_can_be_read(path: object) -> None:
    TrainingConfig.model_validate(read_yaml(str(path)))
