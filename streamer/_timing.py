"""How long each stage takes, and how late results are, in memory that does not grow with the length of a clip."""

from __future__ import annotations

import threading
from collections.abc import Mapping

import numpy as np

from streamer.summaries import LiveFigures, StageTiming
from streamer.types import FrameResult

_PER_DECADE = 230
"""Bins a factor of ten: each is 1 % wide, so a percentile is right to 0.5 %."""
_LOWEST_MS = 1e-4
_DECADES = 11


class StageClock:
    """Collects times by stage, from any thread, and gives percentiles."""

    def __init__(self) -> None:
        """Start empty."""
        self._lock = threading.Lock()
        self._counts: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        self._longest: dict[str, float] = {}

    def add(self, timing_ms: Mapping[str, float]) -> None:
        """Count one frame's time in each stage, in milliseconds."""
        with self._lock:
            for stage, value in timing_ms.items():
                if stage not in self._counts:
                    self._counts[stage] = np.zeros(_PER_DECADE * _DECADES, np.int64)
                    self._longest[stage] = 0.0
                position = int(np.log10(max(value, _LOWEST_MS) / _LOWEST_MS) * _PER_DECADE)
                self._counts[stage][min(position, _PER_DECADE * _DECADES - 1)] += 1
                self._longest[stage] = max(self._longest[stage], value)

    def summary(self) -> dict[str, StageTiming]:
        """Percentiles of each stage, in the order in which stages were first seen."""
        with self._lock:
            return {
                stage: StageTiming(
                    p50=self._percentile(stage, 0.50),
                    p95=self._percentile(stage, 0.95),
                    p99=self._percentile(stage, 0.99),
                    max=self._longest[stage],
                )
                for stage in self._counts
            }

    def _percentile(self, stage: str, share: float) -> float:
        cumulative = np.cumsum(self._counts[stage])
        position = int(np.searchsorted(cumulative, share * cumulative[-1]))
        middle = _LOWEST_MS * 10 ** ((position + 0.5) / _PER_DECADE)
        return min(float(middle), self._longest[stage])


class LiveClock:
    """How a live source is kept up with: latency and dropped frames. One thread adds, any may ask."""

    def __init__(self) -> None:
        """Start empty."""
        self._clock = StageClock()
        self._lock = threading.Lock()
        self._frames = self._arrived = 0

    @property
    def dropped_frames(self) -> int:
        """Frames that arrived before the last result and were not analysed."""
        return self._arrived - self._frames

    def add(self, result: FrameResult) -> None:
        """Count a result; one of a recording is passed over."""
        if result.latency_ms is None:
            return
        with self._lock:
            self._frames, self._arrived = self._frames + 1, result.frame.index + 1
            self._clock.add({"latency": result.latency_ms})

    def summary(self) -> LiveFigures | None:
        """The figures so far; None while there is no result of a live source."""
        with self._lock:
            latency = self._clock.summary().get("latency")
            return None if latency is None else LiveFigures(dropped_frames=self.dropped_frames, latency_ms=latency)
