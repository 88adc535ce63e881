"""`streamer archive`: a folder, bucket or list of clips into tables, and the page about them."""

from __future__ import annotations

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from typer.core import TyperGroup

from streamer.cli.options import (
    ConfigOption,
    DeviceOption,
    MetricsOption,
    SpacingOption,
    a_number,
    settings_of,
    spacing_of,
)

if TYPE_CHECKING:
    from rich.progress import Progress

    from streamer.archive.run import Counts


class _RunByDefault(TyperGroup):
    """`streamer archive INPUT` stands for `streamer archive run INPUT`."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:  # type: ignore[override]
        """Put "run" in front of what is no command."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


archive = typer.Typer(
    cls=_RunByDefault,
    no_args_is_help=True,
    help="Analyse a hundred thousand clips into Parquet tables, on Ray (docs/archive.md).",
)


class Identifiers(StrEnum):
    """How patients of DICOM files are named."""

    pseudonyms = "pseudonyms"
    plain = "plain"


_OutputArgument = Annotated[str, typer.Option("--output", help="Folder or URL of the tables; goes on where it was.")]


@archive.command("run", epilog="Example: streamer archive /archive/thyroid --output /results/thyroid")
def run(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="INPUT...", help="Folder, glob, CSV with a column path, or URL (s3://, gs://, http://)."
        ),
    ],
    output: _OutputArgument,
    address: Annotated[
        str | None, typer.Option(metavar="RAY", help='Ray cluster, as "host:6379" or "auto"; default: this machine.')
    ] = None,
    workers: Annotated[
        int | None, typer.Option(min=0, help="Processes; 0 for this process alone, without Ray; default: all that fit.")
    ] = None,
    cpus: Annotated[int, typer.Option(min=1, max=256, help="Cores and threads of each.")] = 1,
    gpus: Annotated[
        float, typer.Option(min=0, max=8, callback=a_number, help="GPUs of each; 0.25 lets four share one.")
    ] = 0,
    frames: Annotated[bool, typer.Option("--frames", help="Also a table with a row per frame.")] = False,
    folders: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[,NAME..]", help="Also a folder for each clip with these outputs, as of `streamer run`."
        ),
    ] = None,
    path_pattern: Annotated[
        str | None,
        typer.Option(metavar="PATTERN", help='Tells patient and study by the path: "{patient}/{study}/*".'),
    ] = None,
    identifiers: Annotated[
        Identifiers, typer.Option(help="How patients and studies of DICOM headers are named.")
    ] = Identifiers.pseudonyms,
    pictures: Annotated[
        bool, typer.Option(help="Keep 24 pictures, drawn at random, for the page; names in the picture stay in it.")
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Once more what hung or killed its process.")
    ] = False,
    verify: Annotated[
        bool, typer.Option("--verify", help="Read every file again, also where its time is as it was.")
    ] = False,
    clip_seconds: Annotated[float, typer.Option(min=1, callback=a_number, help="Longest that a clip may take.")] = 3600,
    stall_seconds: Annotated[float, typer.Option(min=1, callback=a_number, help="Longest without a new frame.")] = 300,
    pixel_spacing_mm: SpacingOption = None,
    metrics: MetricsOption = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Analyse every clip once. A clip that fails, hangs or kills its process costs nobody else.

    Killed at any moment, the same command goes on where it was. Ctrl-C finishes what has begun (exit code 130); once
    more ends at once.
    """
    from rich.console import Console

    from streamer.archive.command import ArchiveOptions, analyse_archive
    from streamer.archive.grouping import PathPattern
    from streamer.archive.index import Wanted
    from streamer.archive.metered import MeteredArchive
    from streamer.archive.ray_executor import RayLimits
    from streamer.cli.run import INTERRUPTED
    from streamer.cli.signals import stop_on_signal
    from streamer.monitoring.metrics import Metrics
    from streamer.monitoring.server import monitored

    settings = settings_of(config, device, folders)
    outputs = settings.outputs if folders is not None else ()
    options = ArchiveOptions(
        inputs=inputs,
        output=output,
        settings=settings,
        limits=None
        if workers == 0
        else RayLimits(
            address=address,
            workers=workers or 0,
            cpus=cpus,
            gpus=gpus,
            clip_s=clip_seconds,
            stall_s=stall_seconds,
        ),
        outputs=outputs,
        wanted=Wanted(frames=frames, folders=bool(outputs), retry_failed=retry_failed, verify=verify),
        pattern=None if path_pattern is None else PathPattern(path_pattern),
        pixel_spacing_mm=spacing_of(pixel_spacing_mm),
        keep_identifiers=identifiers is Identifiers.plain,
        pictures=pictures,
    )
    bar, metered = _Bar(Console(stderr=True)), MeteredArchive(Metrics("archive"))

    def note(counts: Counts) -> None:
        bar.update(counts)
        metered.note(counts)

    with (
        monitored(metered.metrics, metrics),
        bar,
        stop_on_signal(lambda: bar.say("finishing what has begun; Ctrl-C again ends at once")) as stop,
    ):
        counts = analyse_archive(options, on_stage=bar.say, on_progress=note, should_stop=lambda: bool(stop))
    _print_counts(counts, output)
    raise typer.Exit(INTERRUPTED if counts.stopped else 0)


@archive.command(epilog="Example: streamer archive report /results/thyroid")
def report(
    output: Annotated[str, typer.Argument(metavar="OUT", help="The folder or URL of the tables.")],
    page: Annotated[Path | None, typer.Option(help="HTML file; default: OUT/report.html.")] = None,
) -> None:
    """Write a page about an archive: counts, failures by reason, distributions, rates, slowest clips, pictures."""
    from streamer.archive.report import write_report

    typer.echo(f"page: {write_report(output, page)}")


class _Bar:
    """Clips, frames a second and remaining time, on standard error."""

    def __init__(self, console: object) -> None:
        from rich import progress as bars
        from rich.console import Console

        assert isinstance(console, Console)
        self._progress: Progress = bars.Progress(
            bars.TextColumn("{task.description}", markup=False),
            bars.BarColumn(),
            bars.MofNCompleteColumn(),
            bars.TextColumn("{task.fields[rate]}"),
            bars.TimeRemainingColumn(),
            console=console,
        )
        self._task = self._progress.add_task("", total=None, rate="")
        self._began_s = time.monotonic()

    def __enter__(self) -> _Bar:
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, stage: str) -> None:
        """Say what happens."""
        self._progress.update(self._task, description=stage)

    def update(self, counts: Counts) -> None:
        """Show how far it is."""
        failed = sum(counts.failures.values())
        self._progress.update(
            self._task,
            total=counts.to_do,
            completed=counts.finished,
            rate=f"{counts.frames_per_second:.1f} fps" + (f", {failed} without result" if failed else ""),
            description=None if counts.stopped else "clips",
        )


def _print_counts(counts: Counts, output: str) -> None:
    from rich.console import Console
    from rich.text import Text

    console = Console()
    failures = ", ".join(f"{number} {kind}" for kind, number in sorted(counts.failures.items()))
    console.print(
        f"{counts.listed} clips listed, {counts.done_before} done before, {counts.finished} now"
        + (f", {counts.duplicates} of them known contents" if counts.duplicates else "")
        + (f"; without result: {failures}" if failures else ""),
        highlight=False,
    )
    if counts.frames:
        console.print(f"{counts.frames} frames at {counts.frames_per_second:.1f} fps", highlight=False)
    if counts.stopped:
        console.print(
            f"stopped: {counts.to_do - counts.finished} clips are left; the same command goes on", highlight=False
        )
    console.print(
        Text(f"tables: {output}; the page about them: streamer archive report {output}; research use only"),
        soft_wrap=True,
    )
