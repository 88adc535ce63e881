"""What a training builds on, and what is recorded of it."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from streamer.errors import DataError, WeightsError
from streamer.models.architectures import build_detector
from streamer.models.networks import load_network
from streamer.models.weights_manifest import read_manifest, write_entry
from streamer.training.config import TrainingConfig
from streamer.training.initialisation import (
    built_on,
    check_label_leakage,
    check_same_preprocessing,
    initialise,
    parents_trained_on_left_out_site,
    verify_frozen_encoder,
)
from tests.random_weights import write_joint_weights
from tests.training.tiny import config


@pytest.mark.parametrize(
    ("role", "changes", "roles"),
    [
        ("detector", {}, []),
        ("detector", {"self_training": 0.35}, ["detector"]),
        ("detector", {"start_from_weights": True}, ["detector"]),
        ("classifier", {"boxes_from_detector": True, "encoder_from_segmenter": True}, ["detector", "segmenter"]),
        ("classifier", {"start_from_weights": True}, ["classifier"]),
        ("segmenter", {"start_from_weights": True, "encoder_from_classifier": True}, ["segmenter", "classifier"]),
        ("segmenter", {"encoder_from_classifier": True}, ["classifier"]),
    ],
)
def test_the_networks_it_builds_on_are_recorded(
    role: str, changes: Mapping[str, object], roles: list[str], weights_folder: Path
) -> None:
    models = read_manifest(weights_folder).models
    found = built_on(config(role, **changes), Path("data"), weights_folder)
    assert found == {name: entry.sha256 for name, entry in models.items() if name in roles}
    assert len(found) == len(roles)


def test_a_file_of_tensors_is_recorded(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "start.safetensors")
    settings = config("detector", init="start.safetensors", start_from_weights=True)  # the file comes first
    digest = sha256((tmp_path / "start.safetensors").read_bytes()).hexdigest()
    assert built_on(settings, tmp_path, tmp_path) == {"init": digest}
    with pytest.raises(DataError, match="starting tensors are missing"):
        built_on(config("detector", init="absent"), tmp_path, tmp_path)


def test_a_network_that_is_not_there(weights_folder: Path, tmp_path: Path) -> None:
    write_entry(tmp_path, "segmenter", read_manifest(weights_folder).models["segmenter"])
    with pytest.raises(WeightsError, match="has no detector to build on"):
        built_on(config("detector", self_training=0.5), tmp_path, tmp_path)


def test_starting_from_the_weights(weights_folder: Path) -> None:
    published = load_network(weights_folder, "detector", read_manifest(weights_folder)).state_dict()
    network = build_detector("yolov5n")
    settings = config("detector", start_from_weights=True)
    assert initialise(network, settings, Path("data"), weights_folder) == len(published)
    assert all(torch.equal(tensor, published[name]) for name, tensor in network.state_dict().items())
    assert initialise(network, config("detector"), Path("data"), weights_folder) == 0


def test_a_teacher_that_knew_the_left_out_centre_is_named(weights_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(weights_folder, tmp_path / "weights")
    entry = read_manifest(weights_folder).models["detector"]
    training = {"sources": {"city": {}}, "leave_out": "hospital=A"}
    update = {"training": entry.training.model_copy(update={"config": training})}
    write_entry(tmp_path / "weights", "detector", entry.model_copy(update=update))
    for left_out, expected in [
        (None, []),
        ("hospital=A", []),
        ("hospital=B", ["detector"]),
        ("source=city", ["detector"]),
        ("source=elsewhere", []),
    ]:
        settings = config("detector", self_training=0.5, leave_out=left_out)
        assert parents_trained_on_left_out_site(settings, tmp_path / "weights") == expected, left_out


def classifier_of_fold(fold: int, **changes: object) -> TrainingConfig:
    return config("classifier", sources={"tn3k": {}}, tn3k_val_fold=fold, **changes)


@pytest.mark.parametrize("start", ["encoder_from_segmenter", "start_from_weights"])
def test_labels_of_the_fold_held_out_are_not_known(start: str, weights_folder: Path, tmp_path: Path) -> None:
    """A classifier that held out fold 0 has seen the labels of fold 1, and so has a segmenter with its encoder."""
    folder = write_joint_weights(tmp_path)
    entry = read_manifest(folder).models["classifier"]
    training = {"sources": {"tn3k": {}}, "tn3k_val_fold": 0}
    update = {"training": entry.training.model_copy(update={"config": training})}
    write_entry(folder, "classifier", entry.model_copy(update=update))
    check_label_leakage(classifier_of_fold(0, **{start: True}), folder)
    check_label_leakage(classifier_of_fold(1), folder)
    check_label_leakage(classifier_of_fold(1, encoder_from_segmenter=True), weights_folder)  # an encoder of its own
    check_label_leakage(config("classifier", **{start: True}), folder)  # other data
    with pytest.raises(DataError, match=r"has learned from labels of fold 1 of tn3k, or may have: start from"):
        check_label_leakage(classifier_of_fold(1, **{start: True}), folder)


def test_an_encoder_of_an_unknown_classifier(tmp_path: Path) -> None:
    folder = write_joint_weights(tmp_path)
    entry = read_manifest(folder).models["segmenter"].model_copy(update={"encoder_from": "0" * 64})
    write_entry(folder, "segmenter", entry)
    with pytest.raises(DataError, match="or may have"):
        check_label_leakage(classifier_of_fold(0, encoder_from_segmenter=True), folder)


def test_an_encoder_that_went_on_learning(weights_folder: Path, tmp_path: Path) -> None:
    """It was another network's once: what that one had seen, nobody knows."""
    shutil.copytree(weights_folder, tmp_path / "weights")
    entry = read_manifest(weights_folder).models["segmenter"]
    training = entry.training.model_copy(update={"built_on": {"segmenter": "0" * 64}})
    write_entry(tmp_path / "weights", "segmenter", entry.model_copy(update={"training": training}))
    with pytest.raises(DataError, match="or may have"):
        check_label_leakage(classifier_of_fold(0, encoder_from_segmenter=True), tmp_path / "weights")


def test_a_classifier_of_other_data_knows_no_labels(weights_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(weights_folder, tmp_path / "weights")
    entry = read_manifest(weights_folder).models["classifier"]
    training = entry.training.model_copy(update={"config": {"sources": {"mine": {}}, "tn3k_val_fold": 0}})
    write_entry(tmp_path / "weights", "classifier", entry.model_copy(update={"training": training}))
    check_label_leakage(classifier_of_fold(1, start_from_weights=True), tmp_path / "weights")


def test_crops_must_be_the_classifiers(weights_folder: Path) -> None:
    same = {"mean": 0.3, "std": 0.2, "encoder_from_classifier": True}
    check_same_preprocessing(config("segmenter", **same), weights_folder)
    with pytest.raises(DataError, match=r"must see the classifier's crops: margin is 0\.5, but 0\.25 there"):
        check_same_preprocessing(config("segmenter", **same, margin=0.5), weights_folder)


def test_the_encoder_is_the_classifiers_while_it_is_the_same(weights_folder: Path, tmp_path: Path) -> None:
    folder = write_joint_weights(tmp_path)
    manifest = read_manifest(folder)
    tensors = load_network(folder, "segmenter", manifest).state_dict()
    settings = config("segmenter", encoder_from_classifier=True)
    assert verify_frozen_encoder(tensors, settings, folder) == manifest.models["classifier"].sha256
    assert verify_frozen_encoder(tensors, config("segmenter"), folder) is None
    tensors["encoder.features.conv0.weight"][0, 0, 0, 0] += 1
    assert verify_frozen_encoder(tensors, settings, folder) is None


@pytest.mark.parametrize(
    ("role", "option", "value"),
    [
        ("classifier", "self_training", 0.3),  # would be recorded as built on a detector that teaches nothing
        ("classifier", "mask_weight", 0.5),
        ("segmenter", "mosaic", 0.1),
        ("detector", "margin", 0.1),
        ("segmenter", "whole_view", 0.5),
        ("detector", "encoder_from_segmenter", True),
        ("classifier", "encoder_from_classifier", True),
    ],
)
def test_an_option_that_does_nothing_is_refused(role: str, option: str, value: object) -> None:
    with pytest.raises(ValueError, match=f"{option} does nothing for a {role}: leave it out"):
        config(role, **{option: value})
