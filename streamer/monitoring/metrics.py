"""What a service counts, in the Prometheus exposition format. No clip, user or patient is ever a label."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import Lock

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily

from streamer.version import __version__

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_LATENCY_S = (0.02, 0.04, 0.06, 0.08, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0, 5.0)
"""From half a frame of a common camera (40 ms) to what nobody calls live."""
_STAGE_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class Metrics:
    """The counts of one service, in a registry of its own.

    Args:
        service: "app", "live", "node" or "archive"; a label of `streamer_info`.

    Example:
        >>> metrics = Metrics("live")
        >>> metrics.failures.labels(kind="input").inc()
        >>> b'streamer_failures_total{kind="input"} 1.0' in metrics.exposition()
        True
    """

    def __init__(self, service: str) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)  # memory, CPU time, open files
        self._queues = _Queues()
        registry.register(self._queues)
        info = Gauge("streamer_info", "Version and kind of the service.", ["version", "service"], registry=registry)
        info.labels(version=__version__, service=service).set(1)
        self._device = Gauge(
            "streamer_device_info", "Where the networks run.", ["device", "precision"], registry=registry
        )
        self.frames = Counter("streamer_frames", "Frames analysed.", registry=registry)
        self.dropped_frames = Counter("streamer_dropped_frames", "Live frames that were overtaken.", registry=registry)
        self.clips = Counter("streamer_clips", "Clips that ended.", ["complete"], registry=registry)
        self.failures = Counter("streamer_failures", "Clips or jobs without result.", ["kind"], registry=registry)
        self.latency = Histogram(
            "streamer_latency_seconds",
            "From a live frame's arrival to its result.",
            buckets=_LATENCY_S,
            registry=registry,
        )
        self.stages = Histogram(
            "streamer_stage_seconds",
            "Time of a stage per frame that needed it.",
            ["stage"],
            buckets=_STAGE_S,
            registry=registry,
        )
        self.last_frame = Gauge(
            "streamer_last_frame_timestamp_seconds", "When the last frame was done.", registry=registry
        )

    def set_device(self, device: str, precision: str) -> None:
        """Say where the networks run."""
        self._device.labels(device=device, precision=precision).set(1)

    def count_frame(self, timing_ms: Mapping[str, float]) -> None:
        """A frame was analysed; `timing_ms` holds the time of each stage."""
        self.frames.inc()
        self.last_frame.set(time.time())
        for stage, value_ms in timing_ms.items():
            self.stages.labels(stage=stage).observe(value_ms / 1000)

    def count_clip(self, *, complete: bool) -> None:
        """A clip ended."""
        self.clips.labels(complete=str(complete).lower()).inc()

    def watch_queue(self, name: str, length: Callable[[], int]) -> None:
        """Ask for a queue's length whenever the metrics are read; `length` may be called from any thread."""
        self._queues.add(name, length)

    def exposition(self) -> bytes:
        """All metrics as text."""
        return generate_latest(self.registry)


class _Queues:
    """Lengths of queues, asked for when they are read."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._lengths: dict[str, Callable[[], int]] = {}

    def add(self, name: str, length: Callable[[], int]) -> None:
        with self._lock:
            self._lengths[name] = length

    def collect(self) -> list[GaugeMetricFamily]:
        family = GaugeMetricFamily("streamer_queue_length", "What waits.", labels=["queue"])
        with self._lock:
            lengths = dict(self._lengths)
        for name, length in lengths.items():
            family.add_metric([name], length())
        return [family]
