"""The commands about studies: does a network generalise, and does it help a reader?"""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.console import talking
from streamer.cli.models import known_network
from streamer.cli.options import ConfigOption, Device, DeviceOption, settings_of
from streamer.errors import DataError
from streamer.models.registry import TASKS

study = typer.Typer(no_args_is_help=True, help="Studies: do networks generalise, and do they help a reader?")

_StudyArgument = Annotated[Path, typer.Argument(metavar="STUDY.yaml", help="Study file, see docs/studies.md.")]


class Covariance(StrEnum):
    """How covariances of areas are estimated."""

    delong = "delong"
    jackknife = "jackknife"
    unbiased = "unbiased"


class By(StrEnum):
    """What a centre is."""

    hospital = "hospital"
    vendor = "vendor"
    region = "region"
    source = "source"


@study.command(epilog="Example: streamer study generalise --data MANIFEST.csv --by hospital --task classifier")
@talking
def generalise(
    data: Annotated[Path, typer.Option(help="Folder in the public layout, or CSV manifest.")],
    by: Annotated[By, typer.Option(help="What a centre is.")],
    task: Annotated[str, typer.Option(help="Which network.", parser=known_network, metavar="|".join(TASKS))],
    output: Annotated[Path | None, typer.Option(help="Folder; default: runs/generalise-TASK-by-KIND.")] = None,
    centres: Annotated[str | None, typer.Option(metavar="A,B,..", help="Take these centres; default: all.")] = None,
    equal_patients: Annotated[
        bool, typer.Option("--equal-patients", help="Every network learns from as many patients: origin without size.")
    ] = False,
    min_patients: Annotated[
        int, typer.Option(min=1, help="Centres with fewer training patients are taken together as one.")
    ] = 10,
    images_per_patient: Annotated[
        int | None, typer.Option(min=1, help="At most so many of each; default: all.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="Training configuration; default: the published recipe from its first stage.")
    ] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="In place of the configuration's.")] = None,
    size: Annotated[int | None, typer.Option(min=32, help="Input in px in place of the configuration's.")] = None,
    resamples: Annotated[int, typer.Option(min=10, max=100_000, help="Bootstrap resamples.")] = 1000,
    weights: Annotated[
        Path | None, typer.Option(help="Weights folder of the detector that boxes images without a box.")
    ] = None,
    device: DeviceOption = None,
    threads: Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 for all cores.")] = 0,
) -> None:
    """Train a network on each centre, on the mix and without each centre; test all on all. Goes on after a stop."""
    from streamer.studies.generalise.command import run_generalise
    from streamer.studies.generalise.study import GeneralisationOptions

    run_generalise(
        data,
        output or Path("runs") / f"generalise-{task}-by-{by.value}",
        GeneralisationOptions(
            by=by.value,
            role=task,
            only=tuple(name.strip() for name in centres.split(",")) if centres else (),
            equal_patients=equal_patients,
            min_patients=min_patients,
            images_per_patient=images_per_patient,
            resamples=resamples,
        ),
        config=config,
        epochs=epochs,
        size_px=size,
        settings=settings_of(None, device),
        weights=weights,
        device=(device or Device.auto).value,
        threads=threads,
    )


@study.command(epilog="Example: streamer study readers ratings.csv --ai predictions.csv")
@talking
def readers(
    ratings: Annotated[Path, typer.Argument(metavar="RATINGS.csv", help="A row a rating.")],
    ai: Annotated[
        Path | None, typer.Option(metavar="PREDICTIONS.csv", help="The network's scores of all rated cases.")
    ] = None,
    output: Annotated[Path, typer.Option(help="Folder of results.")] = Path("evaluation/readers"),
    scale: Annotated[
        str | None, typer.Option(help="c-tirads, or a range such as 1-5 or 0-100; default: what the ratings look like.")
    ] = None,
    first: Annotated[str | None, typer.Option(help='Scenario without AI; default: "without", else the first.')] = None,
    threshold: Annotated[
        float | None, typer.Option(help="Score from which the AI says malignant; default: its calls, else Youden's.")
    ] = None,
    covariance: Annotated[
        Covariance | None, typer.Option(help="Default: DeLong for a factorial design, else the jackknife.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=10, max=100_000, help="Bootstrap resamples of the agreement.")] = 1000,
) -> None:
    """Analyse a reader study: AUCs, multi-reader multi-case analysis, agreement, ROC curves; a page and CSVs."""
    from rich.console import Console

    from streamer.studies.readers_command import run_readers
    from streamer.studies.readers_page import sentences

    with Console(stderr=True).status("reading") as status:
        outcome = run_readers(
            ratings,
            output,
            ai=ai,
            scale=scale,
            baseline=first,
            threshold=threshold,
            covariance=None if covariance is None else covariance.value,
            resamples=resamples,
            progress=status.update,
        )
    for level in outcome.levels:
        for line in (line for analysis in level.analyses[:1] for line in sentences(analysis)):
            typer.echo(f"{level.level} level, readers and cases random: {line}")
    typer.echo(f"results: {output / 'report.html'}")


@study.command(epilog="Example: streamer study plan --pilot ratings.csv --difference 0.05")
@talking
def plan(
    difference: Annotated[float, typer.Option(help="Difference in mean AUC that matters, second scenario less first.")],
    pilot: Annotated[Path | None, typer.Option(metavar="RATINGS.csv", help="Ratings of a pilot study.")] = None,
    scale: Annotated[str | None, typer.Option(help="Of the pilot's ratings, as in `study readers`.")] = None,
    auc: Annotated[float | None, typer.Option(help="Without a pilot: expected AUC in the first scenario.")] = None,
    correlations: Annotated[
        str | None,
        typer.Option(
            metavar="R1,R2,R3",
            help="Without a pilot: of AUCs of one reader in two scenarios, two readers in one, two readers in two.",
        ),
    ] = None,
    reader_sd: Annotated[
        float | None,
        typer.Option(min=0, help="Without a pilot: standard deviation over readers of the difference in AUC."),
    ] = None,
    malignant_share: Annotated[float, typer.Option(min=0.01, max=0.99, help="Of the cases.")] = 0.5,
    readers: Annotated[str, typer.Option(help="Numbers of readers to plan for, as 4-10 or 6.")] = "4-10",
    power: Annotated[float, typer.Option(help="Probability to find the difference.")] = 0.8,
    fixed_readers: Annotated[
        bool, typer.Option("--fixed-readers", help="Plan for these readers alone, not for readers like them.")
    ] = False,
) -> None:
    """Plan a reader study: the fewest cases for each number of readers."""
    from rich.console import Console
    from rich.table import Table

    from streamer.studies.planning import assumed_pilot
    from streamer.studies.readers_command import numbers_of, pilot_of, plans

    if pilot is not None:
        if auc is not None or correlations is not None or reader_sd is not None:
            raise DataError("--auc, --correlations and --reader-sd are for planning without --pilot")
        known = pilot_of(pilot, scale=scale)
    elif auc is None or correlations is None or reader_sd is None:
        raise DataError("give --pilot RATINGS.csv, or all of --auc, --correlations and --reader-sd")
    else:
        malignant = round(1000 * malignant_share)
        known = assumed_pilot(
            area=auc,
            malignant=malignant,
            benign=1000 - malignant,
            correlations=numbers_of(correlations, 3, "--correlations"),  # type: ignore[arg-type]
            interaction_sd=reader_sd / 2**0.5,  # of a difference of two scenarios, each with its own interaction
        )
    low, _, high = readers.partition("-")
    first, last = (int(text) if text.isdecimal() else 0 for text in (low, high or low))
    if not 1 <= first <= last <= 1000:
        raise DataError(f"--readers is a number or a range such as 4-10, got {readers!r}")
    table = Table(box=None)
    for heading in ("readers", "cases", "malignant", "power"):
        table.add_column(heading, justify="right")
    for count, found in plans(
        known,
        difference=difference,
        readers=range(first, last + 1),
        target=power,
        fixed_readers=fixed_readers,
        share=malignant_share if pilot is None else None,
    ):
        if found is None:
            table.add_row(str(count), "no number", "", "")
        else:
            malignant_text = "as the pilot" if found.malignant is None else str(found.malignant)
            table.add_row(str(count), str(found.cases), malignant_text, f"{found.power:.3f}")
    Console().print(table)
    who = "these readers alone" if fixed_readers else "readers and cases random"
    typer.echo(f"difference {difference:g}, two-sided alpha 0.05, {who}; Hillis, Obuchowski and Berbaum 2011")


@study.command(epilog="Example: streamer study simulate --ai predictions.csv --auc 0.80,0.85")
@talking
def simulate(
    output: Annotated[Path, typer.Option(help="Ratings to write.")] = Path("ratings.csv"),
    ai: Annotated[
        Path | None,
        typer.Option(metavar="PREDICTIONS.csv", help="Cases with truth and the network's score; default: made up."),
    ] = None,
    cases: Annotated[str, typer.Option(metavar="MALIGNANT,BENIGN", help="Made-up cases.")] = "60,60",
    auc: Annotated[str, typer.Option(metavar="WITHOUT,FREESTYLE", help="Expected AUC in each scenario.")] = "0.80,0.85",
    readers: Annotated[int, typer.Option(min=2, max=200, help="Number of readers.")] = 6,
    seniors: Annotated[int | None, typer.Option(min=0, help="Of them called senior; default: half.")] = None,
    reader_variance: Annotated[float, typer.Option(min=0, help="Latent variance of readers.")] = 0.02,
    interaction_variance: Annotated[float, typer.Option(min=0, help="Latent variance of scenario by reader.")] = 0.02,
    case_variances: Annotated[
        str,
        typer.Option(
            metavar="C,TC,RC,E",
            help="Latent variances of case, scenario by case, reader by case and error; they add up to 1.",
        ),
    ] = "0.3,0.1,0.2,0.4",
    ai_correlation: Annotated[
        float, typer.Option(min=-1, max=1, help="Of a case's difficulty with the network's score.")
    ] = 0.6,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, other readers.")] = 0,
    studies: Annotated[
        int, typer.Option(min=0, max=100_000, help="Also simulate this many studies, and tell the power.")
    ] = 0,
) -> None:
    """Simulate readers of stated skill and correlation (Roe and Metz), to try the whole way and estimate power."""
    from streamer.studies.readers_command import cases_of, counts_of, numbers_of, write_simulation
    from streamer.studies.scenarios import FREESTYLE, WITHOUT
    from streamer.studies.simulate import ReaderModel, estimate_power, made_up_cases

    case, scenario_case, reader_case, error = numbers_of(case_variances, 4, "--case-variances")
    without, freestyle = numbers_of(auc, 2, "--auc")
    model = ReaderModel(
        areas=(without, freestyle),
        reader=reader_variance,
        interaction=interaction_variance,
        case=case,
        scenario_case=scenario_case,
        reader_case=reader_case,
        error=error,
        ai_correlation=ai_correlation,
    )
    seniors = readers // 2 if seniors is None else seniors
    if seniors > readers:
        raise DataError(f"--seniors is of the {readers} readers, got {seniors}")
    malignant, benign = counts_of(cases, 2, "--cases")
    known = made_up_cases(malignant, benign) if ai is None else cases_of(ai)
    write_simulation(output, model, known, scenarios=(WITHOUT, FREESTYLE), readers=readers, seniors=seniors, seed=seed)
    typer.echo(f"ratings: {output}; analyse them: streamer study readers {output}" + (f" --ai {ai}" if ai else ""))
    if studies:
        estimate = estimate_power(
            model,
            known,
            readers=readers,
            studies=studies,
            seed=seed,
        )
        typer.echo(
            f"{studies} simulated studies: power {estimate.power.value:.3f} ({estimate.power.low:.3f} to "
            f"{estimate.power.high:.3f}); 95 % intervals held the true difference in "
            f"{estimate.coverage.value:.3f} ({estimate.coverage.low:.3f} to {estimate.coverage.high:.3f})"
        )


@study.command(epilog="Example: streamer study predict cases.csv --output predicted")
@talking
def predict(
    cases: Annotated[Path, typer.Argument(metavar="CASES.csv", help="Columns case, file, truth; patient if any.")],
    output: Annotated[Path, typer.Option(help="Folder of predictions and overlays.")] = Path("predicted"),
    no_overlays: Annotated[bool, typer.Option("--no-overlays", help="Scores and calls only.")] = False,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Let the networks judge the cases of a reader study: scores, calls, and overlays for the reading room."""
    from streamer.pipeline.thyroid import Engine
    from streamer.studies.predict import predict_cases
    from streamer.studies.room.study_file import read_cases

    listed = read_cases(cases)  # before the networks are loaded
    found = predict_cases(listed, output, engine=Engine(settings_of(config, device)), overlays=not no_overlays)
    if found.without_nodule:
        typer.echo(
            f"no nodule was found in {len(found.without_nodule)} cases: they have the score 0 and count as benign"
        )
    typer.echo(f"predictions: {found.predictions}; cases for a study file: {found.cases}")


@study.command(epilog="Example: streamer study status study.yaml")
@talking
def status(path: _StudyArgument) -> None:
    """Tell how far each reader of a reading-room study is, never what was answered; every image is opened first."""
    from rich.console import Console
    from rich.table import Table

    from streamer.studies.room.export import study_progress
    from streamer.studies.room.media import check_media
    from streamer.studies.room.study_file import load_study

    known = load_study(path)
    check_media(known)
    table = Table(box=None)
    for heading in ("reader", "group", "scenario", "closed", "last", "opens"):
        table.add_column(heading)
    for row in study_progress(known):
        last = "" if row.last is None else f"{row.last.astimezone():%Y-%m-%d %H:%M}"
        opens = "" if row.opens is None else f"{row.opens.astimezone():%Y-%m-%d %H:%M}"
        table.add_row(row.reader, row.group, row.scenario, f"{row.closed} of {row.cases}", last, opens)
    Console().print(table)


@study.command(epilog="Example: streamer study export study.yaml --output ratings.csv")
@talking
def export(
    path: _StudyArgument,
    output: Annotated[Path, typer.Option(help="CSV to write, for `streamer study readers`.")] = Path("ratings.csv"),
    partial: Annotated[bool, typer.Option("--partial", help="Although somebody has not finished.")] = False,
) -> None:
    """Export the answers of a reading-room study."""
    from streamer.studies.room.export import export_ratings
    from streamer.studies.room.study_file import load_study

    count = export_ratings(load_study(path), output, partial=partial)
    typer.echo(f"{count} ratings: {output}; analyse them: streamer study readers {output}")
