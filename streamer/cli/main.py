"""The command line. Each command imports what it needs when it runs, so that `streamer --help` answers at once."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from streamer.cli.benchmark import benchmark
from streamer.cli.console import talking
from streamer.cli.models import evaluate, publish, quantise, train
from streamer.cli.options import ConfigOption, DeviceOption, a_number, settings_of
from streamer.errors import OutputError, StreamerError
from streamer.version import __version__

_LONGEST_S = 4_000_000  # 46 days: no system's timers end earlier

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Watches thyroid ultrasound cine loops: where each nodule is, how large, how suspicious. Research use only.",
)
app.add_typer(benchmark, name="benchmark")


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
        list[str] | None,
        typer.Option("--video", help="Clip, still or folder of stills; repeat for more of one patient."),
    ] = None,
    live: Annotated[
        bool, typer.Option("--live", help="Analyse a live picture; Ctrl-C is its normal end (exit code 0).")
    ] = False,
    source: Annotated[
        str | None,
        typer.Option(
            help="With --live: URL (rtsp, http, udp, ..), device (/dev/video0), or clip, played at its own pace."
        ),
    ] = None,
    loop: Annotated[bool, typer.Option("--loop", help="With --live: repeat the clip until the end.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=_LONGEST_S, callback=a_number, help="With --live: end after this time.")
    ] = None,
    patient: Annotated[str, typer.Option(help="Identifier shown in the report.")] = "",
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of results; default: results/NAME-OF-FIRST-CLIP; of a live run a new one each time."),
    ] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Analyse the clips of one patient, or a live picture: overlay video, report and a picture of each nodule.

    Of a clip every frame is analysed. Of a live picture the newest frame is, and those it overtakes are counted as
    dropped; a lost connection is made again. Ctrl-C ends clips early (partial results, exit code 130) and a live run in
    the normal way (complete results, exit code 0).
    """
    if live:
        from streamer.cli.live import analyse_live

        if source is None or video:
            raise typer.BadParameter("a live run takes one --source and no --video", param_hint="--live")
        raise typer.Exit(
            analyse_live(
                source, output, settings=settings_of(config, device), patient=patient, loop=loop, seconds=seconds
            )
        )
    from streamer.cli.run import analyse_with_progress
    from streamer.run import refuse_other_patient
    from streamer.sources.base import result_name

    if not video or source is not None or loop or seconds is not None:
        raise typer.BadParameter("give --video; --source, --loop and --seconds go with --live", param_hint="--video")
    if not all(video):
        raise typer.BadParameter("a path is empty", param_hint="--video")
    folder = output or Path("results") / result_name(Path(video[0]))
    if output is None:
        refuse_other_patient(folder, patient)
    raise typer.Exit(analyse_with_progress(video, folder, settings=settings_of(config, device), patient=patient))


@app.command()
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the clip and its results.")] = Path("demo"),
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Simulate a thyroid cine loop and analyse it."""
    from streamer.cli.run import analyse_with_progress

    clip = output / "phantom.mp4"
    phantom(clip)
    raise typer.Exit(
        analyse_with_progress([str(clip)], output, settings=settings_of(config, device), patient="phantom")
    )


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
        settings_of(config, device),
        host=host,
        port=port,
        auth_file=auth_file,
        without_login=without_login,
        announce=lambda url: typer.echo(f"open {url} in a browser; Ctrl-C ends"),
    )


@app.command()
@talking
def phantom(
    output: Annotated[Path, typer.Option(help="The clip to write (H.264, mp4).")] = Path("phantom.mp4"),
    frames: Annotated[int, typer.Option(min=1, help="Length in frames, at 30 a second.")] = 150,
    seed: Annotated[int, typer.Option(min=0, help="Another seed, another speckle and motion.")] = 0,
) -> None:
    """Simulate a thyroid cine loop with a benign-looking and a suspicious nodule."""
    from streamer._progress import track
    from streamer.phantom import simulate, write_clip

    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"cannot make the folder {output.parent}: {error.strerror}") from error
    write_clip(output, track(simulate(seed=seed, frames=frames), frames, "simulating"))
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
    from streamer.cli.heatmap import write_heat_still
    from streamer.sources.base import result_name

    path = output or Path(f"{result_name(Path(video))}-frame-{frame}-heatmap.png")
    for nodule in write_heat_still(video, frame, path, settings_of(config, device)):
        x0, y0, x1, y1 = (round(value) for value in nodule.box_xyxy)
        typer.echo(f"nodule in x {x0} to {x1}, y {y0} to {y1}: malignancy {nodule.malignancy:.2f}")
    typer.echo(f"heat map: {path}; research use only")


for command in (talking(train), publish, talking(quantise), talking(evaluate)):
    app.command()(command)


def _plain(text: str) -> str:
    """One line, with nothing that rich would take for markup."""
    return " ".join(text.split()).replace("[", "\\[")
