"""Sends results: by C-STORE to another node, or by STOW-RS to a DICOMweb server. Files are read as they go out."""

from __future__ import annotations

import logging
import queue
import shutil
import ssl
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
from pydicom.dataset import Dataset
from pydicom.filebase import DicomIO
from pydicom.filereader import dcmread, read_file_meta_info
from pydicom.filewriter import write_file_meta_info
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import P_DATA

from streamer.dicom.header import inflated
from streamer.errors import StreamerError
from streamer.node.calls import NoCallError, call
from streamer.node.peers import Peer
from streamer.node.web import client, status_line

_LOG = logging.getLogger(__name__)

_NATIVE = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
_MAX_CONTEXTS = 128  # of an association (PS3.8, 9.3.2)
_CHUNK_BYTES = 2**16
_MAX_QUEUED_PDUS = 64
_LOOK_AGAIN_S = 0.1

Outcome = Callable[[Path, str | None], None]
"""Told of each file: None once the receiver has confirmed it, else why it was not taken."""

Permission = Callable[[Path], str | None]
"""Asked before a file goes out: None lets it go, a reason keeps it here."""


def _always(_: Path) -> None:
    return None


def is_url(destination: str) -> bool:
    """Whether results go there by STOW-RS, and not by C-STORE."""
    return destination.startswith(("http://", "https://"))


def send_to_node(
    files: Sequence[Path],
    peer: Peer,
    *,
    aet: str,
    outcome: Outcome,
    may_go: Permission = _always,
    tls: ssl.SSLContext | None = None,
) -> None:
    """Send files to another node, in one association.

    Args:
        files: DICOM files.
        peer: where they go; its port is known.
        aet: own AE title.
        outcome: told of each file as soon as it is decided, so that nothing confirmed is sent again.
        may_go: asked of each file that the receiver would take; a reason is its outcome.
        tls: for a peer that is called by TLS.
    """
    _config.STORE_SEND_CHUNKED_DATASET = True
    kinds = {path: _kind(path) for path in files}
    for path in [path for path, kind in kinds.items() if kind is None]:
        outcome(path, "the file cannot be read")
        del kinds[path]
    contexts = sorted({pair for kind in kinds.values() if kind is not None for pair in _offered(*kind)})
    node = AE(aet)
    for class_uid, syntax in contexts[:_MAX_CONTEXTS]:
        node.add_requested_context(class_uid, syntax)
    if not kinds:
        return
    try:
        association = call(node, peer, tls=tls)
    except NoCallError as error:
        for path in kinds:
            outcome(path, str(error))
        return
    association.dul.to_provider_queue = _BoundedPdus(association.dul)
    try:
        for path, kind in kinds.items():
            assert kind is not None
            outcome(path, _sent(association, path, kind, may_go))
    finally:
        if association.is_established:
            association.release()


class _BoundedPdus(queue.Queue[Any]):
    """What is on its way to the socket: data wait for room, so that a file is read no faster than it goes out.

    pynetdicom's own queue takes the whole of a file. Data for a connection that has ended are dropped; its end is
    noticed where the answer is awaited.
    """

    def __init__(self, service: DULServiceProvider) -> None:
        super().__init__()
        self._service = service

    def put(self, item: object, block: bool = True, timeout: float | None = None) -> None:
        """Add something; data only once there is room."""
        if isinstance(item, P_DATA):
            with self.not_full:
                while len(self.queue) >= _MAX_QUEUED_PDUS and self._service.is_alive():
                    self.not_full.wait(_LOOK_AGAIN_S)
            if not self._service.is_alive():
                return
        super().put(item, block, timeout)


def _kind(path: Path) -> tuple[str, str] | None:
    """SOP class and transfer syntax."""
    try:
        meta = read_file_meta_info(path)
        return str(meta.MediaStorageSOPClassUID), str(meta.TransferSyntaxUID)
    except Exception as error:  # what pydicom raises on a damaged file is nearly anything
        _LOG.error("%s cannot be read: %s", path.name, type(error).__name__)
        return None


def _offered(class_uid: str, syntax: str) -> list[tuple[str, str]]:
    """Contexts for a file: its own syntax, and the plain ones where it can be converted."""
    others = [str(uid) for uid in _NATIVE[:2]] if syntax in _NATIVE else []
    return [(class_uid, one) for one in dict.fromkeys([syntax, *others])]


def _sent(association: Association, path: Path, kind: tuple[str, str], may_go: Permission) -> str | None:
    """Send a file; None if it was taken, else the reason."""
    if not association.is_established:
        return "the association broke off"
    accepted = {(str(one.abstract_syntax), str(one.transfer_syntax[0])) for one in association.accepted_contexts}
    possible = [pair for pair in _offered(*kind) if pair in accepted]
    if not possible:
        return "the receiver takes no objects of this class and transfer syntax"
    if (reason := may_go(path)) is not None:
        return reason
    try:
        with warnings.catch_warnings(action="ignore"):
            status = _stored(association, path, kind[1], possible[0][1])
    except (ValueError, AttributeError, RuntimeError, OSError, StreamerError) as error:
        return f"it cannot be sent: {type(error).__name__}"
    if "Status" not in status:
        return "the association broke off"
    code = int(status.Status)
    return None if code == 0 or code >> 12 == 0xB else f"the receiver answers with status {code:04X}"  # PS3.7, annex C


def _stored(association: Association, path: Path, syntax: str, taken: str) -> Dataset:
    """Send a file in the transfer syntax that is taken."""
    if taken == syntax:
        return association.send_c_store(path)
    if taken == ExplicitVRLittleEndian and syntax == DeflatedExplicitVRLittleEndian:
        with _plain_copy(path) as copy:
            return association.send_c_store(copy)
    data = dcmread(path)  # to be coded anew, in memory
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return association.send_c_store(data)


@contextmanager
def _plain_copy(path: Path) -> Iterator[Path]:
    """A deflated file inflated, on the disk as long as it is needed."""
    with (
        path.open("rb") as file,
        closing(inflated(file, path.name)) as content,
        tempfile.NamedTemporaryFile() as copy,
    ):
        meta = read_file_meta_info(path)
        meta.TransferSyntaxUID = ExplicitVRLittleEndian
        copy.write(b"\0" * 128 + b"DICM")
        write_file_meta_info(DicomIO(copy), meta)
        shutil.copyfileobj(content, copy)
        copy.flush()
        yield Path(copy.name)


def send_to_web(files: Sequence[Path], url: str, *, outcome: Outcome, may_go: Permission = _always) -> None:
    """Send files to a DICOMweb server, one in each request.

    Args:
        files: DICOM files.
        url: base address of the service, such as `https://pacs/dicom-web`.
        outcome: told of each file as soon as it is decided.
        may_go: asked of each file first; a reason is its outcome.
    """
    with closing(client(url)) as web:
        for path in files:
            reason = may_go(path)
            outcome(path, _posted(web, path) if reason is None else reason)


def _posted(web: httpx.Client, path: Path) -> str | None:
    boundary = uuid.uuid4().hex
    headers = {
        "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
        "Accept": "application/dicom+json",
    }
    try:
        answer = web.post("/studies", content=_parts(path, boundary), headers=headers)
    except (httpx.HTTPError, OSError) as error:
        return f"the server does not answer: {type(error).__name__}"
    if answer.status_code not in (200, 202):
        return status_line(answer)
    return "the server did not store it" if _failed(answer) else None


def _failed(answer: httpx.Response) -> bool:
    """Whether Failed SOP Sequence holds anything (PS3.18, 10.5.3); some servers always give an empty one."""
    try:
        entry = answer.json().get("00081198", {})
        return bool(entry.get("Value"))
    except (ValueError, AttributeError):  # no JSON
        return answer.status_code != 200


def _parts(path: Path, boundary: str) -> Iterator[bytes]:
    yield f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk
    yield f"\r\n--{boundary}--\r\n".encode()
