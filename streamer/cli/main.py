"""The command line. Each command imports what it needs when it runs, so that `streamer --help` answers at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from copy import copy
from pathlib import Path
from typing import Annotated

import typer
from typer.main import get_command_name
from typer.models import CommandInfo

from streamer._extras import missing_extra
from streamer.cli.archive import archive
from streamer.cli.benchmark import benchmark
from streamer.cli.console import talking
from streamer.cli.deidentify import deidentify
from streamer.cli.devices import PixelFormatOption, RateOption, SizeOption, capture_of, devices
from streamer.cli.dicom import dicom as dicom_commands
from streamer.cli.models import compare, cross_validate, evaluate, fit_gate, publish, quantise, train
from streamer.cli.options import (
    AuditOption,
    ConfigOption,
    DeinterlaceOption,
    DeviceOption,
    Each,
    JsonOption,
    LogFormat,
    MetricsOption,
    OutputsOption,
    PlanesOption,
    SpacingOption,
    a_number,
    numbered,
    planes_of,
    settings_of,
    spacing_of,
)
from streamer.cli.scintigraphy import scintigraphy as scintigraphy_commands
from streamer.cli.signals import interrupted_by_termination
from streamer.cli.streams import print_error, standard_streams
from streamer.cli.study import study
from streamer.errors import OutputError, SettingsError, StreamerError
from streamer.version import __version__

_LONGEST_S = 4_000_000  # 46 days: no system's timers end earlier

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="Watches thyroid ultrasound cine loops: where each nodule is, how large, how suspicious. Research use only.",
)
app.add_typer(archive, name="archive")
app.add_typer(benchmark, name="benchmark")
app.add_typer(study, name="study")
app.add_typer(dicom_commands, name="dicom")
app.add_typer(scintigraphy_commands, name="scintigraphy")


def main() -> None:
    """Entry point: one line and exit code 2 for what the user can mend, 130 for Ctrl-C (docs/reliability.md)."""
    with standard_streams(), interrupted_by_termination():
        try:
            _called(sys.argv[1:])(
                prog_name="streamer"
            )  # leaves through SystemExit; usage errors and Ctrl-C are dealt with in there
        except StreamerError as error:
            print_error(str(error))
            sys.exit(2)
        except FileNotFoundError as error:
            if not str(error.strerror).startswith("No usable temporary directory"):  # as `tempfile` says it
                raise
            print_error("no temporary folder can be written: free some space, or name a folder in TMPDIR")
            sys.exit(2)
        except ModuleNotFoundError as error:
            line = missing_extra(error)
            if line is None:
                raise
            print_error(line)
            sys.exit(2)


def _called(arguments: Sequence[str]) -> typer.Typer:
    """The app with nothing but the command that is called first; all of it where none is.

    Typer makes all commands of an app before it runs one: here forty, in a tenth of a second.
    """
    name = arguments[0] if arguments else ""
    called = copy(app)
    called.registered_commands = [one for one in app.registered_commands if _name(one) == name]
    called.registered_groups = [one for one in app.registered_groups if one.name == name]
    return called if called.registered_commands or called.registered_groups else app


def _name(command: CommandInfo) -> str:
    return command.name or get_command_name(command.callback.__name__ if command.callback else "")


@app.callback(invoke_without_command=True)
def _version(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.")] = False,
    log_format: Annotated[LogFormat, typer.Option(help="Logs for people, or a JSON object per line.")] = LogFormat.text,
) -> None:
    if version:
        typer.echo(f"streamer {__version__}")
        raise typer.Exit
    if log_format is LogFormat.json:
        from streamer.monitoring.logs import json_logs

        context.with_resource(json_logs())


@app.command(epilog="Example: streamer run --video sweep-1.mp4 --video sweep-2.mp4 --patient P-7 --output results/P-7")
def run(
    video: Annotated[
        list[str],
        typer.Option(
            "--video",
            help="Clip, still, DICOM file, DICOMDIR, or a folder of these, or - for a clip by standard input; "
            "repeat for more of one patient.",
        ),
    ],
    each: Annotated[
        Each | None,
        typer.Option(help="One study per clip, or per DICOM study, each in a folder of its own below --output."),
    ] = None,
    patient: Annotated[str, typer.Option(help="Identifier shown in the report.")] = "",
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; default: results/NAME-OF-FIRST-CLIP, a new one each time.")
    ] = None,
    outputs: OutputsOption = None,
    dicom: Annotated[
        bool, typer.Option("--dicom", help="Also write the results of DICOM clips as DICOM objects of their study.")
    ] = False,
    pixel_spacing_mm: SpacingOption = None,
    planes: PlanesOption = None,
    deinterlace: DeinterlaceOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Analyse the clips of one patient: overlay video, report and a picture of each nodule.

    Every frame is analysed once. Ctrl-C ends early: partial results, exit code 130.
    """
    from streamer.cli.piped import from_pipes
    from streamer.cli.run import RequestedStudy, analyse_studies
    from streamer.outputs.folder import new_folder

    if not all(video):
        raise typer.BadParameter("a path is empty", param_hint="--video")
    if each is not None and planes is not None:
        raise typer.BadParameter("for the clips of one study, not with --each", param_hint="--planes")
    spacing, settings = spacing_of(pixel_spacing_mm), settings_of(config, device, outputs, deinterlace)
    settings = settings.with_output("dicom") if dicom else settings
    sweeps = planes_of(planes)
    with ExitStack() as stack:
        video = stack.enter_context(from_pipes(video))
        groups, names = _studies(video, each)
        if output is None:
            folders = [stack.enter_context(new_folder(Path("results") / name)) for name in names]
        else:
            folders = [output] if each is None else [output / name for name in names]
        studies = [
            RequestedStudy(group, folder, patient, sweeps) for group, folder in zip(groups, folders, strict=True)
        ]
        raise typer.Exit(analyse_studies(studies, settings=settings, pixel_spacing_mm=spacing, as_json=as_json))


def _studies(video: list[str], each: Each | None) -> tuple[list[list[Path]], list[str]]:
    """The clips of each study, and the name of its results."""
    from streamer.sources.base import result_name
    from streamer.sources.clips import expand_clips, expand_studies

    if each is None:
        return [expand_clips(video)], [result_name(Path(video[0]))]
    if each is Each.clip:
        groups = [[clip] for clip in expand_clips(video, one_patient=False)]
    else:
        groups = [study for path in video for study in expand_studies(path)]
    return groups, numbered([result_name(group[0]) for group in groups])


@app.command(epilog="Example: streamer live --source rtsp://192.0.2.7/stream --output results/room-3")
def live(
    source: Annotated[
        str,
        typer.Option(help="URL (rtsp, http, udp, ..), device (/dev/video0), or clip, played at its own pace."),
    ],
    loop: Annotated[bool, typer.Option("--loop", help="Repeat the clip until the end.")] = False,
    seconds: Annotated[
        float | None, typer.Option(min=0.1, max=_LONGEST_S, callback=a_number, help="End after this time.")
    ] = None,
    patient: Annotated[str, typer.Option(help="Identifier shown in the report.")] = "",
    output: Annotated[
        Path | None, typer.Option(help="Folder of results; default: below results, a new one each time.")
    ] = None,
    outputs: OutputsOption = None,
    pixel_spacing_mm: SpacingOption = None,
    metrics: MetricsOption = None,
    size: SizeOption = None,
    rate: RateOption = None,
    pixel_format: PixelFormatOption = None,
    deinterlace: DeinterlaceOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Analyse a live picture: the newest frame next, and those it overtakes are counted as dropped.

    A lost connection is made again. Ctrl-C is the normal end: complete results, exit code 0.
    """
    from streamer.cli.live import analyse_live

    if not source:
        raise typer.BadParameter("the source is empty", param_hint="--source")
    raise typer.Exit(
        analyse_live(
            source,
            output,
            settings=settings_of(config, device, outputs, deinterlace),
            patient=patient,
            capture=capture_of(size, rate, pixel_format),
            as_json=as_json,
            loop=loop,
            seconds=seconds,
            pixel_spacing_mm=spacing_of(pixel_spacing_mm),
            metrics_address=metrics,
        )
    )


@app.command(epilog="Example: streamer demo --output demo")
def demo(
    output: Annotated[Path, typer.Option(help="Folder of the clip and its results.")] = Path("demo"),
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Simulate a thyroid cine loop and analyse it."""
    from streamer.cli.run import RequestedStudy, analyse_studies

    clip = output / "phantom.mp4"
    phantom(clip)
    raise typer.Exit(analyse_studies([RequestedStudy([clip], output, "phantom")], settings=settings_of(config, device)))


app.command(epilog="Example: streamer devices")(devices)


@app.command("app", epilog="Example: streamer app --port 8080")
def live_app(
    host: Annotated[str, typer.Option(help="Address to listen on; all but loopback need a login.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 7860,
    auth_file: Annotated[Path | None, typer.Option(help='Login: a line "name:password" for each user.')] = None,
    without_login: Annotated[
        bool, typer.Option("--without-login", help="Listen for other machines although anybody on them may use it.")
    ] = False,
    study_file: Annotated[
        Path | None,
        typer.Option("--study", metavar="STUDY.yaml", help="Open this study's reading room instead (docs/studies.md)."),
    ] = None,
    scintigraphy: Annotated[
        Path | None,
        typer.Option(
            help='Run folder of `streamer scintigraphy train`, for the tab "Scintigraphy"; default: no network.'
        ),
    ] = None,
    metrics: MetricsOption = None,
    audit_log: AuditOption = None,
    root_path: Annotated[
        str,
        typer.Option(metavar="/PATH", help="Path under which a reverse proxy shows the app (docs/reliability.md)."),
    ] = "",
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Open the live app: drop a cine clip in the browser and watch it being read."""
    if study_file is not None:
        from streamer.studies.room.server import serve_study

        if without_login or config is not None or device is not None or scintigraphy is not None:
            raise SettingsError("a reading room always needs a login and runs no network: give --study without those")
        serve_study(study_file, host=host, port=port, auth_file=auth_file, announce=typer.echo)
        return
    from streamer.app.server import serve

    serve(
        settings_of(config, device),
        host=host,
        port=port,
        auth_file=auth_file,
        without_login=without_login,
        scintigraphy=scintigraphy,
        metrics_address=metrics,
        audit_folder=audit_log,
        root_path=root_path,
        announce=lambda url: typer.echo(f"open {url} in a browser; Ctrl-C ends"),
        announce_early=lambda url: typer.echo(f"loading the networks; {url} shows when they are ready"),
    )


@app.command(epilog="Example: streamer audit /var/log/streamer/audit")
def audit(folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="As given to --audit-log.")]) -> None:
    """See whether an audit log is whole: count its entries, name its gaps (exit code 1)."""
    from streamer.monitoring.audit import verify

    count, gaps = verify(folder)
    for gap in gaps:
        typer.echo(gap)
    typer.echo(f"{count} entries, {f'{len(gaps)} gaps' if gaps else 'no gap'}")
    raise typer.Exit(1 if gaps else 0)


@app.command(epilog="Example: streamer phantom --output clip.mp4 --frames 90 --seed 3")
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


@app.command(epilog="Example: streamer heatmap --video clip.mp4 --frame 12")
def heatmap(
    video: Annotated[str, typer.Option("--video", help="Clip, still or folder of stills.")],
    frame: Annotated[int, typer.Option(min=0, help="Number of the frame, from 0.")],
    output: Annotated[Path | None, typer.Option(help="PNG file; default: NAME-frame-NUMBER-heatmap.png.")] = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Show what in one frame raised each nodule's malignancy."""
    from streamer.cli.heatmap import write_heat_still
    from streamer.sources.base import result_name

    path = output or Path(f"{result_name(Path(video))}-frame-{frame}-heatmap.png")
    for nodule in write_heat_still(video, frame, path, settings_of(config, device)):
        x0, y0, x1, y1 = (round(value) for value in nodule.box_xyxy)
        typer.echo(f"nodule in x {x0} to {x1}, y {y0} to {y1}: malignancy {nodule.malignancy:.2f}")
    typer.echo(f"heat map: {path}; research use only")


for command, example in (
    (deidentify, "streamer deidentify EXPORT anonymous --keep-dates-shifted --map map.json"),
    (talking(train), "streamer train detector --data DATA --config configs/train-detector.yaml"),
    (talking(publish), "streamer publish runs/detector --weights weights"),
    (fit_gate, "streamer fit-gate --data DATA --weights weights"),
    (talking(quantise), "streamer quantise --data DATA"),
    (talking(evaluate), "streamer evaluate detector --data DATA"),
    (talking(compare), "streamer compare detector runs/a runs/b --data DATA"),
    (talking(cross_validate), "streamer cross-validate classifier runs/fold0 runs/fold1 --data DATA"),
):
    app.command(epilog=f"Example: {example}")(command)
