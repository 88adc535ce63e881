"""Counts what a run reports. Apart from `metrics`, which a process that runs nothing imports without the pipeline."""

from __future__ import annotations

from streamer.monitoring.metrics import Metrics
from streamer.run import Progress
from streamer.sources import Source
from streamer.summaries import ClipSummary
from streamer.types import FrameResult


class MeteredProgress(Progress):
    """Counts what a run reports, and passes it on.

    Args:
        metrics: where to.
        following: told everything, too; nobody if None.
    """

    def __init__(self, metrics: Metrics, following: Progress | None = None) -> None:
        self._metrics, self._following = metrics, following or Progress()
        self._next_index = 0

    def start_clip(self, source: Source) -> None:
        """A clip begins."""
        self._next_index = 0
        self._following.start_clip(source)

    def frame(self, result: FrameResult) -> None:
        """A frame is done."""
        metrics = self._metrics
        metrics.count_frame(result.timing_ms)
        if result.latency_ms is not None:
            metrics.latency.observe(result.latency_ms / 1000)
            metrics.dropped_frames.inc(max(result.frame.index - self._next_index, 0))
            self._next_index = result.frame.index + 1
        self._following.frame(result)

    def end_clip(self, summary: ClipSummary) -> None:
        """A clip ends."""
        self._metrics.count_clip(complete=summary.complete)
        self._following.end_clip(summary)
