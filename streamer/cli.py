"""The command line. Each command imports what it needs when it runs, so that `streamer --help` answers at once."""

from __future__ import annotations

import sys
from enum import Enum
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.console import Console

from streamer.errors import StreamerError
from streamer.version import __version__

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Watches thyroid ultrasound cine loops: where each nodule is, how large, how suspicious. Research use only.",
)


class Device(str, Enum):
    """Where the networks run."""

    auto = "auto"
    cpu = "cpu"
    cuda = "cuda"


class Network(str, Enum):
    """What can be trained."""

    detector = "detector"
    segmenter = "segmenter"
    classifier = "classifier"


ConfigOption = Annotated[Path | None, typer.Option("--config", help="YAML file of settings (see configs/).")]
DeviceOption = Annotated[
    Device | None, typer.Option("--device", help="Where to run; default: the configuration's, else auto.")
]


def main() -> None:
    """Entry point: one line and exit code 2 for what the user can mend, 130 for Ctrl-C."""
    try:
        code = app(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        code = 2
    except (click.Abort, KeyboardInterrupt):
        code = 130
    except StreamerError as error:
        Console(stderr=True).print(f"[bold red]error:[/] {_plain(str(error))}", highlight=False, soft_wrap=True)
        code = 2
    sys.exit(code)


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


@app.command()
def phantom(
    output: Annotated[Path, typer.Option(help="The clip to write (H.264, mp4).")] = Path("phantom.mp4"),
    frames: Annotated[int, typer.Option(min=1, help="Length in frames, at 30 a second.")] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another speckle and motion.")] = 0,
) -> None:
    """Simulate a thyroid cine loop with a benign-looking and a suspicious nodule."""
    from streamer.console import track_frames
    from streamer.phantom import simulate, write_clip

    write_clip(output, track_frames(simulate(seed=seed, frames=frames), frames, "simulating"))
    typer.echo(f"clip: {output}")


@app.command()
def train(
    network: Annotated[Network, typer.Argument(help="Which network.")],
    data: Annotated[Path, typer.Option(help="Folder in the public layout, or CSV manifest.")],
    config: Annotated[
        Path | None, typer.Option(help="YAML file; default: the one that made the published weights.")
    ] = None,
    output: Annotated[Path | None, typer.Option(help="Run folder; default: runs/NETWORK.")] = None,
    device: DeviceOption = None,
    threads: Annotated[int, typer.Option(min=0, help="CPU threads; 0 for all cores.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the run folder's last checkpoint.")] = False,
) -> None:
    """Train one network; the run folder can then be used as a weights folder."""
    from streamer.training.command import train_network

    wanted = Device.auto if device is None else device
    train_network(
        network.value, data, config, output or Path("runs") / network.value, wanted.value, threads, resume=resume
    )


def _settings(config: Path | None, device: Device | None) -> Any:
    from streamer.settings import load_settings

    settings = load_settings(config)
    return settings if device is None else settings.with_runtime(device=device.value)


def _plain(text: str) -> str:
    """One line, with nothing that rich would take for markup."""
    return " ".join(text.split()).replace("[", "\\[")
