"""The command line. Each command imports what it needs when it runs, so that `streamer --help` answers at once."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from streamer.errors import OutputError, StreamerError
from streamer.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Watches thyroid ultrasound cine loops: where each nodule is, how large, how suspicious. Research use only.",
)

benchmark = typer.Typer(no_args_is_help=True, help="Measure what streamer delivers on this machine.")
app.add_typer(benchmark, name="benchmark")


class Device(StrEnum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Network(StrEnum):
    """What can be trained."""

    detector = "detector"
    segmenter = "segmenter"
    classifier = "classifier"


class Subject(StrEnum):
    """What can be evaluated."""

    detector = "detector"
    segmenter = "segmenter"
    classifier = "classifier"
    pipeline = "pipeline"


class SplitName(StrEnum):
    """A part of the data."""

    train = "train"
    val = "val"
    test = "test"


ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file of settings (see configs/).")]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where to run; default: the configuration's, else auto.")
]


def main() -> None:
    """Entry point: one line and exit code 2 for what the user can mend, 130 for Ctrl-C."""
    try:
        app(prog_name="streamer")  # leaves through SystemExit; usage errors and Ctrl-C are dealt with in there
    except StreamerError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        sys.exit(2)


@app.callback(invoke_without_command=True)
def _version(version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False) -> None:
    if version:
        typer.echo(f"streamer {__version__}")
        raise typer.Exit


@app.command()
def run(
    video: Annotated[
        list[str], typer.Option("--video", help="Clip, still or folder of stills; repeat for more of one patient.")
    ],
    patient: Annotated[str, typer.Option(help="Identifier shown in the report.")] = "",
    output: Annotated[Path | None, typer.Option(help="Folder of results; default: results/NAME-OF-FIRST-CLIP.")] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Analyse the clips of one patient: overlay video, report and a picture of each nodule."""
    from streamer.console import analyse_with_progress

    folder = output or Path("results") / (Path(video[0]).stem or Path(video[0]).resolve().name)
    raise typer.Exit(analyse_with_progress(video, folder, settings=_settings(config, device), patient=patient))


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the clip and its results.")] = Path("demo"),
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Simulate a thyroid cine loop and analyse it."""
    from streamer.console import analyse_with_progress

    clip = output / "phantom.mp4"
    phantom(clip)
    raise typer.Exit(analyse_with_progress([str(clip)], output, settings=_settings(config, device), patient="phantom"))


@app.command("app")
def live_app(
    host: Annotated[str, typer.Option(help="Address to listen on; all but loopback need a login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 7860,
    auth_file: Annotated[Path | None, typer.Option(help='Login: a line "name:password" for each user.')] = None,
    without_login: Annotated[
        bool, typer.Option("--without-login", help="Listen for other machines although anybody on them may use it.")
    ] = False,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Open the live app: drop a cine clip in the browser and watch it being read."""
    from streamer.app.server import serve

    serve(
        _settings(config, device),
        host=host,
        port=port,
        auth_file=auth_file,
        without_login=without_login,
        announce=lambda url: typer.echo(f"open {url} in a browser; Ctrl-C ends"),
    )


@app.command()
def phantom(
    output: Annotated[Path, typer.Option(help="The clip to write (H.264, mp4).")] = Path("phantom.mp4"),
    frames: Annotated[int, typer.Option(min=1, help="Length in frames, at 30 a second.")] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another speckle and motion.")] = 0,
) -> None:
    """Simulate a thyroid cine loop with a benign-looking and a suspicious nodule."""
    from streamer.console import track_frames
    from streamer.phantom import simulate, write_clip

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output.parent}: {error.strerror}") from error
    write_clip(output, track_frames(simulate(seed=seed, frames=frames), frames, "simulating"))
    typer.echo(f"clip: {output}")


@app.command()
def heatmap(
    video: Annotated[str, typer.Option("--video", help="Clip, still or folder of stills.")],
    frame: Annotated[int, typer.Option(min=0, help="Number of the frame, from 0.")],
    output: Annotated[Path | None, typer.Option(help="PNG file; default: NAME-frame-NUMBER-heatmap.png.")] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Show what in one frame raised each nodule's malignancy (Grad-CAM)."""
    from streamer.heat_still import write_heat_still

    path = output or Path(f"{Path(video).stem or Path(video).resolve().name}-frame-{frame}-heatmap.png")
    for nodule in write_heat_still(video, frame, path, _settings(config, device)):
        x0, y0, x1, y1 = (round(value) for value in nodule.box_xyxy)
        typer.echo(f"nodule in x {x0} to {x1}, y {y0} to {y1}: malignancy {nodule.malignancy:.2f}")
    typer.echo(f"heat map: {path}; research use only")


@app.command()
def train(
    network: Annotated[Network, typer.Argument(help="Which network.")],
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
) -> None:
    """Train one network; the run folder can then be used as a weights folder."""
    from streamer.training.command import train_network

    train_network(
        network.value,
        data,
        config=config,
        folder=output or Path("runs") / network.value,
        weights=weights,
        device=(device or Device.auto).value,
        threads=threads,
        resume=resume,
    )


@app.command()
def evaluate(
    subject: Annotated[Subject, typer.Argument(help="Which network; or all three with tracking, on clips.")],
    data: Annotated[Path, typer.Option(help="Folder in the public layout, or CSV manifest.")],
    output: Annotated[Path | None, typer.Option(help="Folder of results; default: evaluation/SUBJECT.")] = None,
    weights: Annotated[Path | None, typer.Option(help="Weights folder; default: the published one.")] = None,
    split: Annotated[
        SplitName, typer.Option(help="Split of the sources trained on; sources never trained on count whole.")
    ] = SplitName.val,
    device: DeviceOption = None,
    threads: Annotated[int, typer.Option(min=0, max=256, help="CPU threads; 0 for all cores.")] = 0,
    update_manifest: Annotated[
        bool,
        typer.Option(
            "--update-manifest",
            help="Store figures, temperature and operating point with the weights; write their model cards anew.",
        ),
    ] = False,
) -> None:
    """Measure accuracy with 95 % intervals: figures, tables, plots and one page."""
    from streamer.assets import weights_dir
    from streamer.evaluation.command import evaluate as run_evaluation
    from streamer.settings import RuntimeSettings

    run_evaluation(
        subject.value,
        data,
        output or Path("evaluation") / subject.value,
        weights=weights or weights_dir(),
        split=split.value,
        runtime=RuntimeSettings(device=(device or Device.auto).value, threads=threads),
        update=update_manifest,
    )


@app.command()
def publish(
    run_folder: Annotated[Path, typer.Argument(metavar="RUN", help="Run folder of `streamer train`.")],
    weights: Annotated[Path | None, typer.Option(help="Weights folder; default: the published one.")] = None,
) -> None:
    """Take a trained network over into a weights folder."""
    from streamer.assets import weights_dir
    from streamer.models.weights import publish as take_over

    folder = weights or weights_dir()
    typer.echo(f"{', '.join(take_over(run_folder, folder))} -> {folder}")


@benchmark.command("app")
def benchmark_app(
    video: Annotated[
        Path | None, typer.Option("--video", help="Clip to show, looped where it is short; default: a simulated one.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="Length of what is shown.")] = 10,
    json_file: Annotated[Path | None, typer.Option("--json", help="File for the same figures.")] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Measure the live app in a headless Chromium: frames shown, time to the first, latency, server CPU."""
    from streamer.benchmark.app import run_benchmark

    raise typer.Exit(run_benchmark(_settings(config, device), video=video, seconds=seconds, json_file=json_file))


def _settings(config: Path | None, device: Device | None) -> Any:
    from streamer.settings import load_settings

    settings = load_settings(config)
    return settings if device is None else settings.with_runtime(device=device.value)


def _plain(text: str) -> str:
    """One line, with nothing that rich would take for markup."""
    return " ".join(text.split()).replace("[", "\\[")
