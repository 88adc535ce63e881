"""Mean and percentiles of measured times."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import BaseModel, ConfigDict


class Times(BaseModel):
    """What a series of times comes to, in milliseconds."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mean: float
    p50: float
    p95: float
    p99: float
    max: float


def times_of(values_ms: Sequence[float]) -> Times:
    """Figures of at least one time; percentiles are interpolated linearly."""
    p50, p95, p99 = np.percentile(values_ms, (50, 95, 99))
    return Times(
        mean=float(np.mean(values_ms)), p50=float(p50), p95=float(p95), p99=float(p99), max=float(max(values_ms))
    )
