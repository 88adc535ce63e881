"""A network of your own: which of three scanners a frame comes from. Architecture, trainer, evaluator, one entry.

python examples/own_network.py MANIFEST RUN
"""

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import nn

from streamer.data.pixels import Picture, load_pictures
from streamer.evaluation.command import evaluate as measure
from streamer.evaluation.evaluation_run import EvaluationRun
from streamer.evaluation.result import Evaluation, Result
from streamer.evaluation.tasks import Evaluator
from streamer.metrics.estimate import proportion
from streamer.models.networks import load_network
from streamer.models.registry import OperatingPoint, TaskSpec, register_task
from streamer.models.weights_manifest import read_manifest
from streamer.settings import validated
from streamer.training.config import Ingredient, TrainingConfig
from streamer.training.loop import Batch
from streamer.training.precision import Forward
from streamer.training.train import train

SCANNERS = ("A", "B", "C")


def build(_architecture: str, classes: int) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, classes)
    )


class ScannerTask:
    """What `streamer.training.loop.Task` asks for."""

    target = "accuracy"

    def __init__(self, config: TrainingConfig, train: Sequence[Picture], val: Sequence[Picture]) -> None:
        self.config, self.train, self.val = config, train, val
        self.network, self.training_only = build(config.architecture, len(SCANNERS)), nn.Module()

    def steps(self) -> int:
        return len(self.train) // self.config.batch

    def batches(self, rng: np.random.Generator) -> Iterator[Batch]:
        order = rng.permutation(len(self.train))[: self.steps() * self.config.batch]
        for chosen in np.split(order, self.steps()):
            yield self._batch([self.train[index] for index in chosen])

    def loss(self, forward: Forward, batch: Batch) -> torch.Tensor:
        return nn.functional.cross_entropy(forward(batch["image"]), batch["scanner"])

    def validate(self, network: nn.Module) -> dict[str, float]:
        batch = self._batch(self.val)
        right = network(batch["image"]).argmax(1) == batch["scanner"]
        return {"accuracy": float(right.float().mean())}

    def _batch(self, pictures: Sequence[Picture]) -> Batch:
        images = np.stack([cv2.resize(picture.grey, self.config.size_wh) for picture in pictures])
        scanners = [SCANNERS.index(str(picture.sample.vendor)) for picture in pictures]
        return {"image": torch.from_numpy(images).unsqueeze(1) / 255, "scanner": torch.tensor(scanners)}


def main_results(run: EvaluationRun) -> list[Result]:
    """Share of held-out frames whose scanner is named rightly."""
    samples = run.held_out("scanner").select(lambda sample: sample.vendor in SCANNERS, "frame of a known scanner")
    config = validated(TrainingConfig, run.entry("scanner").training.config, "the scanner's training")
    accuracy = ScannerTask(config, [], load_pictures(samples)).validate(
        load_network(run.weights, "scanner", run.manifest)
    )["accuracy"]
    figure = proportion(round(accuracy * len(samples)), len(samples))
    part = {"data": "stills", "split": "val", "count_of": "images", "clusters_of": "images"}
    return [Result(name="accuracy", figure=figure, **part)]


def evaluate(run: EvaluationRun, _choosing: bool) -> Evaluation:
    return Evaluation(subject="scanner", results=tuple(main_results(run)), plots={}, settings={}, notes=())


SCANNER = TaskSpec(
    name="scanner",
    purpose="tells which scanner made a frame",
    view="frame",
    target="label",
    classes=SCANNERS,
    architectures={"tiny-scanner": build},
    trainer=ScannerTask,
    evaluator=Evaluator(evaluate=evaluate, main_results=main_results),
    operating_point=OperatingPoint(meaning="probability of a scanner", initial=0.5, source="not yet chosen"),
)


def main(manifest: str, run: str) -> None:
    register_task(SCANNER)
    config = TrainingConfig(
        role="scanner",
        architecture="tiny-scanner",
        sources={"stills": Ingredient()},
        size_wh=(64, 64),
        epochs=1,
        batch=3,
    )
    folder = train(config, Path(manifest), Path(run), device=torch.device("cpu"), weights=Path(run))
    learned = read_manifest(folder).models["scanner"].training.data["stills"].text()
    figure = measure("scanner", Path(manifest), Path(run) / "evaluation", weights=folder).results[0].figure
    print(f"learned from {learned}; accuracy over {figure.count} images, {figure.low:.2f} to {figure.high:.2f}")


if __name__ == "__main__":
    main(*sys.argv[1:])
