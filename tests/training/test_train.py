"""Training end to end on a handful of pictures: files, resume, interruption, refusals."""

from __future__ import annotations

import csv
import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from PIL import Image

import streamer.training.command
import streamer.training.loop
from streamer.errors import DataError, OutputError, SettingsError, WeightsError
from streamer.models.networks import load_network
from streamer.models.registry import TASKS
from streamer.models.weights_manifest import Role, SourceAmount, read_manifest, write_entry
from streamer.settings import validated
from streamer.training.command import train_network
from streamer.training.config import TrainingConfig
from streamer.training.loop import Run
from streamer.training.train import train
from tests.training.tiny import config, write_data

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"))


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def fit(
    settings: TrainingConfig, data: Path, folder: Path, *, resume: bool = False, weights: Path = Path("none")
) -> Path:
    return train(settings, data, folder, device=CPU, weights=weights, resume=resume)


def history(folder: Path) -> list[dict[str, str]]:
    """All figures but the time."""
    with (folder / "history.csv").open(encoding="utf-8") as stream:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(stream)]


def interrupt_after(monkeypatch: pytest.MonkeyPatch, epochs: int) -> None:
    """Ctrl-C in the middle of the epoch after `epochs`."""
    step: Callable[..., None] = Run._epoch

    def epoch(self: Run, report: Callable[[int, float], None]) -> None:
        def press(step_number: int, loss: float) -> None:
            report(step_number, loss)
            if self.state.epoch == epochs:
                raise KeyboardInterrupt

        step(self, press)

    monkeypatch.setattr(Run, "_epoch", epoch)


@pytest.mark.parametrize("role", TASKS)
def test_two_epochs_and_a_resumed_run_with_the_same_history(
    role: Role, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = config(role, mask_weight=0.5 if role == "detector" else 0)  # what only the training needs goes on, too
    whole = fit(recipe, data, tmp_path / "whole")
    rows = history(whole)
    assert [row["epoch"] for row in rows] == ["0", "1"]
    names = ["best.safetensors", "checkpoint.pt", "curves.png", "history.csv", "manifest.json", f"{role}.safetensors"]
    assert sorted(path.name for path in whole.iterdir()) == sorted(names)
    entry = read_manifest(whole).models[role]
    assert (entry.training.epochs, entry.preprocessing.size_wh) == (2, (64, 64))
    assert entry.training.data == {
        "tiny": SourceAmount(images=6, groups=6, unit="patient", with_nodule=6, labels={"benign": 3, "malignant": 3})
    }
    assert (entry.training.splits, entry.training.built_on) == ({"tiny": "as given"}, {})
    load_network(whole, role, read_manifest(whole))
    Image.open(whole / "curves.png").verify()

    with monkeypatch.context() as patch:
        interrupt_after(patch, 1)
        with pytest.raises(KeyboardInterrupt):
            fit(recipe, data, tmp_path / "cut")
    assert history(tmp_path / "cut") == rows[:1]
    load_network(tmp_path / "cut", role, read_manifest(tmp_path / "cut"))  # what there is can be used
    fit(recipe, data, tmp_path / "cut", resume=True)
    assert history(tmp_path / "cut") == rows
    one, other = (
        load_network(tmp_path / run, role, read_manifest(tmp_path / run)).state_dict() for run in ("whole", "cut")
    )
    assert all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("architecture", "given", "merged"),
    [("densenet121-fpn", {"start_from_weights": True}, 128), ("densenet121-fpn-slim", {}, 64)],
)
def test_a_segmenter_on_the_classifiers_encoder(
    data: Path, weights_folder: Path, tmp_path: Path, architecture: str, given: dict[str, bool], merged: int
) -> None:
    """The encoder stays as it was, bit for bit, its statistics included; the rest learns."""
    settings = config("segmenter", architecture=architecture, encoder_from_classifier=True, mean=0.3, std=0.2, **given)
    train(settings, data, tmp_path, device=CPU, weights=weights_folder)
    manifest = read_manifest(weights_folder)
    before = load_network(weights_folder, "segmenter", manifest).state_dict()
    classifier = load_network(weights_folder, "classifier", manifest).state_dict()
    entry = read_manifest(tmp_path).models["segmenter"]
    assert entry.encoder_from == manifest.models["classifier"].sha256
    after = load_network(tmp_path, "segmenter", read_manifest(tmp_path)).state_dict()
    for name, tensor in after.items():
        part, _, rest = name.partition(".")
        if part == "encoder":
            assert torch.equal(tensor, classifier[rest]), name
    assert not torch.equal(after["segmentation_head.0.weight"], before["segmentation_head.0.weight"])
    assert (entry.architecture, after["segmentation_head.0.weight"].shape[1]) == (architecture, merged)


def test_a_classifiers_new_head_on_a_frozen_encoder(data: Path, weights_folder: Path, tmp_path: Path) -> None:
    """With all four blocks frozen only the head learns, so a segmenter on that encoder goes on sharing it."""
    settings = config(
        "classifier",
        architecture="densenet121-region",
        start_from_weights=True,
        frozen_blocks=4,
        outline_weight=0.5,
        epochs=1,
    )
    train(settings, data, tmp_path, device=CPU, weights=weights_folder)
    before = load_network(weights_folder, "classifier", read_manifest(weights_folder)).state_dict()
    after = load_network(tmp_path, "classifier", read_manifest(tmp_path)).state_dict()
    encoder = [name for name in after if name.startswith("features.")]
    assert len(encoder) == len([name for name in before if name.startswith("features.")]) > 0
    assert all(torch.equal(after[name], before[name]) for name in encoder)
    assert not torch.equal(after["head.hidden.weight"][:, 1024:], before["classifier.0.weight"])


@pytest.fixture(scope="module")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A detector after one epoch."""
    return fit(config("detector", epochs=1), data, tmp_path_factory.mktemp("run"))


def test_an_observer_is_told_every_epoch(data: Path, tmp_path: Path) -> None:
    told: list[tuple[int, set[str]]] = []
    train(
        config("segmenter"),
        data,
        tmp_path,
        device=CPU,
        weights=Path("none"),
        observer=lambda epoch, figures: told.append((epoch, set(figures))),
    )
    assert told == [(epoch, {"loss", "learning_rate", "dice", "dice_tiny"}) for epoch in (0, 1)]


def test_a_new_run_that_is_interrupted_at_once_claims_no_weights(
    data: Path, finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights of an earlier run in the folder are not passed off as those of the new configuration."""
    for name in ("best.safetensors", "history.csv"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    interrupt_after(monkeypatch, 0)
    with pytest.raises(KeyboardInterrupt):
        fit(config("detector", learning_rate=0.5), data, tmp_path)
    assert not (tmp_path / "manifest.json").exists()


def test_another_configuration_is_not_resumed(data: Path, finished: Path) -> None:
    with pytest.raises(DataError, match="was made with another configuration"):
        fit(config("detector"), data, finished, resume=True)


def test_other_data_are_not_resumed(finished: Path, tmp_path: Path) -> None:
    more = write_data(tmp_path, train=9)
    with pytest.raises(DataError, match="was made from other data, or builds on other networks"):
        fit(config("detector", epochs=1), more, finished, resume=True)


def test_a_run_that_is_there_is_not_trained_over(data: Path, finished: Path) -> None:
    before = {file.name: file.read_bytes() for file in finished.iterdir()}
    with pytest.raises(OutputError, match="holds a run already: go on with --resume, or choose another --output"):
        fit(config("detector", epochs=1), data, finished)
    assert {file.name: file.read_bytes() for file in finished.iterdir()} == before


def test_resuming_what_is_finished_keeps_what_was_measured(data: Path, finished: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(finished, run)
    entry = read_manifest(run).models["detector"].model_copy(update={"operating_point": 0.37})
    write_entry(run, "detector", entry)
    fit(config("detector", epochs=1), data, run, resume=True)
    assert read_manifest(run).models["detector"] == entry


def test_weights_that_cannot_be_kept_claim_nothing(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fit(config("detector", epochs=1), data, tmp_path)
    before = read_manifest(tmp_path)
    (tmp_path / "checkpoint.pt").unlink()  # with it the second run would be refused

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(streamer.training.loop, "save_file", full)
    with pytest.raises(OutputError, match="No space left"):
        fit(config("detector", epochs=1, seed=9), data, tmp_path)
    assert read_manifest(tmp_path) == before


def test_a_manifests_own_sources_are_taken(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO, logger="streamer")
    taken: list[TrainingConfig] = []
    monkeypatch.setattr(streamer.training.command, "train", lambda settings, *_, **__: taken.append(settings))
    train_network(
        "detector", data, config=None, folder=tmp_path / "run", weights=None, device="cpu", threads=1, resume=False
    )
    assert list(taken[0].sources) == ["tiny"]
    assert "sources: tiny, all that data.csv names" in caplog.text
    monkeypatch.setattr(streamer.training.command, "manifest_sources", lambda _: ["gland", "city"])
    train_network(
        "detector", data, config=None, folder=tmp_path / "run", weights=None, device="cpu", threads=1, resume=False
    )
    assert {source: one.stride for source, one in taken[1].sources.items()} == {"gland": 3, "city": 1}


def test_a_checkpoint_of_an_earlier_version_is_resumed(data: Path, finished: Path, tmp_path: Path) -> None:
    """Fields that came since are at their default; fields that went do not matter."""
    checkpoint = torch.load(finished / "checkpoint.pt", weights_only=True)
    del checkpoint["config"]["val_stride"]
    del checkpoint["config"]["sources"]["tiny"]["patients"]
    checkpoint["config"]["a_field_that_went"] = None
    torch.save(checkpoint, tmp_path / "checkpoint.pt")
    for name in ("best.safetensors", "history.csv"):
        (tmp_path / name).write_bytes((finished / name).read_bytes())
    fit(config("detector", epochs=1), data, tmp_path, resume=True)
    assert len(history(tmp_path)) == 1


@pytest.mark.parametrize("content", [b"", b"rubbish", b"PK\x03\x04" + b"x" * 100])
def test_a_damaged_checkpoint(data: Path, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint.pt").write_bytes(content)
    with pytest.raises(DataError, match=r"checkpoint\.pt is damaged"):
        fit(config("detector"), data, tmp_path, resume=True)


def test_a_folder_that_cannot_be_made(data: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot make the run folder"):
        fit(config("detector"), data, tmp_path / "file" / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 7}, "fewer usable training images than a batch of 7"),
        ({"sources": {"cine": {}}}, "has 0 training and 0 validation images of cine"),
        ({"init": "absent.safetensors"}, "starting tensors are missing"),
    ],
)
def test_data_that_do_not_do(data: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        fit(config("detector", **changes), data, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_networks_it_builds_on_must_be_there(data: Path, tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights at"):
        fit(config("classifier", encoder_from_segmenter=True), data, tmp_path / "run", weights=tmp_path)


def test_validation_without_one_of_the_classes(tmp_path: Path) -> None:
    manifest = write_data(tmp_path, train=6, val=1)
    with pytest.raises(DataError, match="cannot give auc"):
        fit(config("classifier", epochs=1), manifest, tmp_path / "run")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"size_wh": [100, 64]}, "multiple of 32"),
        ({"size_wh": [96, 64]}, "crops are square"),
        ({"frozen_blocks": 2}, "would keep random numbers"),
        ({"epochs": 0}, "'epochs'"),
        ({"architecture": "densenet121-fpn"}, "architecture of a classifier is one of densenet121"),
        ({"batch": 0}, "'batch'"),
        ({"role": "painter"}, "'role'"),
        ({"leave_out": "patient=7"}, "'leave_out'"),
        ({"self_training": 1.5}, "'self_training'"),
        ({"start_from_weights": "perhaps"}, "'start_from_weights'"),
    ],
)
def test_a_wrong_configuration(changes: dict[str, object], message: str) -> None:
    data = {**config("classifier").model_dump(mode="json"), **changes}
    with pytest.raises(SettingsError) as caught:
        validated(TrainingConfig, data, "x.yaml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("x.yaml: ")


def test_the_configuration_must_be_the_networks(data: Path, tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(config("detector").model_dump_json())
    with pytest.raises(SettingsError, match="configures the detector, not the segmenter"):
        train_network(
            "segmenter",
            data,
            config=tmp_path / "c.yaml",
            folder=tmp_path / "run",
            weights=None,
            device="cpu",
            threads=1,
            resume=False,
        )
