from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from streamer._yaml import read_yaml
from streamer.errors import DataError, OutputError, WeightsError
from streamer.models.architectures import GreyInput
from streamer.scintigraphy.config import ScintigraphyConfig
from streamer.scintigraphy.evaluation import Study
from streamer.scintigraphy.image import picture_digest
from streamer.scintigraphy.pictures import read_pictures
from streamer.scintigraphy.predictor import Predictor, heat_share
from streamer.scintigraphy.samples import read_samples
from streamer.scintigraphy.training import Trainer, changed
from streamer.scintigraphy.weights import load_network, read_entry
from streamer.settings import validated
from tests.scintigraphy.conftest import RECIPE, one_torch_thread

_CONFIGS = Path(__file__).resolve().parents[2] / "configs"


@pytest.fixture(scope="module")
def predictor(run_folder: Path) -> Predictor:
    return Predictor(run_folder, threads=1)


def test_the_papers_recipe_is_the_papers() -> None:
    recipe = validated(ScintigraphyConfig, read_yaml(_CONFIGS / "scintigraphy-paper.yaml"), "paper")
    assert (recipe.architecture, recipe.epochs, recipe.batch, recipe.dropout) == ("resnet34-fc", 200, 12, 0.8)
    assert (recipe.optimiser, recipe.learning_rate, recipe.weight_decay) == ("adam", 2.5e-5, 1e-4)
    assert (recipe.schedule, recipe.step_epochs, recipe.step_factor) == ("steps", 80, 0.1)
    picture = np.arange(64 * 64, dtype=np.uint8).reshape(64, 64)
    assert changed(picture, recipe, np.random.default_rng(0)) is picture  # it names no augmentation


def test_the_rate_falls_to_a_tenth_after_the_step(study_folder: Path, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"schedule": "steps", "step_epochs": 1, "epochs": 2, "optimiser": "adam"})
    trainer = Trainer.prepare(recipe, read_samples(study_folder, internal="north"), device=torch.device("cpu"))
    rates = []
    trainer.train(tmp_path / "run", observer=lambda _, figures: rates.append(figures["learning_rate"]))
    assert rates == pytest.approx([1e-4, 1e-5])


def test_a_run_says_what_it_was_taught_by_and_on_what(run_folder: Path, study_folder: Path) -> None:
    entry = read_entry(run_folder)
    data = read_samples(study_folder, internal="north")
    learned = read_pictures(data.part("train"), 64)
    assert entry.training.pictures == tuple(picture_digest(picture) for picture in learned.grey)
    assert entry.training.data_sha256 == data.digest
    assert (entry.training.internal, entry.training.epochs) == ("north", 2)
    assert entry.training.data["train"].startswith("19 images of 19 patients")


def test_a_run_has_a_card_that_says_what_it_must_not_be_used_for(run_folder: Path) -> None:
    card = (run_folder / "scintigraphy.md").read_text()
    assert "Taught by simulated images: meaningless for a patient" in card
    assert read_entry(run_folder).sha256 in card
    assert "| Taught by | simulated |" in card


def test_an_interrupted_run_resumes_to_the_same_weights(study_folder: Path, run_folder: Path, tmp_path: Path) -> None:
    data = read_samples(study_folder, internal="north")
    trainer = Trainer.prepare(RECIPE, data, device=torch.device("cpu"))

    def stop(_: int, __: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), one_torch_thread():
        trainer.train(tmp_path / "run", observer=stop)
    assert read_entry(tmp_path / "run").training.epochs == 1
    assert not trainer.is_trained(tmp_path / "run")
    with one_torch_thread():
        trainer.train(tmp_path / "run", resume=True)
    assert trainer.is_trained(tmp_path / "run")
    one, other = (load_network(folder, read_entry(folder)).state_dict() for folder in (run_folder, tmp_path / "run"))
    assert all(torch.allclose(one[name].float(), other[name].float(), atol=1e-5) for name in one)


def test_a_run_of_other_data_is_not_resumed(study_folder: Path, run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    trainer = Trainer.prepare(RECIPE, read_samples(study_folder, internal="south"), device=torch.device("cpu"))
    with pytest.raises(DataError, match="was made from other data"):
        trainer.train(tmp_path / "run", resume=True)


def test_a_run_that_is_there_is_not_trained_over(study_folder: Path, run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    before = {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()}
    trainer = Trainer.prepare(RECIPE, read_samples(study_folder, internal="north"), device=torch.device("cpu"))
    with pytest.raises(OutputError, match="holds a run already: go on with --resume, or choose another --output"):
        trainer.train(tmp_path / "run")
    assert {file.name: file.read_bytes() for file in (tmp_path / "run").iterdir()} == before


def test_fewer_images_than_a_batch_are_refused(study_folder: Path, tmp_path: Path) -> None:
    recipe = RECIPE.model_copy(update={"batch": 64})
    trainer = Trainer.prepare(recipe, read_samples(study_folder, internal="north"), device=torch.device("cpu"))
    with pytest.raises(DataError, match="fewer than a batch of 64"):
        trainer.train(tmp_path / "run")


def test_openvino_gives_what_torch_gives_whatever_the_order(
    predictor: Predictor, run_folder: Path, study_folder: Path
) -> None:
    grey = read_pictures(read_samples(study_folder).samples[:7], 64).grey
    entry = read_entry(run_folder)
    graph = GreyInput(load_network(run_folder, entry), entry.mean, entry.std).eval()
    with torch.inference_mode():
        expected = graph(torch.from_numpy(grey)).softmax(1).numpy()
    found = predictor.probabilities(grey)
    assert np.allclose(found, expected, atol=1e-4)
    assert np.array_equal(found[::-1], predictor.probabilities(np.ascontiguousarray(grey[::-1])))


def test_a_heat_map_is_relative_to_its_highest_value(predictor: Predictor, study_folder: Path) -> None:
    grey = read_pictures(read_samples(study_folder).samples[:4], 64).grey
    for number in range(4):
        heat = predictor.heat(grey[number], number)
        assert heat.shape == (64, 64)
        assert heat.min() >= 0
        assert heat.max() in (0, pytest.approx(1))


def test_the_share_of_heat_in_a_region() -> None:
    heat = np.ones((4, 4), np.float32)
    region = np.zeros((4, 4), np.bool_)
    region[:, 0] = True
    assert heat_share(heat, region) == pytest.approx(0.25)


def test_a_network_is_not_judged_on_what_it_learned_from(predictor: Predictor, study_folder: Path) -> None:
    data = read_samples(study_folder, internal="north", seed=1)  # another split: some were learned from
    with pytest.raises(DataError, match="has learned from"):
        Study(data=data).say(predictor, "internal validation")


def test_damaged_weights_are_refused(run_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(run_folder, tmp_path / "run")
    (tmp_path / "run" / "scintigraphy.safetensors").write_bytes(b"rubbish")
    with pytest.raises(WeightsError, match="is damaged: its sha256 differs"):
        load_network(tmp_path / "run", read_entry(tmp_path / "run"))


def test_a_folder_without_weights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no scintigraphy weights"):
        read_entry(tmp_path)
