"""Scores that a detector learns from others: mean, mirror image, loss, and what is recorded of whom."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import streamer.training.teachers
from streamer.errors import DataError, WeightsError
from streamer.models.architectures import build_detector
from streamer.models.weights_manifest import read_manifest
from streamer.training.detector import DetectorTask
from streamer.training.teachers import Teachers, load_teachers, score_loss
from streamer.training.train import train
from tests.training.tiny import config, picture, write_data

CPU = torch.device("cpu")
STRIDES = (8, 16, 32)


def network(seed: int) -> torch.nn.Module:
    """A detector at random that gives scores well above nothing."""
    torch.manual_seed(seed)
    made = build_detector("yolov5n")
    for branch in made.model[-1].cv3:  # type: ignore[index, union-attr]
        torch.nn.init.normal_(branch[-1].weight, std=0.5)
        torch.nn.init.zeros_(branch[-1].bias)
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        made.train()(torch.rand(4, 3, 64, 96))  # statistics to normalise by: without them the features die out
    return made


@pytest.fixture
def images() -> torch.Tensor:
    return torch.rand(2, 1, 64, 96).expand(-1, 3, -1, -1)


def levels(scores: torch.Tensor) -> list[torch.Tensor]:
    """Scores by stride, shape (n, rows, columns)."""
    shapes = [(64 // stride, 96 // stride) for stride in STRIDES]
    parts = torch.split(scores[:, 0], [rows * columns for rows, columns in shapes], 1)
    return [part.reshape(len(scores), *shape) for part, shape in zip(parts, shapes, strict=True)]


def test_a_picture_and_its_mirror_image_are_taught_the_same(images: torch.Tensor) -> None:
    teachers = Teachers([network(0)], {})
    straight, mirrored = teachers.scores(images), teachers.scores(images.flip(3))
    assert straight.shape == (2, 1, 8 * 12 + 4 * 6 + 2 * 3)
    assert straight.std() > 0.01
    for one, other in zip(levels(straight), levels(mirrored), strict=True):
        torch.testing.assert_close(one, other.flip(2), atol=0.02, rtol=0)  # bfloat16, where there is


def test_one_teacher_says_the_mean_of_both_views(images: torch.Tensor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streamer.training.teachers, "mixed_precision", lambda network, _: network)
    made = network(1)
    taught = levels(Teachers([made], {}).scores(images))
    with torch.no_grad():
        plain, turned = (levels(made.eval()(view)[0][:, 4:5]) for view in (images, images.flip(3)))
    for found, one, other in zip(taught, plain, turned, strict=True):
        torch.testing.assert_close(found, (one + other.flip(2)) / 2, atol=1e-3, rtol=0)


def test_several_teachers_say_their_mean(images: torch.Tensor) -> None:
    one, other = network(0), network(1)
    together = Teachers([one, other], {}).scores(images)
    alone = [Teachers([single], {}).scores(images) for single in (one, other)]
    torch.testing.assert_close(together, (alone[0] + alone[1]) / 2)
    assert not any(parameter.requires_grad for parameter in one.parameters())


def test_the_loss_is_nothing_where_both_agree_and_pulls_where_they_do_not() -> None:
    taught = torch.tensor([[[0.9, 0.2, 0.0, 1.0]]])
    agreeing = torch.logit(taught.clamp(1e-6, 1 - 1e-6))
    assert float(score_loss(agreeing, taught)) == pytest.approx(0, abs=1e-4)
    logits = torch.zeros(1, 1, 4, requires_grad=True)
    loss = score_loss(logits, taught)
    # Kullback-Leibler divergence of a coin from each score, over 2.1 nodules' worth of score.
    divergence = [np.log(2) + sum(p * np.log(p) for p in (q, 1 - q) if p) for q in (0.9, 0.2, 0.0, 1.0)]
    assert float(loss.detach()) == pytest.approx(sum(divergence) / 2.1, abs=1e-3)
    loss.backward()  # type: ignore[no-untyped-call]
    assert logits.grad is not None
    assert (logits.grad.sign() == torch.tensor([[[-1, 1, 1, -1]]])).all()


def test_little_taught_score_does_not_blow_the_loss_up() -> None:
    assert float(score_loss(torch.zeros(1, 1, 4), torch.zeros(1, 1, 4))) == pytest.approx(4 * np.log(2), abs=1e-3)


def test_teachers_teach_as_much_as_soft_scores_say_and_in_ignored_regions_too() -> None:
    everything = replace(picture(0), boxes_xyxy=(), ignore_xyxy=(picture(0).whole_view,))
    found = {}
    for weight in (0.0, 1.0, 2.0):
        task = DetectorTask(
            config("detector", mosaic=0.0, scale=0.0, batch=1, soft_scores=weight), [everything], [picture(1)]
        )
        task.teachers = Teachers([network(0)], {}) if weight else None
        torch.manual_seed(0)
        task.network.train()
        (batch,) = task.batches(np.random.default_rng(0))
        with torch.no_grad():
            found[weight] = float(task.loss(network(5), batch))
    assert found[1.0] > found[0.0]
    assert found[2.0] - found[0.0] == pytest.approx(2 * (found[1.0] - found[0.0]), rel=1e-3)


def test_who_teaches(weights_folder: Path, tmp_path: Path) -> None:
    entry = read_manifest(weights_folder).models["detector"]
    size = {name: getattr(entry.preprocessing, name) for name in ("size_wh", "mean", "std")}
    assert load_teachers(config("detector"), weights_folder, []) is None
    own = load_teachers(config("detector", soft_scores=1.0, **size), weights_folder, [])
    assert own is not None
    assert own.origin == {"teacher 1": entry.sha256}
    both = load_teachers(config("detector", soft_scores=1.0, **size), tmp_path, [weights_folder, weights_folder])
    assert both is not None
    assert both.origin == {"teacher 1": entry.sha256, "teacher 2": entry.sha256}


def test_teachers_that_cannot_teach(weights_folder: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="--teacher does nothing without soft_scores"):
        load_teachers(config("detector"), weights_folder, [weights_folder])
    with pytest.raises(DataError, match=r"has size_wh \(96, 64\), the detector that learns \(32, 32\)"):
        load_teachers(config("detector", soft_scores=1.0, size_wh=[32, 32]), weights_folder, [])
    with pytest.raises(WeightsError):
        load_teachers(config("detector", soft_scores=1.0), weights_folder, [tmp_path])


def test_a_taught_run_records_its_teachers(tmp_path: Path) -> None:
    data = write_data(tmp_path)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        first = train(config("detector", epochs=1), data, tmp_path / "first", device=CPU, weights=Path("none"))
        taught = config("detector", epochs=1, soft_scores=1.0, start_from_weights=True)
        second = train(taught, data, tmp_path / "second", device=CPU, weights=first, teachers=[first])
    finally:
        torch.set_num_threads(threads)
    digest = read_manifest(first).models["detector"].sha256
    assert read_manifest(second).models["detector"].training.built_on == {"detector": digest, "teacher 1": digest}
