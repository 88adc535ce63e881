"""The `benchmark` commands."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from streamer.cli.options import ConfigOption, DeviceOption, a_number, settings_of

benchmark = typer.Typer(help="Measure what streamer delivers on this machine.")

VideoOption = Annotated[
    Path | None, typer.Option("--video", help="Clip to show, looped where it is short; default: a simulated one.")
]
JsonOption = Annotated[Path | None, typer.Option("--json", help="File for the same figures.")]


class Against(StrEnum):
    """Baselines, as they are chosen."""

    naive = "naive"
    ultralytics = "ultralytics"
    supervision = "supervision"
    all = "all"


class NetworksOf(StrEnum):
    """What runs the baselines' networks."""

    torch = "torch"
    compiled = "compiled"
    both = "both"
    paper = "paper"


@benchmark.callback(
    invoke_without_command=True, epilog="Example: streamer benchmark --seconds 6 --baseline ultralytics --streams auto"
)
def benchmark_engine(
    context: typer.Context,
    video: VideoOption = None,
    seconds: Annotated[
        float, typer.Option(min=0.5, max=3600, callback=a_number, help="Longest time of one pass over the clip.")
    ] = 10,
    rounds: Annotated[int, typer.Option(min=1, max=100, help="Rounds, in each of which all take their turn.")] = 3,
    baseline: Annotated[
        list[Against] | None, typer.Option(help="Compare with this; repeat for more. All: those that can be loaded.")
    ] = None,
    baseline_networks: Annotated[
        NetworksOf,
        typer.Option(help="The baselines' networks: torch, those streamer compiles, or torch at the paper's 512 px."),
    ] = NetworksOf.torch,
    streams: Annotated[
        str, typer.Option(help="Also try so many live copies of the clip at once; auto: as many as drop no frame.")
    ] = "",
    processes: Annotated[
        int, typer.Option(min=0, max=256, help="Processes that share them; 0: 1, beside a GPU 1 a core, 16 at most.")
    ] = 0,
    json_file: JsonOption = None,
    report: Annotated[Path | None, typer.Option(help="Markdown page to write, with its plot beside it as PNG.")] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure the whole analysis on this machine: frames per second, latency, stages, memory, and what others need.

    Without a command it is the analysis of a file; `app` is the live app in a browser.
    """
    if context.invoked_subcommand is not None:
        return
    from streamer.benchmark.rounds import RoundPlan
    from streamer.cli.benchmark_run import run_benchmark

    names, kinds = _baselines(baseline or []), _kinds(baseline_networks)
    plan = RoundPlan(
        settings=settings_of(config, device),
        recording=video or Path(),
        seconds=seconds,
        rounds=rounds,
        baselines=names,
        kinds=kinds,
        needed=Against.all not in (baseline or []),
        streams=_streams(streams, processes),
        processes=processes,
    )
    raise typer.Exit(run_benchmark(plan, simulate=video is None, json_file=json_file, page=report))


@benchmark.command("app", epilog="Example: streamer benchmark app --seconds 20")
def benchmark_app(
    video: VideoOption = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, callback=a_number, help="Length of what is shown.")] = 10,
    json_file: JsonOption = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure the live app in a headless Chromium: frames shown, time to the first, latency, server CPU."""
    from streamer.cli.benchmark_run import run_app_benchmark

    raise typer.Exit(run_app_benchmark(settings_of(config, device), video=video, seconds=seconds, json_file=json_file))


@benchmark.command("scintigraphy", epilog="Example: streamer benchmark scintigraphy --count 500")
def benchmark_scintigraphy(
    weights: Annotated[
        Path | None, typer.Option(help="Run folder; default: the modified ResNet-34 with random weights.")
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder of images; default: simulated ones.")] = None,
    count: Annotated[int, typer.Option(min=1, max=100_000, help="Most images.")] = 500,
    json_file: JsonOption = None,
) -> None:
    """Measure the scintigraphy network: seconds from files to probabilities, loading included."""
    from rich.console import Console
    from rich.table import Table

    from streamer.benchmark.scintigraphy import run_benchmark, write_speed

    speed = run_benchmark(weights=weights, images=images, count=count, say=typer.echo)
    table = Table(title=f"{speed.images} images, {speed.network}, {speed.cores} cores", title_justify="left", box=None)
    table.add_column("step")
    table.add_column("seconds", justify="right")
    for name in ("load_s", "read_s", "predict_s", "total_s", "cpu_s"):
        table.add_row(name.removesuffix("_s"), f"{getattr(speed, name):.2f}")
    Console().print(table)
    if json_file is not None:
        write_speed(speed, json_file)


def _baselines(chosen: list[Against]) -> Any:
    from streamer.benchmark.baselines import BaselineName

    return [name for name in BaselineName if name.value in chosen or Against.all in chosen]


def _kinds(chosen: NetworksOf) -> Any:
    from streamer.benchmark.passes import NetworkKind

    if chosen is NetworksOf.both:
        return [NetworkKind.torch, NetworkKind.compiled]
    return [NetworkKind(chosen.value)]


def _streams(text: str, processes: int) -> int | Literal["auto"] | None:
    """Number of streams.

    Raises:
        SettingsError: neither a number above 0 nor "auto", or processes that have no streams to share.
    """
    from streamer.benchmark.streams import MAX_STREAMS
    from streamer.errors import SettingsError

    if not text:
        if processes:
            raise SettingsError("--processes needs --streams: name how many live streams they share, or auto")
        return None
    if text == "auto":
        return "auto"
    if not text.isdecimal() or not 1 <= int(text) <= MAX_STREAMS:
        raise SettingsError(f"--streams takes a number from 1 to {MAX_STREAMS}, or auto (got {text!r})")
    return int(text)
