"""Runs clips on Ray: an actor per process with the networks loaded once, on this machine or on a cluster.

Ray places the actors, starts them on new nodes and tells when one is gone. What is decided here is what a clip's
death or silence means: the actor is replaced, the clip is tried once more, and then recorded as failed.
"""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from streamer.archive.clips import ClipTask, Failure, Outcome
from streamer.archive.executor import ClaimClip, outcome
from streamer.archive.library import require
from streamer.archive.worker import Worker
from streamer.errors import DeviceError, StreamerError

_POLL_S = 0.5
_LOOK_S = 2.0
"""How often actors are asked for their frames, and deadlines are checked."""
_COUNT_S = 10.0
"""How often the cluster is looked at for new nodes."""
_START_S = 300.0
"""Longest start of an actor: the first one on a machine converts the networks."""
_ATTEMPTS = 2
_REACH_S = 10.0
"""Longest wait for an answer of the cluster's head: Ray itself asks for minutes, without a word."""
_OBJECT_STORE_BYTES = 256 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class RayLimits:
    """What the executor asks of Ray, and how long it waits.

    Attributes:
        address: of a cluster; None starts Ray on this machine alone.
        workers: processes; 0 for as many as the resources allow.
        cpus: of each, and its threads.
        gpus: of each; a fraction lets several share one.
        memory_bytes: of each, which Ray keeps free for it; None for no such claim.
        clip_s: longest a clip may take.
        stall_s: longest a clip may go without a new frame.
    """

    address: str | None = None
    workers: int = 0
    cpus: int = 1
    gpus: float = 0.0
    memory_bytes: int | None = None
    clip_s: float = 3600.0
    stall_s: float = 300.0


@dataclass(slots=True)
class _Slot:
    """An actor and what it does."""

    actor: Any
    ref: Any
    state: str = "starting"
    task: ClipTask | None = None
    key: str = ""
    attempts: int = 0
    began_s: float = field(default_factory=time.monotonic)
    moved_s: float = field(default_factory=time.monotonic)
    frames: int = 0
    asked: Any = None


@contextmanager
def _own_termination() -> Iterator[None]:
    """Keep the caller's handler of SIGTERM: Ray's start puts one in its place that aborts the process with a trace."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        yield
    finally:
        if before is not None and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)


def _reach(address: str, own_host: str) -> None:
    """Look whether anything listens at "host:port"; of other forms, as of "auto", Ray speaks for itself.

    Args:
        address: of the cluster's head.
        own_host: where Ray looks in place of the loopback address.

    Raises:
        DeviceError: nothing does.
    """
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdigit():
        return
    host = own_host if host in {"127.0.0.1", "localhost"} else host.strip("[]")
    try:
        socket.create_connection((host, int(port)), timeout=_REACH_S).close()
    except (OSError, OverflowError) as error:
        why = getattr(error, "strerror", None) or str(error)
        raise DeviceError(
            f"no Ray cluster answers at {address}: {why}; give --address as ray start --head has told it, or none"
        ) from error


class RayExecutor:
    """An `Executor` on Ray; a context manager, which starts Ray or joins a cluster, unless this process has.

    Args:
        make_worker: makes the worker in its process; it is sent to other machines.
        limits: see there.

    Raises:
        SettingsError: Ray is not installed.
        DeviceError: the cluster cannot be reached, or has not the resources of one worker.
    """

    def __init__(self, make_worker: Callable[[], Worker], limits: RayLimits) -> None:
        require("ray")
        self._make_worker, self._limits = make_worker, limits
        self._slots: list[_Slot] = []
        self._again: deque[tuple[ClipTask, int]] = deque()
        self._finished_frames = 0
        self._looked_s = self._counted_s = 0.0
        self._wanted_slots = 0
        self._deaths = 0
        self._started = False

    def __enter__(self) -> RayExecutor:
        os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to its makers
        os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
        import ray

        self._ray: Any = ray
        if ray.is_initialized():
            return self
        if self._limits.address is not None:
            _reach(self._limits.address, self._ray.util.get_node_ip_address())
        self._started = True
        quiet: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR", "configure_logging": False}
        if self._limits.address is None:
            quiet |= {"include_dashboard": False, "object_store_memory": _OBJECT_STORE_BYTES}
            if self._limits.workers:  # a machine may be told to run more processes than it has cores
                quiet["num_cpus"] = max(os.cpu_count() or 1, self._limits.workers * self._limits.cpus)
        try:
            with _own_termination():
                ray.init(address=self._limits.address, namespace="streamer-archive", **quiet)
        except Exception as error:
            where = "on this machine" if self._limits.address is None else f"at {self._limits.address}"
            line = (str(error).splitlines() or [type(error).__name__])[0]
            if "auth" in f"{type(error).__name__} {error}".lower():
                line += "; the cluster asks for a token: copy its ~/.ray/auth_token here and set RAY_AUTH_MODE=token"
            raise DeviceError(f"cannot start Ray {where}: {line}") from error
        return self

    def __exit__(self, *_: object) -> None:
        for slot in self._slots:
            with suppress(Exception):
                self._ray.kill(slot.actor)
        if self._started:
            self._ray.shutdown()

    @property
    def frames_done(self) -> int:
        """See `Executor`."""
        return self._finished_frames + sum(slot.frames for slot in self._slots)

    @property
    def workers(self) -> int:
        """Processes that are ready."""
        return sum(slot.state != "starting" for slot in self._slots)

    def run(self, tasks: Iterable[ClipTask], claim: ClaimClip) -> Iterator[Outcome | None]:
        """See `Executor`.

        Raises:
            StreamerError: no worker can be started, or the disk or device is gone.
        """
        waiting = iter(tasks)
        more = True
        while True:
            self._provide(idle_wanted=more or bool(self._again))
            more = self._feed(waiting) if more or self._again else False
            if not more and not self._again and not any(slot.task for slot in self._slots):
                return
            ready, _ = self._ray.wait([slot.ref for slot in self._slots if slot.ref is not None], timeout=_POLL_S)
            yield from self._settled(set(ready), claim)
            if time.monotonic() - self._looked_s > _LOOK_S:
                self._looked_s = time.monotonic()
                yield from self._overdue()
            yield None

    def _provide(self, *, idle_wanted: bool) -> None:
        """Have as many actors as there is room for."""
        if time.monotonic() - self._counted_s > _COUNT_S:
            self._counted_s = time.monotonic()
            self._wanted_slots = self._room()
        while idle_wanted and len(self._slots) < self._wanted_slots:
            limits = self._limits
            actor = (
                self._ray.remote(concurrency_groups={"look": 1})(_Actor)
                .options(
                    num_cpus=limits.cpus,
                    num_gpus=limits.gpus,
                    memory=limits.memory_bytes,
                    max_restarts=0,
                )
                .remote(self._make_worker)
            )
            self._slots.append(_Slot(actor, actor.ready.remote()))

    def _room(self) -> int:
        if self._limits.workers:
            return self._limits.workers
        resources = self._ray.cluster_resources()
        room = int(resources.get("CPU", 0) // self._limits.cpus)
        if self._limits.gpus:
            room = min(room, int(resources.get("GPU", 0) // self._limits.gpus))
        if not room:
            gpus = f" and {self._limits.gpus:g} GPUs" if self._limits.gpus else ""
            raise DeviceError(f"Ray has not the {self._limits.cpus} CPUs{gpus} that a worker needs")
        return room

    def _feed(self, waiting: Iterator[ClipTask]) -> bool:
        """Give idle actors a clip each; tells whether there may be more."""
        for slot in self._slots:
            if slot.state != "idle":
                continue
            if self._again:
                task, attempts = self._again.popleft()
            else:
                following = next(waiting, None)
                if following is None:
                    return False
                task, attempts = following, 0
            slot.task, slot.attempts, slot.state = task, attempts + 1, "fetching"
            slot.began_s = slot.moved_s = time.monotonic()
            slot.ref = slot.actor.fetch.remote(task)
        return True

    def _settled(self, ready: set[Any], claim: ClaimClip) -> Iterator[Outcome]:
        for slot in [slot for slot in self._slots if slot.ref in ready]:
            try:
                found = self._ray.get(slot.ref)
            except self._ray.exceptions.RayTaskError as error:
                raise _cause(error) from error
            except self._ray.exceptions.RayError:
                yield from self._lost(slot, Failure(kind="crash", reason=_CRASHED))
                continue
            yield from self._advance(slot, found, claim)

    def _advance(self, slot: _Slot, found: Any, claim: ClaimClip) -> Iterator[Outcome]:
        task, seconds = slot.task, time.monotonic() - slot.began_s
        slot.moved_s = time.monotonic()
        if task is None:  # it has started
            slot.state, slot.ref, self._deaths = "idle", None, 0
        elif slot.state == "fetching" and not isinstance(found, Failure):
            wanted = claim(task, found)
            if wanted.analyse:
                slot.state, slot.key = "analysing", wanted.key
                slot.ref = slot.actor.analyse.remote(task, wanted.key, wanted.picture_below)
                return
            slot.actor.release.remote()
            self._idle(slot)
            yield Outcome(task=task, key=wanted.key, attempts=slot.attempts, seconds=seconds)
        elif slot.state == "fetching":
            self._idle(slot)
            yield Outcome(task=task, failure=found, attempts=slot.attempts, seconds=seconds)
        else:
            made, slot.frames = found
            self._idle(slot)
            yield outcome(task, slot.key, made, seconds=seconds, attempts=slot.attempts)

    def _idle(self, slot: _Slot) -> None:
        slot.state, slot.ref, slot.task = "idle", None, None

    def _overdue(self) -> Iterator[Outcome]:
        """Note how far each actor is; end those that hang."""
        now_s, limits = time.monotonic(), self._limits
        for slot in list(self._slots):
            self._look(slot, now_s)
            if slot.state == "starting" and now_s - slot.began_s > _START_S and not self.workers:
                raise DeviceError(
                    f"no worker could be started within {_START_S:.0f} s; are Ray's resources all in use?"
                )
            if slot.task is None:
                continue
            if now_s - slot.began_s > limits.clip_s:
                reason = f"took longer than {limits.clip_s:g} s; --clip-seconds sets the limit"
            elif slot.state == "analysing" and now_s - slot.moved_s > limits.stall_s:
                reason = f"no new frame for {limits.stall_s:g} s; --stall-seconds sets the limit"
            else:
                continue
            slot.attempts = _ATTEMPTS  # it would hang again
            yield from self._lost(slot, Failure(kind="timeout", reason=reason))

    def _look(self, slot: _Slot, now_s: float) -> None:
        if slot.state != "analysing":
            return
        if slot.asked is not None:
            ready, _ = self._ray.wait([slot.asked], timeout=0)
            if not ready:
                return
            with suppress(Exception):  # it died; `_settled` will tell
                frames = int(self._ray.get(slot.asked))
                if frames > slot.frames:
                    slot.frames, slot.moved_s = frames, now_s
        slot.asked = slot.actor.frames_done.options(concurrency_group="look").remote()

    def _lost(self, slot: _Slot, failure: Failure) -> Iterator[Outcome]:
        """Replace an actor; try its clip once more, or give up on it."""
        self._slots.remove(slot)
        self._finished_frames += slot.frames
        with suppress(Exception):
            self._ray.kill(slot.actor)
        if slot.task is None:
            self._deaths += 1
            if self._deaths >= 3:
                raise DeviceError("workers die while they start: is there enough memory for the networks?")
            return
        if slot.attempts < _ATTEMPTS:
            self._again.append((slot.task, slot.attempts))
            return
        seconds = time.monotonic() - slot.began_s
        yield Outcome(task=slot.task, key=slot.key or None, failure=failure, attempts=slot.attempts, seconds=seconds)


_CRASHED = "its process died twice: a crash in a decoder, or not enough memory"


class _Actor:
    """The process of a worker. `look` is a thread of its own, so that it answers while a clip is analysed."""

    def __init__(self, make_worker: Callable[[], Worker]) -> None:
        self._make_worker = make_worker

    def ready(self) -> None:
        """Load the networks. Not in the constructor: Ray would tell a failure of that as text only."""
        self._worker = self._make_worker()

    def fetch(self, task: ClipTask) -> str | Failure:
        """See `Worker`."""
        return self._worker.fetch(task)

    def analyse(self, task: ClipTask, key: str, picture_below: str) -> tuple[Any, int]:
        """See `Worker`; the frames done by then come with it."""
        return self._worker.analyse(task, key, picture_below), self._worker.frames_done()

    def release(self) -> None:
        """See `Worker`."""
        self._worker.release()

    def frames_done(self) -> int:
        """See `Worker`."""
        return self._worker.frames_done()


def _cause(error: Any) -> StreamerError:
    """What a worker raised: only what ends the run gets here."""
    cause = getattr(error, "cause", None)
    if isinstance(cause, StreamerError):
        return cause
    return DeviceError(f"a worker failed: {type(cause or error).__name__}")
