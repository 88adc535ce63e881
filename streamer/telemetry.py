"""How long each stage takes, in memory that does not grow with the length of a clip."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from streamer.records import StageTiming

_PER_DECADE = 230
"""Bins a factor of ten: each is 1 % wide, so a percentile is right to 0.5 %."""
_LOWEST_MS = 1e-4
_DECADES = 11


class StageClock:
    """Collects times by stage and gives percentiles."""

    def __init__(self) -> None:
        """Start empty."""
        self._counts: dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]] = {}
        self._longest: dict[str, float] = {}

    def add(self, timing_ms: Mapping[str, float]) -> None:
        """Count one frame's time in each stage, in milliseconds."""
        for stage, value in timing_ms.items():
            if stage not in self._counts:
                self._counts[stage] = np.zeros(_PER_DECADE * _DECADES, np.int64)
                self._longest[stage] = 0.0
            position = int(np.log10(max(value, _LOWEST_MS) / _LOWEST_MS) * _PER_DECADE)
            self._counts[stage][min(position, _PER_DECADE * _DECADES - 1)] += 1
            self._longest[stage] = max(self._longest[stage], value)

    def summary(self) -> dict[str, StageTiming]:
        """Percentiles of each stage, in the order in which stages were first seen."""
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
