"""The node as a whole: threads that receive, analyse, send and answer, on one queue."""

from __future__ import annotations

import logging
import sqlite3
import ssl
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from streamer.dicom.library import require_node
from streamer.errors import InputError, OutputError, SettingsError, StreamerError, WeightsError
from streamer.monitoring.audit import AuditLog
from streamer.monitoring.metrics import Metrics
from streamer.monitoring.server import monitored
from streamer.node.commitment import CommitmentAnswers
from streamer.node.peers import Peer, TlsFiles, is_loopback_address
from streamer.node.queue import Queue
from streamer.node.receive import Receiver, ReceiverSettings
from streamer.node.records import Delivery, Job, Received, StoppedError
from streamer.node.send import is_url, send_to_node, send_to_web
from streamer.node.web import client
from streamer.node.worker import JobAnalyser

_LOG = logging.getLogger(__name__)
_POLL_S = 0.25
_PRUNE_EVERY_S = 600.0
_S_PER_DAY = 86400.0
_LASTING = (InputError, SettingsError, WeightsError)
"""Errors that a second attempt would meet again."""
_OF_THE_DISK = (OutputError, OSError, sqlite3.Error)
"""Errors that no file is to blame for, and that pass once somebody has seen to the disk."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeSettings:
    """How a node works.

    Attributes:
        receiver: where and from whom calls are taken.
        folder: of the queue, the objects and the results.
        destinations: where results go: `AET@HOST:PORT`, or the address of a DICOMweb server.
        quiet_s: a study is analysed when nothing of it has arrived for so long.
        keep_days: objects and results are deleted so long after all was sent; None for never.
        tls: certificates, with which callers must use TLS; None for none.

    Raises:
        SettingsError: others could call without being on the list, or a destination is none.
    """

    receiver: ReceiverSettings
    folder: Path
    destinations: tuple[str, ...] = ()
    quiet_s: float = 30.0
    keep_days: float | None = None
    tls: TlsFiles | None = None

    def __post_init__(self) -> None:
        host = self.receiver.host
        if not self.receiver.allowed and host != "localhost" and not is_loopback_address(host):
            raise SettingsError(f"{host} can be reached from other machines: say who may call with --from AET@HOST")
        for destination in self.destinations:
            if is_url(destination):
                client(destination).close()
            elif Peer.parse(destination, listens=True).tls and self.tls is None:
                raise SettingsError(f"{destination} is called by TLS: give --tls-certificate and --tls-key")


class Node:
    """Runs from `with` to the end of its block.

    Args:
        settings: how it works.
        analyser: of the jobs; `dicom` is among its outputs.
        metrics: counts frames, failures and what waits.
        audit: notes what is received, analysed, sent and deleted; nothing does if None.

    Raises:
        SettingsError: the address cannot be listened on, or the TLS files cannot be used.
        OutputError: the folder cannot be used.
    """

    def __init__(
        self,
        settings: NodeSettings,
        analyser: JobAnalyser,
        *,
        metrics: Metrics | None = None,
        audit: AuditLog | None = None,
    ) -> None:
        require_node("a DICOM node")
        self._settings, self._analyser = settings, analyser
        self._metrics, self._audit = metrics or Metrics("node"), audit
        self._stop = threading.Event()
        self._calls: ssl.SSLContext | None = None if settings.tls is None else settings.tls.client_context()
        takes = None if settings.tls is None else settings.tls.server_context()
        self.queue = Queue(settings.folder, quiet_s=settings.quiet_s)
        self._answers = CommitmentAnswers(self.queue, settings.receiver.aet, settings.receiver.allowed, self._calls)
        try:
            self._receiver = Receiver(settings.receiver, self.queue.incoming, self._receive, self._answers.ask, takes)
        except BaseException:
            self.queue.close()
            raise
        loops: list[Callable[[], None]] = [self._analyse, self._answers.answer, self._tidy]
        loops += [lambda one=destination: self._send(one) for destination in settings.destinations]  # type: ignore[misc]
        self._threads = [threading.Thread(target=self._repeat, args=(loop,), name="node") for loop in loops]
        self._tidied_s = time.monotonic()
        self._metrics.set_device(*analyser.device)
        self._metrics.watch_queue("arriving", lambda: self.queue.status().arriving)
        self._metrics.watch_queue("jobs", lambda: self.queue.status().jobs.get("waiting", 0))
        self._metrics.watch_queue("unsent", lambda: self.queue.status().unsent)

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._receiver.close()
        for thread in self._threads:
            thread.join()
        self.queue.close()

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._receiver.port

    def _repeat(self, step: Callable[[], None]) -> None:
        """Repeat a step until the end. One that fails, such as by a full disk, does not end the node."""
        while not self._stop.is_set():
            try:
                step()
            except Exception as error:  # the text may quote a header
                _LOG.error("the node goes on after an error: %s", type(error).__name__)
                self._stop.wait(5.0)
            self._stop.wait(_POLL_S)

    def _receive(self, arrived: Received) -> bool:
        if self._audit is not None:  # first: what cannot be noted is not taken
            self._audit.add("receive", subject=arrived.study_uid)
        return self.queue.receive(arrived)

    def _analyse(self) -> None:
        while not self._stop.is_set() and (job := self.queue.claim()) is not None:
            _LOG.info("job %d: %d objects are analysed", job.number, len(job.files))
            try:
                if self._audit is not None:
                    self._audit.add("analyse", subject=job.study_uid)
                results, reason = self._analyser.analyse(job, self._stop.is_set, self._metrics)
                self.queue.finish(job, results, self._settings.destinations, reason=reason)
            except StoppedError:
                self.queue.give_back(job)
            except StreamerError as error:
                self._failed(job, str(error), error)
            except Exception as error:  # the text may quote a header
                self._failed(job, f"an internal error ({type(error).__name__})", error)
            else:
                if reason:
                    _LOG.warning("job %d: not all could be analysed: %s", job.number, reason)
                _LOG.info("job %d: done, %d results", job.number, len(results))
        self._analyser.rest()

    def _failed(self, job: Job, reason: str, error: Exception) -> None:
        lasting = isinstance(error, _LASTING)
        if lasting:
            self.queue.fail(job, reason)
        self._metrics.failures.labels(kind="job").inc()
        again = not lasting and self.queue.postpone(job, reason, for_ever=isinstance(error, _OF_THE_DISK))
        _LOG.error("job %d: %s%s", job.number, reason, "; it is tried again" if again else "")

    def _send(self, destination: str) -> None:
        due = {delivery.file: delivery for delivery in self.queue.due_deliveries(destination)}
        if not due:
            return

        refused: Counter[tuple[str, float]] = Counter()

        def outcome(path: Path, reason: str | None) -> None:
            if reason is None:
                self._delivered(due[path])
            else:
                self._metrics.failures.labels(kind="send").inc()
                refused[reason, self.queue.not_delivered(due[path], reason)] += 1

        def may_go(path: Path) -> str | None:
            return self._noted_send(due[path])

        try:
            if is_url(destination):
                send_to_web(list(due), destination, outcome=outcome, may_go=may_go)
            else:
                peer = Peer.parse(destination, listens=True)
                aet = self._settings.receiver.aet
                send_to_node(list(due), peer, aet=aet, outcome=outcome, may_go=may_go, tls=self._calls)
        finally:
            for (reason, wait_s), count in refused.items():
                _LOG.warning("%d results not sent to %s: %s; again in %.0f s", count, destination, reason, wait_s)

    def _noted_send(self, delivery: Delivery) -> str | None:
        """Note that a result goes out; a reason to keep it here where that cannot be noted."""
        if self._audit is not None:
            try:
                self._audit.add("send", user=delivery.destination, subject=delivery.file.name)
            except OutputError as error:
                return f"it cannot be noted: {error}"
        return None

    def _delivered(self, delivery: Delivery) -> None:
        self.queue.delivered(delivery)
        _LOG.info("job %d: sent to %s: %s", delivery.job, delivery.destination, delivery.file.name)

    def _tidy(self) -> None:
        if time.monotonic() - self._tidied_s < _PRUNE_EVERY_S:
            return
        self._tidied_s = time.monotonic()
        self.queue.sweep_incoming()
        if self._settings.keep_days is not None:
            self.queue.prune(self._settings.keep_days * _S_PER_DAY, self._note_deletion)

    def _note_deletion(self, study_uid: str) -> None:
        if self._audit is not None:
            self._audit.add_deletion(subject=study_uid)


@contextmanager
def _threads_end_in_one_line() -> Iterator[None]:
    """One line for a call that brings pynetdicom down; its traceback may quote a header."""

    def say(ended: threading.ExceptHookArgs) -> None:
        _LOG.error("a call ended with an error: %s", ended.exc_type.__name__)

    before, threading.excepthook = threading.excepthook, say
    try:
        yield
    finally:
        threading.excepthook = before


def serve(
    settings: NodeSettings,
    make_analyser: Callable[[], JobAnalyser],
    stop: threading.Event,
    announce: Callable[[str], None],
    *,
    metrics_address: str | None = None,
    audit_folder: Path | None = None,
) -> None:
    """Run a node until `stop` is set. What is under way then is taken up at the next start.

    Args:
        settings: how it works.
        make_analyser: of the jobs; called once the libraries are known to be there.
        stop: ends it.
        announce: told that it listens.
        metrics_address: where metrics and health are told, see `streamer.monitoring.server`; nowhere if None.
        audit_folder: of the log of what is received, analysed, sent and deleted; none is kept if None.

    Raises:
        InputError: a library of the extra `dicom` is missing.
        SettingsError, OutputError, WeightsError, DeviceError: as of `Node` and the networks.
    """
    require_node("a DICOM node")
    if settings.folder.exists() and not settings.folder.is_dir():
        raise OutputError(f"{settings.folder} is no folder; choose another --folder")
    metrics, ready = Metrics("node"), threading.Event()
    audit = None if audit_folder is None else AuditLog(audit_folder)
    with (
        _threads_end_in_one_line(),
        monitored(metrics, metrics_address, ready.is_set),
        closing(make_analyser()) as analyser,
        Node(settings, analyser, metrics=metrics, audit=audit) as node,
    ):
        ready.set()
        receiver = settings.receiver
        to = ", ".join(settings.destinations) or "nowhere (--to); they stay in the folder"
        announce(f"{receiver.aet} listens on {receiver.host}, port {node.port}; results go to {to}; Ctrl-C ends")
        stop.wait()
        ready.clear()
