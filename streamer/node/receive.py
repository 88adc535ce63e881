"""Takes calls: C-ECHO, C-STORE of ultrasound, and questions for storage commitment."""

from __future__ import annotations

import logging
import sqlite3
import ssl
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, _config, evt
from pynetdicom.association import Association
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.events import Event
from pynetdicom.sop_class import StorageCommitmentPushModel, Verification  # type: ignore[attr-defined]

from streamer.dicom.attributes import sequence, text
from streamer.dicom.classes import RESULTS, SECONDARY_CAPTURE, ULTRASOUND, made_by_streamer, refusal
from streamer.dicom.header import read_header
from streamer.dicom.syntaxes import SYNTAXES
from streamer.errors import InputError, OutputError, SettingsError
from streamer.node.calls import listen
from streamer.node.incoming import IncomingFolder
from streamer.node.peers import Peer, is_loopback_address
from streamer.node.records import Received

_LOG = logging.getLogger(__name__)

SUCCESS, OUT_OF_RESOURCES, NO_MATCH, CANNOT_UNDERSTAND = 0x0000, 0xA700, 0xA900, 0xC000
_NO_SUCH_ACTION, _INVALID_ARGUMENT = 0x0123, 0x0115
_REJECTED_PERMANENT, _BY_USER, _UNKNOWN_CALLER = 0x01, 0x01, 0x03  # PS3.8, 9.3.4
_MAX_PDU_BYTES = 65536
_RESULT_SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, DeflatedExplicitVRLittleEndian)
_REQUEST_STORAGE_COMMITMENT = 1  # PS3.4, J.3.2

Store = Callable[[Received], bool]
"""Takes an object over; False for one that is there already. An error means that it was not taken."""

Commit = Callable[[str, str, Sequence[tuple[str, str]], Association], None]
"""Keeps a question for storage commitment: its transaction UID, the asker's AE title, the objects, the association."""


class RefusedError(Exception):
    """An object is not kept; `status` is what its sender is told."""

    def __init__(self, status: int, reason: str) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverSettings:
    """Where and from whom calls are taken.

    Attributes:
        aet: own AE title; calls for another are refused.
        host, port: where to listen; port 0 for any that is free.
        allowed: who may call, by title and address; empty for anybody on this machine.
        max_associations: at a time.
        timeout_s: a caller that is silent for so long is hung up on.
    """

    aet: str
    host: str = "127.0.0.1"
    port: int = 11112
    allowed: tuple[Peer, ...] = ()
    max_associations: int = 10
    timeout_s: float = 60.0

    def lets_in(self, aet: str, address: str) -> bool:
        """Whether a caller may call."""
        if not self.allowed:
            return is_loopback_address(address)
        return any(peer.aet == aet and peer.is_at(address) for peer in self.allowed)


class Receiver:
    """Listens as long as it is open. Objects are written to `incoming` as they arrive, 64 KiB in memory at a time.

    Args:
        settings: where and from whom.
        incoming: a folder on the file system of the queue, since arrived files are moved.
        store: takes objects over.
        commit: takes questions for storage commitment; None where they are not answered.
        tls: for callers who use TLS; None for none.

    Raises:
        SettingsError: the address cannot be listened on.
    """

    def __init__(
        self,
        settings: ReceiverSettings,
        incoming: Path,
        store: Store,
        commit: Commit | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._settings, self._store, self._commit = settings, store, commit
        _config.STORE_RECV_CHUNKED_DATASET = True
        self._incoming = IncomingFolder(incoming)
        node = AE(settings.aet)
        node.maximum_associations = settings.max_associations
        node.maximum_pdu_size = _MAX_PDU_BYTES
        node.require_called_aet = True
        node.network_timeout = node.dimse_timeout = node.acse_timeout = settings.timeout_s
        node.add_supported_context(Verification)
        for uid in sorted(ULTRASOUND | SECONDARY_CAPTURE):
            node.add_supported_context(uid, _syntaxes())
        for uid in sorted(RESULTS):
            node.add_supported_context(uid, [str(syntax) for syntax in _RESULT_SYNTAXES])
        handlers: list[evt.EventHandlerType] = [
            (evt.EVT_REQUESTED, self._requested),
            (evt.EVT_REJECTED, self._rejected),
            (evt.EVT_C_STORE, self._stored),
        ]
        if commit is not None:
            node.add_supported_context(StorageCommitmentPushModel)
            handlers.append((evt.EVT_N_ACTION, self._asked))
        try:
            self._server = listen(node, (settings.host, settings.port), handlers, tls)
        except OSError as error:
            self._incoming.close()
            raise SettingsError(
                f"cannot listen on {settings.host}, port {settings.port}: {error.strerror}; "
                "choose another --host or --port"
            ) from error
        self._node = node

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server.socket is not None
        return int(self._server.socket.getsockname()[1])

    def close(self) -> None:
        """Hang up."""
        self._node.shutdown()
        self._incoming.close()

    def _requested(self, event: Event) -> None:
        association = event.assoc
        caller, _ = _titles(association)
        address = str(association.requestor.address)
        if not self._settings.lets_in(caller, address):
            _LOG.warning("a call from %r at %s is refused: both must be on the list (--from)", caller, address)
            association.acse.send_reject(_REJECTED_PERMANENT, _BY_USER, _UNKNOWN_CALLER)
            association.kill()

    def _rejected(self, event: Event) -> None:
        """Say why pynetdicom refused a call by itself."""
        caller, called = _titles(event.assoc)
        if called != self._settings.aet:
            reason = f"it calls {called!r}, and this node is {self._settings.aet!r} (--aet)"
        else:
            reason = "too many calls at a time (--max-associations)"
        _LOG.warning("a call from %r at %s is refused: %s", caller, event.assoc.requestor.address, reason)

    def _stored(self, event: Event) -> Dataset:
        request = event.request
        assert isinstance(request, C_STORE)  # the event it is bound to
        if not event.dataset_path.is_file():  # said when it could not be written
            return _status(OUT_OF_RESOURCES, "it cannot be stored here now")
        try:
            arrived = examined(
                event.dataset_path, str(request.AffectedSOPClassUID), str(request.AffectedSOPInstanceUID)
            )
            if arrived is not None and self._store(arrived):
                _LOG.info("an object was received from %s", event.assoc.requestor.address)
        except RefusedError as error:
            _LOG.warning("an object from %s is refused: it %s", event.assoc.requestor.address, error)
            return _status(error.status, str(error))
        except (OSError, OutputError, sqlite3.Error) as error:
            reason = str(error) if isinstance(error, OutputError) else getattr(error, "strerror", None)
            _LOG.error("an object could not be kept: %s", reason or type(error).__name__)
            return _status(OUT_OF_RESOURCES, "it cannot be stored here now")
        return _status(SUCCESS)

    def _asked(self, event: Event) -> tuple[int, None]:
        assert self._commit is not None  # as it is bound only then
        if event.action_type != _REQUEST_STORAGE_COMMITMENT:
            return _NO_SUCH_ACTION, None
        with warnings.catch_warnings(action="ignore"):
            asked = event.action_information
            transaction = text(asked, "TransactionUID")
            pairs = [
                (text(item, "ReferencedSOPClassUID"), text(item, "ReferencedSOPInstanceUID"))
                for item in sequence(asked, "ReferencedSOPSequence")
            ]
        if not transaction or not pairs:
            return _INVALID_ARGUMENT, None
        try:
            self._commit(transaction, str(event.assoc.requestor.ae_title).strip(), pairs, event.assoc)
        except (OSError, sqlite3.Error) as error:
            _LOG.error("a question for storage commitment could not be kept: %s", type(error).__name__)
            return 0x0110, None  # processing failure
        return SUCCESS, None


def examined(path: Path, class_uid: str, sop_uid: str) -> Received | None:
    """See that an object that arrived is an ultrasound picture whose results can be filed.

    Args:
        path: as it was written.
        class_uid, sop_uid: as its sender named it.

    Returns:
        None for a result of streamer itself, which needs no analysis: a PACS that forwards all of a study sends them.

    Raises:
        RefusedError: it is not one.
    """
    try:
        header = read_header(path, "it")
    except (InputError, OSError) as error:
        raise RefusedError(CANNOT_UNDERSTAND, "has a header that cannot be read") from error
    header.file.close()
    data = header.data
    if text(data, "SOPInstanceUID") != sop_uid or text(data, "SOPClassUID") != class_uid:
        raise RefusedError(NO_MATCH, "is not the object that its sender names")
    if made_by_streamer(data):
        return None
    reason = refusal(data)
    if reason is not None:
        raise RefusedError(NO_MATCH, reason)
    if header.pixel_start is None:
        raise RefusedError(CANNOT_UNDERSTAND, "holds no pixel data")
    for keyword in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
        if not text(data, keyword) or not UID(text(data, keyword)).is_valid:
            raise RefusedError(NO_MATCH, f"states no valid {keyword}")
    return Received(path=path, sop_uid=sop_uid, class_uid=class_uid, study_uid=text(data, "StudyInstanceUID"))


def _titles(association: Association) -> tuple[str, str]:
    """AE titles of the caller and of whom it calls."""
    asked = association.requestor.primitive
    return ("", "") if asked is None else (str(asked.calling_ae_title).strip(), str(asked.called_ae_title).strip())


def _syntaxes() -> list[str]:
    """All that are read, the uncompressed ones first."""
    first = [str(ExplicitVRLittleEndian), str(ImplicitVRLittleEndian)]
    return first + [uid for uid in SYNTAXES if uid not in first]


def _status(code: int, comment: str = "") -> Dataset:
    made = Dataset()
    made.Status = code
    if comment:
        made.ErrorComment = comment[:64]
    return made
