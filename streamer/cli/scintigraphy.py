"""`streamer scintigraphy`: train, cross-validate, evaluate, readers, predict, phantom, demo."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from streamer.cli.console import talking
from streamer.cli.options import Device, DeviceOption
from streamer.errors import DataError
from streamer.models.registry import SCINTIGRAPHY

scintigraphy = typer.Typer(
    no_args_is_help=True,
    help="Thyroid scintigraphy: Graves' disease, normal, subacute thyroiditis, tumour. Research use only.",
)


class Format(StrEnum):
    """How a simulated study is written."""

    jpeg = "jpeg"
    dicom = "dicom"
    both = "both"


DataOption = Annotated[Path, typer.Option(help="Folder CENTRE/CLASS/IMAGE or CLASS/IMAGE, or a CSV.")]
InternalOption = Annotated[
    str | None, typer.Option(help="Centre to train on; default: the one with most patients. Others are external.")
]
RecipeOption = Annotated[
    Path | None,
    typer.Option(
        "--config", help="YAML recipe; default: the paper's. configs/scintigraphy-small.yaml suits few images."
    ),
]


def _architecture(name: str) -> str:
    """One of the registered task's networks, which are the paper's."""
    if name not in SCINTIGRAPHY.architectures:
        known = ", ".join(map(repr, SCINTIGRAPHY.architectures))
        raise typer.BadParameter(f"{name!r} is not one of {known}.")
    return name


NetworkOption = Annotated[
    str | None,
    typer.Option(
        help="Network; default: the recipe's.", parser=_architecture, metavar="|".join(SCINTIGRAPHY.architectures)
    ),
]
PretrainedOption = Annotated[
    Path | None, typer.Option(help="State dict to start from: safetensors, or a torch file of tensors.")
]
ThreadsOption = Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 for all cores.")]
ResumeOption = Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint.")]
MarkedOption = Annotated[
    bool,
    typer.Option(
        "--meaningless-for-patients",
        help="Let weights taught by simulated images answer for other images too; every answer is marked.",
    ),
]


@scintigraphy.command(
    epilog="Example: streamer scintigraphy train --data STUDY --config configs/scintigraphy-small.yaml"
)
@talking
def train(
    data: DataOption,
    network: NetworkOption = None,
    config: RecipeOption = None,
    output: Annotated[Path | None, typer.Option(help="Run folder; default: runs/scintigraphy-NETWORK.")] = None,
    internal: InternalOption = None,
    pretrained: PretrainedOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = 0,
    resume: ResumeOption = False,
) -> None:
    """Train one network on the internal centre, 8:2 by patient."""
    trainer = _trainer(data, config, network, internal, pretrained, device, threads)
    folder = output or Path("runs") / f"scintigraphy-{trainer.config.architecture}"
    trainer.train(folder, resume=resume)
    typer.echo(f"weights: {folder}; measure them: streamer scintigraphy evaluate {folder} --data {data}")


@scintigraphy.command(
    "cross-validate", epilog="Example: streamer scintigraphy cross-validate --data STUDY --internal HOSPITAL-1 --resume"
)
@talking
def cross_validate(
    data: DataOption,
    network: NetworkOption = None,
    config: RecipeOption = None,
    output: Annotated[Path, typer.Option(help="Folder of the folds' run folders.")] = Path("runs/scintigraphy-folds"),
    internal: InternalOption = None,
    pretrained: PretrainedOption = None,
    device: DeviceOption = None,
    threads: ThreadsOption = 0,
    resume: ResumeOption = False,
) -> None:
    """Train five networks on the internal centre, each with another fifth of the patients held out."""
    from streamer.scintigraphy.samples import FOLDS

    trainer = _trainer(data, config, network, internal, pretrained, device, threads)
    trainer.check_folds()
    for fold in range(FOLDS):
        folder = output / f"fold-{fold}"
        trained = resume and trainer.is_trained(folder, fold)
        typer.echo(f"fold {fold + 1} of {FOLDS}{': trained already' if trained else ''}")
        if trained:
            continue
        trainer.train(folder, fold=fold, resume=resume)
    typer.echo(f"folds: {output}; measure them: streamer scintigraphy evaluate RUN --folds {output} --data {data}")


@scintigraphy.command(
    epilog="Example: streamer scintigraphy evaluate runs/scintigraphy-resnet34-fc --data STUDY --readings readings.csv"
)
@talking
def evaluate(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders of the networks to compare.")],
    data: DataOption,
    folds: Annotated[Path | None, typer.Option(help="Folder of `cross-validate`, for Table 3.")] = None,
    readings: Annotated[
        Path | None, typer.Option(help="CSV of physicians' readings: reader, patient, reading.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("evaluation/scintigraphy"),
    internal: InternalOption = None,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of the split, as in the recipe.")] = 0,
    meaningless_for_patients: MarkedOption = False,
) -> None:
    """Make the paper's tables 1 to 5 and figures 4 to 6: one page, CSV, JSON and pictures."""
    from streamer.scintigraphy.run import evaluate_study

    fold_runs = [] if folds is None else sorted(path for path in folds.glob("fold-*") if path.is_dir())
    if folds is not None and not fold_runs:
        raise DataError(f"{folds} holds no fold of `streamer scintigraphy cross-validate`")
    page = evaluate_study(
        runs,
        data,
        output,
        folds=fold_runs,
        readings=readings,
        internal=internal,
        seed=seed,
        allowed=meaningless_for_patients,
        on_progress=typer.echo,
    )
    typer.echo(f"results: {page}")


@scintigraphy.command(
    epilog="Example: streamer scintigraphy readers evaluation/scintigraphy/predictions.csv --readings readings.csv"
)
@talking
def readers(
    predictions: Annotated[Path, typer.Argument(help="predictions.csv of `streamer scintigraphy evaluate`.")],
    readings: Annotated[Path, typer.Option(help="CSV of physicians' readings: reader, patient, reading.")],
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("evaluation/scintigraphy-readers"),
) -> None:
    """Compare a network's written answers with physicians' readings: tables 4 and 5, figure 5, tests."""
    from streamer.scintigraphy.run import compare_with_readers

    typer.echo(f"results: {compare_with_readers(predictions, readings, output)}")


@scintigraphy.command(epilog="Example: streamer scintigraphy predict view.dcm --weights runs/scintigraphy-resnet34-fc")
@talking
def predict(
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="JPEG, PNG, DICOM NM, or folders of them.")],
    weights: Annotated[Path, typer.Option(help="Run folder of `streamer scintigraphy train`.")],
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("results/scintigraphy"),
    frame: Annotated[int | None, typer.Option(min=0, help="Frame of a DICOM file; default: the anterior view.")] = None,
    colour_map: Annotated[str | None, typer.Option(help="Colour map of the pictures, if it is not found out.")] = None,
    threads: ThreadsOption = 0,
    meaningless_for_patients: MarkedOption = False,
) -> None:
    """Read images: four probabilities, heat map and counts by region, as HTML, JSON and CSV."""
    from streamer.scintigraphy.classes import CLASSES
    from streamer.scintigraphy.predict import REPORT_HTML, ImageReport, find_images
    from streamer.scintigraphy.predict import predict as read
    from streamer.scintigraphy.predictor import Predictor

    def tell(_: int, report: ImageReport) -> None:
        if report.probabilities is not None:
            shown = "  ".join(f"{name} {value:.3f}" for name, value in zip(CLASSES, report.probabilities, strict=True))
            typer.echo("  ".join([report.name, shown, *(f"[{mark}]" for mark in report.marks)]))

    paths = find_images(images)
    read(
        paths,
        Predictor(weights, threads=threads),
        output,
        allowed=meaningless_for_patients,
        frame=frame,
        colour_map=colour_map,
        on_progress=tell,
    )
    typer.echo(f"report: {output / REPORT_HTML}; research use only")


@scintigraphy.command(epilog="Example: streamer scintigraphy phantom --images 400 --external 160 --output STUDY")
@talking
def phantom(
    output: Annotated[Path, typer.Option(help="Folder of the study; must be empty.")] = Path("scintigraphy-phantom"),
    images: Annotated[int, typer.Option(min=1, max=100_000, help="Images of the first centre.")] = 400,
    external: Annotated[int, typer.Option(min=0, max=100_000, help="Images of each other centre.")] = 160,
    centres: Annotated[int, typer.Option(min=1, max=3, help="Number of centres.")] = 2,
    form: Annotated[Format, typer.Option("--format", help="How the images are written.")] = Format.jpeg,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other patients.")] = 0,
    workers: Annotated[int, typer.Option(min=0, max=256, help="Processes; 0 for all cores.")] = 0,
) -> None:
    """Simulate a study: gamma-camera images of several hospitals, with their truth."""
    from streamer.scintigraphy.run import simulate_study

    formats: Any = ("jpeg", "dicom") if form is Format.both else (form.value,)
    count = simulate_study(output, images, external, centres=centres, formats=formats, seed=seed, workers=workers)
    folders = [output / name for name in formats] if len(formats) > 1 else [output]
    typer.echo(f"{count} simulated patients: {' and '.join(map(str, folders))}")


@scintigraphy.command(epilog="Example: streamer scintigraphy demo --output scintigraphy-demo")
@talking
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the study, the runs and the page.")] = Path(
        "scintigraphy-demo"
    ),
    threads: ThreadsOption = 0,
) -> None:
    """Simulate a study, train the four networks shortly, validate elsewhere, compare with simulated readers."""
    from streamer.scintigraphy.run import run_demo

    typer.echo(f"page: {run_demo(output, threads=threads, on_progress=typer.echo)}; simulated, research use only")


def _trainer(
    data: Path,
    config: Path | None,
    network: str | None,
    internal: str | None,
    pretrained: Path | None,
    device: Device | None,
    threads: int,
) -> Any:
    from streamer.scintigraphy.run import prepare_training

    chosen = (device or Device.auto).value
    trainer = prepare_training(
        data, config, network=network, internal=internal, pretrained=pretrained, device=chosen, threads=threads
    )
    typer.echo(trainer.data.rule)
    return trainer
