"""What the commands do: a training prepared, a study evaluated, readers compared, a study simulated, the demo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from streamer._files import write_whole
from streamer._resources import configs_dir
from streamer._yaml import read_yaml
from streamer.backends.select import available_cores
from streamer.errors import DataError, DeviceError
from streamer.evaluation.writer import EvaluationFolder
from streamer.models.registry import SCINTIGRAPHY, load_object
from streamer.scintigraphy.answers import predictions_csv, read_predictions
from streamer.scintigraphy.architectures import ARCHITECTURES
from streamer.scintigraphy.architectures import TITLES as NETWORKS
from streamer.scintigraphy.config import ScintigraphyConfig
from streamer.scintigraphy.evaluation import Outcome, Study, evaluate_readers
from streamer.scintigraphy.phantom.camera import HOSPITALS
from streamer.scintigraphy.phantom.study import TRUTH, Format, PhantomStudy, write_study
from streamer.scintigraphy.readings import count_readings, read_readings, simulate_reader, write_readings
from streamer.scintigraphy.samples import FOLDS, ScintigraphyData, read_samples
from streamer.scintigraphy.training import Trainer
from streamer.scintigraphy.weights import read_entry
from streamer.settings import validated

PREDICTIONS = "predictions.csv"
PAGE = "report.html"

Progress = Callable[[str], None]

_DEMO_IMAGES = {"north": 36, "south": 30}
"""A class: 144 images to train and validate on, 120 of the second hospital."""
_DEMO_RECIPE: dict[str, Any] = {
    "size_px": 64,
    "epochs": 6,
    "batch": 16,
    "learning_rate": 0.0006,
    "ema_decay": 0.9,
    "patience": 6,
    "start": "scratch",
}
"""What differs from `configs/scintigraphy-small.yaml`: small pictures and few epochs, for the ten minutes of a demo."""
_DEMO_RECIPES: dict[str, dict[str, Any]] = {
    "shufflenet-v2": {"epochs": 12, "patience": 12},
    "mobilenet-v3": {"epochs": 16, "patience": 16},
}
"""The light networks have learned nothing after six epochs: their batch statistics lag. An epoch of theirs is short."""
_DEMO_STEPS = 1 + len(ARCHITECTURES) + FOLDS - 1 + 1
_READERS = {"simulated junior": (0.741, 0.702), "simulated senior": (0.860, 0.868)}
"""Accuracy on internal and external images: that of the paper's junior and senior physician."""


def prepare_training(
    data: Path,
    config: Path | None,
    *,
    network: str | None = None,
    internal: str | None = None,
    pretrained: Path | None = None,
    device: str = "auto",
    threads: int = 0,
) -> Trainer:
    """Read recipe and data.

    Args:
        data: folder or CSV.
        config: recipe; None for the paper's.
        network: overrides the recipe's.
        internal: centre to train on.
        pretrained: state dict to start from.
        device: "auto", "cpu" or "cuda".
        threads: CPU threads; 0 for all cores.

    Raises:
        SettingsError: the recipe is wrong.
        DataError: the data are.
        DeviceError: CUDA is asked for and absent.
    """
    path = config or configs_dir() / "scintigraphy-paper.yaml"
    given = {} if network is None else {"architecture": network}
    recipe = validated(ScintigraphyConfig, {**read_yaml(path), **given}, str(path))
    cuda = torch.cuda.is_available()
    if device == "cuda" and not cuda:
        raise DeviceError("CUDA was asked for, but torch finds no CUDA device: use --device cpu or auto")
    torch.set_num_threads(threads or available_cores())
    target = torch.device("cuda" if cuda and device != "cpu" else "cpu")
    samples = read_samples(data, internal=internal, seed=recipe.seed)
    return Trainer.prepare(recipe, samples, device=target, pretrained=pretrained)


def evaluate_study(
    runs: Sequence[Path],
    data: Path,
    output: Path,
    *,
    folds: Sequence[Path] = (),
    readings: Path | None = None,
    internal: str | None = None,
    seed: int = 0,
    allowed: bool = False,
    on_progress: Progress = lambda _: None,
) -> Path:
    """Evaluate networks on a study and write page, tables, figures and the best network's answers.

    Returns:
        The page.

    Raises:
        DataError, WeightsError: see `evaluation.evaluate`.
        OutputError: the folder cannot be written.
    """
    samples = read_samples(data, internal=internal or _internal_of(runs, data), seed=seed)
    said = {} if readings is None else read_readings(readings, samples.samples)
    study = Study(data=samples, allowed=allowed, readings=said)
    with EvaluationFolder(output) as folder:
        outcome: Outcome = load_object(SCINTIGRAPHY.evaluator)(study, runs, folds=folds, on_progress=on_progress)
        write_whole(output / PREDICTIONS, predictions_csv(outcome.best, _all_marks(study, outcome.best)).encode())
        folder.write(outcome.evaluation, {str(run): read_entry(run) for run in runs})
    return output / PAGE


def compare_with_readers(predictions: Path, readings: Path, output: Path) -> Path:
    """Tables 4 and 5, Figure 5 and tests from written answers and readings; returns the page.

    Readings of patients without a written answer, such as those trained on, are left out; the page says how many.

    Raises:
        DataError: a file cannot be read, or they do not fit.
        OutputError: the folder cannot be written.
    """
    best, mark = read_predictions(predictions)
    samples = [sample for said in best.values() for sample in said.samples]
    said = read_readings(readings, samples, others=True)
    left_out = count_readings(readings) - sum(len(own) for own in said.values())
    with EvaluationFolder(output) as folder:
        folder.write(evaluate_readers(best, said, mark, left_out=left_out), {})
    return output / PAGE


def simulate_study(
    output: Path,
    images: int,
    external: int,
    *,
    centres: int = 2,
    formats: Sequence[Format] = ("jpeg",),
    seed: int = 0,
    workers: int = 0,
) -> int:
    """Simulate a study of about so many images of the first centre and of each other one; returns their number.

    Raises:
        OutputError: the folder is not empty or cannot be written.
    """
    names = list(HOSPITALS)[:centres]
    counts = {name: max(1, round((images if number == 0 else external) / 4)) for number, name in enumerate(names)}
    if external == 0:
        counts = {names[0]: counts[names[0]]}
    study = PhantomStudy(images=counts, seed=seed, formats=tuple(formats))
    return write_study(study, output, workers=workers or available_cores())


def run_demo(output: Path, *, threads: int = 0, on_progress: Progress = lambda _: None) -> Path:
    """The whole study on simulated images; what is finished of an interrupted demo is kept. Returns the page.

    Raises:
        OutputError: the folder cannot be written, or holds something else.
    """
    threads = threads or available_cores()
    study_folder, runs = output / "study", output / "runs"
    steps = iter(range(1, _DEMO_STEPS + 1))

    def tell(step: str) -> None:
        on_progress(f"step {next(steps)} of {_DEMO_STEPS}: {step}")

    tell("simulate two hospitals")
    if not (study_folder / TRUTH).is_file():
        write_study(PhantomStudy(images=_DEMO_IMAGES, seed=1), study_folder, workers=threads)
    torch.set_num_threads(threads)
    data = read_samples(study_folder, internal="north")
    trainers = {name: _demo_trainer(data, name) for name in ARCHITECTURES}
    best = trainers["resnet34-fc"]
    best.check_folds()
    wanted = [(f"train {NETWORKS[name]}", trainer, runs / name, 0) for name, trainer in trainers.items()]
    wanted += [
        (f"cross-validate, fold {fold + 1} of {FOLDS}", best, runs / f"fold-{fold}", fold)
        for fold in range(1, FOLDS)  # the split is fold 0
    ]
    for step, trainer, folder, fold in wanted:
        tell(step)
        if not trainer.is_trained(folder, fold):
            trainer.train(folder, fold=fold, resume=True)
    tell("validate on the second hospital, compare with simulated readers")
    readings = output / "readings.csv"
    held = [sample for sample in data.samples if sample.split != "train"]
    write_readings(
        readings,
        {
            name: simulate_reader(held, internal=inside, external=outside, seed=seed)
            for seed, (name, (inside, outside)) in enumerate(_READERS.items())
        },
    )
    return evaluate_study(
        [runs / name for name in ARCHITECTURES],
        study_folder,
        output / "evaluation",
        folds=[runs / "resnet34-fc", *(runs / f"fold-{fold}" for fold in range(1, FOLDS))],
        readings=readings,
        internal="north",
        on_progress=on_progress,
    )


def _demo_trainer(data: ScintigraphyData, name: str) -> Trainer:
    own = {**_DEMO_RECIPE, **_DEMO_RECIPES.get(name, {}), "architecture": name}
    recipe = {**read_yaml(configs_dir() / "scintigraphy-small.yaml"), **own}
    return Trainer.prepare(validated(ScintigraphyConfig, recipe, "the demo"), data, device=torch.device("cpu"))


def _internal_of(runs: Sequence[Path], data: Path) -> str | None:
    """The internal centre that the runs were trained on, so that it need not be said again.

    Raises:
        DataError: the runs differ in it.
    """
    names = {read_entry(run).training.internal for run in runs if read_entry(run).training.rule != "as given"}
    if len(names) > 1:
        raise DataError(f"the runs were trained on different centres of {data}: name one with --internal")
    return next(iter(names), None)


def _all_marks(study: Study, best: Any) -> dict[Path, str]:
    """The mark of every image; that of simulated images, where it has no other."""
    marks = {sample.image: study.mark for said in best.values() for sample in said.samples}
    return {**marks, **study.marks}
