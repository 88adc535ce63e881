"""One analysis that a session has asked for: its state, what the viewer is told of it, and its files."""

from __future__ import annotations

import logging
import secrets
import shutil
import threading
import time
import traceback
from collections import deque
from pathlib import Path
from typing import Any, Literal

from streamer.app.frame_store import Feed
from streamer.app.summary import Summary
from streamer.errors import NoFrameError, StreamerError
from streamer.monitoring.metrics import Metrics
from streamer.outputs.study_writer import DiscardedError
from streamer.pipeline.thyroid import Engine

State = Literal["waiting", "running", "done", "stopped", "failed"]

_RATE_FRAMES = 60  # over which the frame rate is averaged: two seconds of a common clip
_LOG = logging.getLogger(__name__)


class Job:
    """Base of the analyses. A worker calls `execute`, once; any thread may ask, stop or discard.

    Attributes:
        token: unguessable name; whoever has it and the session's may ask for the job's pictures and files.
        session: session that asked for it.
        folder: of its own, deleted with it.
        state: "waiting" for a worker, "running", then "done", "stopped" (with a partial result) or "failed".
        error: one line where it failed.
        summary: nodules and patient so far.
        feed: frames so far; None before the start and after a failure.
        finished: set when it has ended.
        metrics: counts its frames; nobody counts if None.
    """

    keeps_frames = True
    metrics: Metrics | None = None

    def __init__(self, session: str, root: Path) -> None:
        """Make the job's folder below `root`."""
        self.token = secrets.token_urlsafe(24)
        self.session = session
        self.folder = root / self.token
        self.folder.mkdir(mode=0o700, parents=True)
        self.state: State = "waiting"
        self.error = ""
        self.summary: Summary | None = None
        self.feed: Feed | None = None
        self.finished = threading.Event()
        self._stopped = threading.Event()
        self._discarded = threading.Event()
        self._moments: deque[float] = deque(maxlen=_RATE_FRAMES)

    def execute(self, engine: Engine) -> None:
        """Run to the end, whatever happens."""
        if self.finished.is_set():
            return
        self.state = "running"
        try:
            self.summary = Summary(engine)
            self.feed = Feed(self.folder, keep_frames=self.keeps_frames)
            self._analyse(engine)
            self.state = "stopped" if self._stopped.is_set() else "done"
        except (DiscardedError, NoFrameError):
            self.state = "stopped"
        except StreamerError as error:
            self._fail(" ".join(str(error).split()))
        except Exception as error:
            # Where and what kind, not its words: they may hold the name of an upload, and that a patient's.
            places = "".join(traceback.format_tb(error.__traceback__))
            _LOG.error("an analysis failed: %s\n%s", type(error).__name__, places)
            self._fail("the analysis failed; the server's log says why")
        finally:
            if self._discarded.is_set():
                self._free()
            self.finished.set()

    def stop(self) -> None:
        """End early and keep what was done."""
        self._stopped.set()
        if self.state == "waiting":
            self.state = "stopped"
            self.finished.set()

    def discard(self) -> None:
        """End at once and delete everything; its worker does it if it has begun."""
        self._discarded.set()
        self.stop()
        if self.finished.is_set():
            self._free()

    @property
    def frames_per_second(self) -> float:
        """Frames analysed a second, over the last few seconds; 0 where too few were."""
        moments = tuple(self._moments)
        return (len(moments) - 1) / (moments[-1] - moments[0]) if len(moments) > 1 else 0.0

    def status(self) -> dict[str, Any]:
        """What the viewer shows beside the picture, as plain data."""
        return {
            "state": self.state,
            "failure": self.error,
            "frames": len(self.feed) if self.feed else 0,
            "rate": round(self.frames_per_second, 1),
        }

    def _analyse(self, engine: Engine) -> None:
        raise NotImplementedError

    def _should_stop(self) -> bool:
        """To be asked after each frame.

        Raises:
            DiscardedError: in place of an answer.
        """
        if self._discarded.is_set():
            raise DiscardedError
        return self._stopped.is_set()

    def _count_frame(self) -> None:
        self._moments.append(time.monotonic())

    def _fail(self, message: str) -> None:
        self.error, self.state = message, "failed"
        self._free()

    def _free(self) -> None:
        if self.feed is not None:
            self.feed.close()
            self.feed = None
        shutil.rmtree(self.folder, ignore_errors=True)
