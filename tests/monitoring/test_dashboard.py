"""The Grafana dashboard asks for metrics that exist."""

import json
import re
from pathlib import Path

from streamer.monitoring.metrics import Metrics
from streamer.monitoring.progress import MeteredProgress
from streamer.types import FrameResult
from tests.fakes import frame

_DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana-dashboard.json"


def test_every_query_names_metrics_and_labels_that_are_exposed() -> None:
    metrics = Metrics("app")
    metrics.set_device("CPU", "fp32")
    metrics.watch_queue("jobs", lambda: 0)
    metrics.failures.labels(kind="job").inc()
    metrics.clips.labels(complete="true").inc()
    result = FrameResult(frame=frame(0), nodules=(), patient_malignancy=None, timing_ms={"decode": 1}, latency_ms=1)
    MeteredProgress(metrics).frame(result)
    exposed = metrics.exposition().decode()
    names = set(re.findall(r"^(\w+)(?:\{| )", exposed, re.MULTILINE))
    labels = {"instance", *re.findall(r"[{,](\w+)=", exposed)}
    dashboard = json.loads(_DASHBOARD.read_text())
    queries = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    legends = [target["legendFormat"] for panel in dashboard["panels"] for target in panel["targets"]]
    asked = {name for query in queries for name in re.findall(r"\b(?:streamer|process)_\w+", query)}
    assert asked <= names
    assert len(asked) >= 10
    assert {label for legend in legends for label in re.findall(r"\{\{(\w+)\}\}", legend)} <= labels
