"""Answers to storage commitment (PS3.4, annex J): whether what a sender sent is kept here."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Sequence

from pydicom.dataset import Dataset
from pynetdicom import AE, build_role
from pynetdicom.association import Association
from pynetdicom.sop_class import (  # type: ignore[attr-defined]
    StorageCommitmentPushModel,
    StorageCommitmentPushModelInstance,
)

from streamer.node.calls import NoCallError, call
from streamer.node.peers import Peer
from streamer.node.queue import Queue
from streamer.node.records import Commitment

_LOG = logging.getLogger(__name__)
_ALL_KEPT, _SOME_MISSING = 1, 2
_NO_SUCH_OBJECT = 0x0112


class CommitmentAnswers:
    """Sends the answers: to a sender whose port is known by a call of its own, to others while their call lasts.

    Args:
        queue: holds the questions.
        aet: own AE title.
        peers: those who may ask.
        tls: for a peer that is called by TLS.
    """

    def __init__(self, queue: Queue, aet: str, peers: Sequence[Peer], tls: ssl.SSLContext | None = None) -> None:
        self._queue, self._aet, self._tls = queue, aet, tls
        self._peers = {peer.aet: peer for peer in peers if peer.port is not None}
        self._callers: dict[str, Association] = {}
        self._lock = threading.Lock()

    def ask(self, transaction: str, aet: str, objects: Sequence[tuple[str, str]], association: Association) -> None:
        """Keep a question, and the call in which it was asked."""
        with self._lock:
            self._callers = {uid: one for uid, one in self._callers.items() if one.is_alive()}
            self._callers[transaction] = association
        self._queue.ask_commitment(transaction, aet, objects)

    def answer(self) -> None:
        """Answer what is due."""
        for commitment in self._queue.due_commitments():
            if self._answer(commitment):
                self._queue.answered(commitment)
                _LOG.info("storage commitment: %d kept, %d missing", len(commitment.kept), len(commitment.missing))
            else:
                wait = self._queue.not_answered(commitment)
                _LOG.warning("storage commitment could not be answered; again in %.0f s", wait)

    def _answer(self, commitment: Commitment) -> bool:
        peer = self._peers.get(commitment.aet)
        with self._lock:
            caller = self._callers.pop(commitment.transaction_uid, None)
        if peer is not None:
            return self._by_own_call(peer, commitment)
        return caller is not None and caller.is_established and _reported(caller, commitment)

    def _by_own_call(self, peer: Peer, commitment: Commitment) -> bool:
        node = AE(self._aet)
        node.add_requested_context(StorageCommitmentPushModel)
        try:
            association = call(node, peer, tls=self._tls, roles=[build_role(StorageCommitmentPushModel, scp_role=True)])
        except NoCallError as error:
            _LOG.warning("storage commitment: %s", error)
            return False
        try:
            return _reported(association, commitment)
        finally:
            if association.is_established:
                association.release()


def _reported(association: Association, commitment: Commitment) -> bool:
    """Send the answer; True once it is confirmed."""
    report: Callable[..., tuple[Dataset, Dataset | None]] = association.send_n_event_report
    try:
        status, _ = report(
            _report(commitment),
            _SOME_MISSING if commitment.missing else _ALL_KEPT,
            StorageCommitmentPushModel,
            StorageCommitmentPushModelInstance,
        )
    except (ValueError, RuntimeError):  # the context was not accepted, or the call has just ended
        return False
    return "Status" in status and int(status.Status) == 0


def _report(commitment: Commitment) -> Dataset:
    made = Dataset()
    made.TransactionUID = commitment.transaction_uid
    if commitment.kept:
        made.ReferencedSOPSequence = [_item(*pair) for pair in commitment.kept]
    if commitment.missing:
        failed = [_item(*pair) for pair in commitment.missing]
        for item in failed:
            item.FailureReason = _NO_SUCH_OBJECT
        made.FailedSOPSequence = failed
    return made


def _item(class_uid: str, sop_uid: str) -> Dataset:
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = class_uid, sop_uid
    return item
