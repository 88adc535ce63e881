"""What a training builds on: tensors it starts from, networks it starts from or is taught by."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import nn

from streamer.errors import DataError, WeightsError
from streamer.models.networks import load_fitting, load_network
from streamer.models.region_head import RegionClassifier, from_plain_head
from streamer.models.weights_manifest import ModelEntry, Role, read_manifest
from streamer.training.config import TrainingConfig

_ENCODER = "encoder."
"""Where the segmenter has what is the classifier's whole but for its head."""


def built_on(config: TrainingConfig, data: Path, weights: Path) -> dict[str, str]:
    """SHA-256 of all that a training builds on: networks by role, "init" for a file of tensors.

    Raises:
        DataError: the file of tensors is missing.
        WeightsError: a network is missing.
    """
    found: dict[str, str] = {role: entry.sha256 for role, entry in _networks(config, weights).items()}
    if config.init is not None:
        found["init"] = hashlib.sha256(_tensors(config.init, data).read_bytes()).hexdigest()
    return found


def parents_trained_on_left_out_site(config: TrainingConfig, weights: Path) -> list[Role]:
    """The networks a training builds on that did not leave out the same centre: they may have learned from it.

    Raises:
        WeightsError: a network is missing.
    """
    if config.leave_out is None:
        return []
    kind, _, name = config.leave_out.partition("=")
    return [
        role
        for role, entry in _networks(config, weights).items()
        if entry.training.config.get("leave_out") != config.leave_out
        and not (kind == "source" and name not in entry.training.config.get("sources", ()))
    ]


def check_label_leakage(config: TrainingConfig, weights: Path) -> None:
    """See that a classifier does not start from one that has learned from the labels of the fold it holds out.

    A segmenter may carry such a one on, where its encoder is or was a classifier's.

    Raises:
        DataError: it would, or nobody knows.
        WeightsError: a network is missing.
    """
    if config.role != "classifier" or "tn3k" not in config.sources:
        return
    for role, entry in _networks(config, weights).items():
        if role == "detector" or (role == "segmenter" and _has_its_own_encoder(entry)):
            continue
        teacher = entry if role == "classifier" else read_manifest(weights).models.get("classifier")
        if teacher is not None and (teacher is entry or teacher.sha256 == entry.encoder_from):
            learned = teacher.training.config
            if "tn3k" not in learned.get("sources", {}) or learned.get("tn3k_val_fold") == config.tn3k_val_fold:
                continue
        raise DataError(
            f"the {role} of {weights} has learned from labels of fold {config.tn3k_val_fold} of tn3k, or may have: "
            "start from a segmenter with an encoder of its own (configs/train-segmenter-first.yaml, --weights)"
        )


def _has_its_own_encoder(segmenter: ModelEntry) -> bool:
    learned_before = {"segmenter", "classifier", "init"} & set(segmenter.training.built_on)
    return segmenter.encoder_from is None and not learned_before


def check_same_preprocessing(config: TrainingConfig, weights: Path) -> None:
    """See that a segmenter on the classifier's encoder is shown the same crops: else they could never run as one.

    Raises:
        DataError: it is not.
        WeightsError: the classifier is missing.
    """
    if not config.encoder_from_classifier:
        return
    own, other = config.preprocessing, _networks(config, weights)["classifier"].preprocessing
    for name in ("size_wh", "mean", "std", "margin"):
        ours, theirs = getattr(own, name), getattr(other, name)
        if ours != theirs:
            raise DataError(
                f"on the classifier's encoder the segmenter must see the classifier's crops: {name} is {ours}, "
                f"but {theirs} there"
            )


def verify_frozen_encoder(tensors: Mapping[str, torch.Tensor], config: TrainingConfig, weights: Path) -> str | None:
    """SHA-256 of the classifier whose encoder a segmenter was to keep, if its tensors are still the same, bit for bit.

    They are not where a run was resumed beside another classifier.
    """
    if not config.encoder_from_classifier:
        return None
    encoder = _learned(weights, "classifier")
    same = all(
        torch.equal(tensor, encoder[name.removeprefix(_ENCODER)])
        for name, tensor in tensors.items()
        if name.startswith(_ENCODER) and tensor.is_floating_point()
    )
    return read_manifest(weights).models["classifier"].sha256 if same else None


def initialise(network: nn.Module, config: TrainingConfig, data: Path, weights: Path) -> int:
    """Copy what an earlier network has learned; return how many tensors fitted.

    Raises:
        DataError: the file of tensors is missing.
        WeightsError: the network is missing or damaged.
    """
    tensors: dict[str, torch.Tensor] = {}
    if config.init is not None:
        tensors = load_file(_tensors(config.init, data))
    elif config.start_from_weights:
        tensors = _learned(weights, config.role)
    elif config.encoder_from_segmenter:
        segmenter = _learned(weights, "segmenter")
        tensors = {name.removeprefix(_ENCODER): tensor for name, tensor in segmenter.items()}
    if config.encoder_from_classifier:
        tensors |= {_ENCODER + name: tensor for name, tensor in _learned(weights, "classifier").items()}
    if isinstance(network, RegionClassifier) and "classifier.0.weight" in tensors:
        tensors = from_plain_head(tensors)
    return load_fitting(network, tensors)


def _learned(weights: Path, role: Role) -> dict[str, torch.Tensor]:
    return load_network(weights, role, read_manifest(weights)).state_dict()


def _networks(config: TrainingConfig, weights: Path) -> dict[Role, ModelEntry]:
    roles: list[Role] = []
    if config.boxes_from_detector or config.self_training is not None:
        roles.append("detector")
    if config.init is None and config.start_from_weights:
        roles.append(config.role)
    elif config.init is None and config.encoder_from_segmenter:
        roles.append("segmenter")
    if config.encoder_from_classifier:
        roles.append("classifier")
    if config.outlines_from_segmenter and "segmenter" not in roles:
        roles.append("segmenter")
    if not roles:
        return {}
    models = read_manifest(weights).models
    for role in roles:
        if role not in models:
            raise WeightsError(f"{weights} has no {role} to build on: name another folder with --weights")
    return {role: models[role] for role in roles}


def _tensors(init: Path, data: Path) -> Path:
    path = (data if data.is_dir() else data.parent) / init
    if not path.is_file():
        raise DataError(f"the configuration's starting tensors are missing: {path}")
    return path
