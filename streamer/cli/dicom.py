"""The commands of the DICOM network: receive and answer, fetch, look into the queue."""

from __future__ import annotations

import threading
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from streamer.cli.console import talking
from streamer.cli.options import AuditOption, ConfigOption, DeviceOption, MetricsOption, settings_of
from streamer.errors import InputError, SettingsError

dicom = typer.Typer(no_args_is_help=True, help="DICOM network: a node that analyses what it is sent, and fetching.")

_AetOption = Annotated[str, typer.Option(help="This node's AE title.")]
_FolderOption = Annotated[Path, typer.Option(help="The node's queue, objects and results.")]


@dicom.command(
    epilog="Example: streamer dicom serve --host 192.0.2.9 --from PACS@192.0.2.7:104 --to PACS@192.0.2.7:104"
)
@talking
def serve(
    aet: _AetOption = "STREAMER",
    host: Annotated[str, typer.Option(help="Address to listen on; all but loopback need --from.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 for any that is free.")] = 11112,
    callers: Annotated[
        list[str] | None,
        typer.Option(
            "--from",
            metavar="AET@HOST[:PORT]",
            help="Who may call; repeat for more. With its port, storage commitment is answered by a call of its own.",
        ),
    ] = None,
    destinations: Annotated[
        list[str] | None,
        typer.Option(
            "--to",
            metavar="AET@HOST:PORT | URL",
            help="Where results go: a node, or a DICOMweb server (STOW-RS); repeat for more. tls:AET@.. calls by TLS.",
        ),
    ] = None,
    folder: _FolderOption = Path("dicom-node"),
    quiet_s: Annotated[
        float, typer.Option("--quiet", min=0, max=86400, help="Analyse a study when it was quiet for so many seconds.")
    ] = 30.0,
    keep_days: Annotated[
        float | None, typer.Option(min=0, help="Delete objects and results so long after all was sent; default: never.")
    ] = None,
    max_associations: Annotated[int, typer.Option(min=1, max=1000, help="Calls at a time.")] = 10,
    tls_certificate: Annotated[Path | None, typer.Option(help="PEM file: callers must use TLS.")] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file: the certificate's key.")] = None,
    tls_authority: Annotated[
        Path | None, typer.Option(help="PEM file: callers must show a certificate signed by this authority.")
    ] = None,
    metrics: MetricsOption = None,
    audit_log: AuditOption = None,
    config: ConfigOption = None,
    device: DeviceOption = None,
) -> None:
    """Receive ultrasound, analyse each study once, send report, segmentations and key images back.

    Whatever was acknowledged survives a crash. Ctrl-C ends; the next start goes on from there.
    """
    from streamer.cli.signals import stop_on_signal
    from streamer.dicom.library import require_node

    require_node("a DICOM node")
    from streamer.node.peers import Peer, TlsFiles, checked_aet
    from streamer.node.receive import ReceiverSettings
    from streamer.node.serve import NodeSettings
    from streamer.node.serve import serve as run_node
    from streamer.node.worker import AnalysisProcess, thyroid_engine

    if (tls_certificate is None) != (tls_key is None) or (tls_authority is not None and tls_key is None):
        raise SettingsError("TLS needs --tls-certificate and --tls-key")
    receiver = ReceiverSettings(
        aet=checked_aet(aet),
        host=host,
        port=port,
        allowed=tuple(Peer.parse(caller) for caller in callers or ()),
        max_associations=max_associations,
    )
    settings = NodeSettings(
        receiver=receiver,
        folder=folder,
        destinations=tuple(dict.fromkeys(destinations or ())),
        quiet_s=quiet_s,
        keep_days=keep_days,
        tls=None
        if tls_certificate is None or tls_key is None
        else TlsFiles(certificate=tls_certificate, key=tls_key, authority=tls_authority),
    )
    analysis = settings_of(config, device).with_output("dicom")
    stop = threading.Event()
    with stop_on_signal(stop.set):
        run_node(
            settings,
            lambda: AnalysisProcess(partial(thyroid_engine, analysis)),
            stop,
            typer.echo,
            metrics_address=metrics,
            audit_folder=audit_log,
        )


@dicom.command(
    epilog="Example: streamer dicom pull --web https://pacs/dicom-web --query StudyDate=20260101-20260131 --output in"
)
@talking
def pull(
    output: Annotated[Path, typer.Option(help="Each study gets a folder of its own in it.")],
    web: Annotated[str | None, typer.Option(metavar="URL", help="A DICOMweb server: QIDO-RS and WADO-RS.")] = None,
    pacs: Annotated[
        str | None, typer.Option(metavar="AET@HOST:PORT", help="A PACS: C-FIND, and C-MOVE to this node.")
    ] = None,
    study: Annotated[list[str] | None, typer.Option(metavar="UID", help="A study; repeat for more.")] = None,
    studies: Annotated[Path | None, typer.Option(help="File with a study UID in each line.")] = None,
    query: Annotated[
        list[str] | None,
        typer.Option(metavar="KEYWORD=VALUE", help="Studies that match, such as StudyDate=20260101-20260131; repeat."),
    ] = None,
    aet: _AetOption = "STREAMER",
    host: Annotated[str, typer.Option(help="Address that the PACS sends to.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port that the PACS sends to.")] = 11112,
) -> None:
    """Fetch the ultrasound of studies from a PACS. What is there already is not fetched again.

    That holds for each file with --web, and for each series with --pacs: one of which a file is missing is sent anew.

    Analyse it with: streamer run --video OUTPUT --each study --dicom --output RESULTS
    """
    from streamer.dicom.library import require_node

    require_node("a PACS")
    from streamer.node.peers import Peer, checked_aet
    from streamer.node.pull import Archive, DimseArchive, WebArchive, read_studies
    from streamer.node.pull import pull as fetch
    from streamer.node.receive import ReceiverSettings

    archive: Archive
    if web is not None and pacs is None:
        archive = WebArchive(web)
    elif pacs is not None and web is None:
        peer = Peer.parse(pacs, listens=True)
        receiver = ReceiverSettings(aet=checked_aet(aet), host=host, port=port, allowed=(peer,))
        archive = DimseArchive(peer, receiver)
    else:
        raise SettingsError("say where from: --web URL, or --pacs AET@HOST:PORT")
    wanted = [*_study_uids(study or []), *(read_studies(studies) if studies is not None else [])]
    if query:
        wanted += archive.studies(_query(query))
    wanted = list(dict.fromkeys(wanted))
    if not wanted:
        if query:
            raise InputError("no study matches")
        raise InputError(
            f"{studies} names no study" if studies else "say which: --study UID, --studies FILE or --query"
        )
    for number, pulled in enumerate(fetch(archive, wanted, output), start=1):
        before = f", {pulled.before} were there" if pulled.before else ""
        typer.echo(f"study {number} of {len(wanted)}: {pulled.new} new files{before}: {pulled.folder}")


@dicom.command(epilog="Example: streamer dicom status --folder dicom-node")
def status(folder: _FolderOption = Path("dicom-node")) -> None:
    """Say how much waits in a node's queue, what failed and why."""
    from streamer.node.queue import opened

    with opened(folder) as queue:
        found = queue.status()
    jobs = ", ".join(f"{count} {state}" for state, count in sorted(found.jobs.items())) or "none"
    typer.echo(f"received, not due yet: {found.arriving} objects")
    typer.echo(f"analyses: {jobs}")
    typer.echo(f"results: {found.sent} sent, {found.unsent} to be sent")
    for failure in found.failures:
        typer.echo(failure)


def _study_uids(uids: list[str]) -> list[str]:
    from pydicom.uid import UID

    wrong = next((uid for uid in uids if not UID(uid).is_valid), None)
    if wrong is not None:
        raise typer.BadParameter(f"{wrong!r} is no study UID", param_hint="--study")
    return uids


def _query(pairs: list[str]) -> dict[str, str]:
    from pydicom.datadict import tag_for_keyword

    query = {"ModalitiesInStudy": "US"}
    for pair in pairs:
        keyword, equals, value = pair.partition("=")
        if not equals or tag_for_keyword(keyword) is None:
            raise typer.BadParameter(
                f"expected a DICOM keyword and a value, such as StudyDate=20260101; got {pair!r}", param_hint="--query"
            )
        query[keyword] = value
    return query
