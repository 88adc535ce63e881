"""The commands that make and measure networks: train, publish, quantise, evaluate, compare, cross-validate."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.options import ConfigOption, Device, DeviceOption, settings_of
from streamer.errors import DataError
from streamer.models.registry import OTHER_TASKS, TASKS
from streamer.settings import Settings


class Precision(StrEnum):
    """Arithmetic of the networks."""

    auto = "auto"
    fp32 = "fp32"
    int8 = "int8"


class SplitName(StrEnum):
    """A part of the data."""

    train = "train"
    val = "val"
    test = "test"


BESIDE_NETWORKS = ("pipeline", "sweeps")
"""What is evaluated beside single networks."""


def known_network(name: str) -> str:
    """What can be trained: whatever is registered when the command runs."""
    return _one_of(name, tuple(TASKS))


def _subject(name: str) -> str:
    """What can be evaluated."""
    return _one_of(name, (*TASKS, *BESIDE_NETWORKS))


def _one_of(name: str, known: tuple[str, ...]) -> str:
    if name in OTHER_TASKS:
        raise typer.BadParameter(f"{name!r} has commands of its own: streamer {OTHER_TASKS[name].modality} --help.")
    if name not in known:
        raise typer.BadParameter(f"{name!r} is not one of {', '.join(map(repr, known))}.")
    return name


NetworkArgument = Annotated[str, typer.Argument(help="Which network.", parser=known_network, metavar="|".join(TASKS))]
SubjectArgument = Annotated[
    str,
    typer.Argument(
        help="Which network; all three with tracking, on clips; or what sweeps without labels say.",
        parser=_subject,
        metavar="|".join((*TASKS, *BESIDE_NETWORKS)),
    ),
]
DataOption = Annotated[Path, typer.Option(help="Folder in the public layout, or CSV manifest.")]
WeightsOption = Annotated[Path | None, typer.Option(help="Weights folder; default: the published one.")]
SplitOption = Annotated[
    SplitName, typer.Option(help="Split of the sources trained on. Sources never trained on count whole.")
]
PrecisionOption = Annotated[
    Precision | None, typer.Option(help="Arithmetic on a CPU; default: the configuration's, else auto.")
]
ThreadsOption = Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 for all cores.")]
UpdateOption = Annotated[
    bool,
    typer.Option(
        "--update-manifest",
        help="Store figures, calibration, operating point and the cost of int8 with the weights; write their model "
        "cards anew.",
    ),
]


def train(
    network: NetworkArgument,
    data: Annotated[Path, typer.Option(help="Folder in the public layout, or CSV manifest.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML file; default: the one that made the published weights.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NETWORK.")] = None,
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder of networks it builds on; default: the published ones.")
    ] = None,
    device: DeviceOption = None,
    threads: Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 for all cores.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")] = False,
    leave_out: Annotated[
        str | None,
        typer.Option(metavar="KIND=NAME", help="Centre kept for the test: hospital, vendor, region or source."),
    ] = None,
    drop_duplicates: Annotated[
        bool,
        typer.Option("--drop-duplicates", help="Leave held-out images out that nearly equal one of an earlier split."),
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also write the figures to RUN/tensorboard (needs that package).")
    ] = False,
) -> None:
    """Train one network; its run folder can be evaluated, and published into a weights folder."""
    from streamer.training.command import train_network

    train_network(
        network,
        data,
        config=config,
        folder=output or Path("runs") / network,
        weights=weights,
        device=(device or Device.auto).value,
        threads=threads,
        resume=resume,
        leave_out=leave_out,
        drop_duplicates=drop_duplicates,
        tensorboard=tensorboard,
    )


def evaluate(
    subject: SubjectArgument,
    data: DataOption,
    output: Annotated[Path | None, typer.Option(help="Folder of results; default: evaluation/SUBJECT.")] = None,
    weights: WeightsOption = None,
    split: SplitOption = SplitName.val,
    config: ConfigOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    threads: ThreadsOption = 0,
    update_manifest: UpdateOption = False,
    keep_operating_point: Annotated[
        bool,
        typer.Option(
            "--keep-operating-point",
            help="With --update-manifest: leave calibration and operating point as they are, and measure there.",
        ),
    ] = False,
) -> None:
    """Measure the accuracy of one weights folder, with 95 % intervals: figures, tables, plots and one page."""
    from streamer.cli.evaluation import print_evaluation
    from streamer.evaluation import command

    if update_manifest and config is not None:
        raise DataError("--update-manifest stores figures of the default settings: leave out --config")
    settings = _measured_with(config, device, precision, threads)
    folder = output or Path("evaluation") / subject
    evaluation = command.evaluate(
        subject,
        data,
        folder,
        weights=_published(weights, settings),
        split=split.value,
        settings=settings,
        update=update_manifest,
        keep_operating_point=keep_operating_point,
    )
    print_evaluation(evaluation, folder)


def compare(
    network: NetworkArgument,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run or weights folders, a row each.")],
    data: DataOption,
    output: Annotated[Path | None, typer.Option(help="Folder of results; default: evaluation/NETWORK-matrix.")] = None,
    weights: WeightsOption = None,
    split: SplitOption = SplitName.val,
    config: ConfigOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    threads: ThreadsOption = 0,
) -> None:
    """Compare training runs source by source: a row per run, a column per data set."""
    from streamer.cli.evaluation import print_evaluation
    from streamer.evaluation import command

    settings = _measured_with(config, device, precision, threads)
    folder = output or Path("evaluation") / f"{network}-matrix"
    evaluation = command.evaluate_matrix(
        network,
        runs,
        data,
        folder,
        weights=_published(weights, settings),
        split=split.value,
        settings=settings,
    )
    print_evaluation(evaluation, folder)


def cross_validate(
    network: NetworkArgument,
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run folders, one per fold of one recipe.")],
    data: DataOption,
    output: Annotated[Path | None, typer.Option(help="Folder of results; default: evaluation/NETWORK-folds.")] = None,
    weights: WeightsOption = None,
    boxes_from: Annotated[
        Path | None,
        typer.Option(
            help="Weights folder of the detector that boxes stills without boxes, best one that has not learned from "
            "them; default: that of --weights."
        ),
    ] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
    precision: PrecisionOption = None,
    threads: ThreadsOption = 0,
    update_manifest: UpdateOption = False,
) -> None:
    """Measure out of fold: each image is scored by the run that held it out."""
    from streamer.cli.evaluation import print_evaluation
    from streamer.evaluation import command

    if update_manifest and config is not None:
        raise DataError("--update-manifest stores figures of the default settings: leave out --config")
    settings = _measured_with(config, device, precision, threads)
    folder = output or Path("evaluation") / f"{network}-folds"
    evaluation = command.evaluate_folds(
        network,
        runs,
        data,
        folder,
        weights=_published(weights, settings),
        boxes_from=boxes_from,
        settings=settings,
        update=update_manifest,
    )
    print_evaluation(evaluation, folder)


def _measured_with(config: Path | None, device: Device | None, precision: Precision | None, threads: int) -> Settings:
    settings = settings_of(config, device)
    if threads:
        settings = settings.with_runtime(threads=threads)
    return settings if precision is None else settings.with_runtime(precision=precision.value)


def _published(weights: Path | None, settings: Settings) -> Path:
    from streamer._resources import weights_dir

    return weights or settings.weights or weights_dir()


def publish(
    run_folder: Annotated[
        Path | None,
        typer.Argument(
            metavar="[RUN]",
            help="Run folder of `streamer train`; without it OpenVINO files of the folder's networks are made anew.",
        ),
    ] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights folder; default: the published one.")] = None,
) -> None:
    """Take a trained network over into a weights folder, and write its card anew.

    OpenVINO files are made of it and compared with torch: with them the analysis needs no torch.
    """
    from streamer._resources import weights_dir
    from streamer.evaluation.card import write_card
    from streamer.models.publish import export
    from streamer.models.publish import publish as take_over
    from streamer.models.weights_manifest import MANIFEST, read_manifest

    folder = weights or weights_dir()
    if run_folder is None:
        export(folder, anew=True)
        return
    was_one = (folder / MANIFEST).is_file() and read_manifest(folder).one_encoder
    roles = take_over(run_folder, folder)
    export(folder)
    for role in roles:
        write_card(folder, role)
    typer.echo(f"{', '.join(roles)} -> {folder}; figures: streamer evaluate {roles[0]} --update-manifest")
    now = read_manifest(folder)
    if was_one and not now.one_encoder:
        typer.echo("segmenter and classifier no longer share an encoder: `streamer train segmenter` joins them again")
    if missing := [role for role, entry in now.models.items() if entry.int8 is None]:
        typer.echo(f"no int8 version of {', '.join(missing)}: make it with `streamer quantise`")


def quantise(
    data: Annotated[Path, typer.Option(help="Training data: folder in the public layout, or CSV manifest.")],
    weights: Annotated[Path | None, typer.Option(help="Weights folder; default: the published one.")] = None,
    images: Annotated[int, typer.Option(min=1, max=10_000, help="Calibration images of each role.")] = 300,
) -> None:
    """Make int8 versions of a weights folder's networks, which run faster on a CPU."""
    from streamer._resources import weights_dir
    from streamer.quantisation.command import quantise as run_quantisation

    run_quantisation(data, weights or weights_dir(), images=images)


def fit_gate(
    data: Annotated[Path, typer.Option(help="Training data: folder in the public layout, or CSV manifest.")],
    weights: Annotated[Path | None, typer.Option(help="Weights folder; default: the published one.")] = None,
    images: Annotated[int, typer.Option(min=20, max=10_000, help="Real pictures of each source at most.")] = 700,
    other: Annotated[
        list[Path] | None,
        typer.Option(help="Clip, picture or folder of pictures that shows no neck, to teach; may be repeated."),
    ] = None,
    check: Annotated[
        list[Path] | None,
        typer.Option(help="The same, to measure on only; may be repeated."),
    ] = None,
    threads: ThreadsOption = 0,
) -> None:
    """Fit the gate that tells B-mode views of the neck from other pictures, measure it, store it with the weights."""
    from streamer._resources import weights_dir
    from streamer.backends.select import available_cores
    from streamer.evaluation.card import write_card
    from streamer.training.gate import fit_gate as fit

    folder = weights or weights_dir()
    figures = fit(
        data, folder, images=images, others=other or (), check=check or (), threads=threads or available_cores()
    )
    for figure in figures:
        typer.echo(
            f"{figure.data} ({figure.split}): {100 * figure.value:.1f} % of {figure.count} rejected "
            f"({100 * figure.low:.1f} to {100 * figure.high:.1f})"
        )
    write_card(folder, "detector")
    typer.echo(f"gate -> {folder}, figures in the detector's card")
