"""The counts of a run as metrics."""

from __future__ import annotations

from streamer.archive.run import Counts
from streamer.monitoring.metrics import Metrics


class MeteredArchive:
    """Passes a run's counts on to its metrics.

    Args:
        metrics: where to.
    """

    def __init__(self, metrics: Metrics) -> None:
        self.metrics = metrics
        self._waiting = self._frames = self._clips = 0
        self._failures: dict[str, int] = {}
        metrics.watch_queue("clips", lambda: self._waiting)

    def note(self, counts: Counts) -> None:
        """Take the counts as they are now."""
        metrics = self.metrics
        self._waiting = counts.to_do - counts.finished
        if counts.frames > self._frames:
            metrics.last_frame.set_to_current_time()
        metrics.frames.inc(max(counts.frames - self._frames, 0))
        for kind, count in counts.failures.items():
            metrics.failures.labels(kind=kind).inc(count - self._failures.get(kind, 0))
        clips = counts.finished - sum(counts.failures.values())
        metrics.clips.labels(complete="true").inc(max(clips - self._clips, 0))
        self._frames, self._clips, self._failures = max(counts.frames, self._frames), clips, dict(counts.failures)
