"""Metrics, health and logs: what they say, and that they say nothing of a patient."""

import io
import json
import logging
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from streamer.errors import SettingsError
from streamer.monitoring.logs import json_logs
from streamer.monitoring.metrics import Metrics
from streamer.monitoring.progress import MeteredProgress
from streamer.monitoring.server import monitored
from streamer.phantom import write_clip
from streamer.phantom.cine import PhantomFrame
from streamer.run import Progress, run_study
from streamer.testing import FakeAnalyser
from streamer.types import FrameResult
from tests.fakes import frame, grey_image


def _get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_metrics_and_health_are_answered() -> None:
    metrics, ready = Metrics("archive"), [False]
    metrics.set_device("CPU, 2 threads", "fp32")
    metrics.watch_queue("jobs", lambda: 3)
    metrics.failures.labels(kind="input").inc(2)
    with monitored(metrics, "0", lambda: ready[0]) as url:
        assert url is not None
        status, text = _get(url)
        assert status == 200
        for line in (
            'streamer_queue_length{queue="jobs"} 3.0',
            'streamer_failures_total{kind="input"} 2.0',
            'streamer_device_info{device="CPU, 2 threads",precision="fp32"} 1.0',
            "process_resident_memory_bytes",
        ):
            assert line in text
        root = url.removesuffix("/metrics")
        assert _get(f"{root}/health/live")[0] == 200
        assert _get(f"{root}/health/ready")[0] == 503
        ready[0] = True
        assert _get(f"{root}/health/ready") == (200, "ready\n")
        assert _get(f"{root}/other")[0] == 404
    with pytest.raises(urllib.error.URLError):
        _get(url)


def test_two_services_count_apart() -> None:
    one, other = Metrics("live"), Metrics("app")
    one.frames.inc()
    assert "streamer_frames_total 1.0" in one.exposition().decode()
    assert "streamer_frames_total 0.0" in other.exposition().decode()


@pytest.mark.parametrize("address", ["x", "host:", "1:2:x", "70000", "203.0.113.7:9464"])
def test_an_address_that_cannot_be_listened_on_is_one_line(address: str) -> None:
    with pytest.raises(SettingsError, match=r"--metrics|cannot listen"), monitored(Metrics("live"), address):
        pass


def test_a_run_is_counted_and_passed_on(tmp_path: Path, sweep: Path) -> None:
    class Following(Progress):
        frames = 0

        def frame(self, result: FrameResult) -> None:
            self.frames += 1

    metrics, following = Metrics("app"), Following()
    run_study([sweep], tmp_path / "out", analyser=FakeAnalyser(), progress=MeteredProgress(metrics, following))
    text = metrics.exposition().decode()
    assert following.frames == 6
    assert "streamer_frames_total 6.0" in text
    assert 'streamer_clips_total{complete="true"} 1.0' in text
    assert 'streamer_stage_seconds_count{stage="decode"} 6.0' in text
    assert "streamer_latency_seconds_count 0.0" in text, "a recording has no latency"
    assert "secret-name" not in text


def test_frames_that_a_live_source_dropped_are_counted() -> None:
    metrics = Metrics("live")
    progress = MeteredProgress(metrics)
    for index in (0, 3, 4):
        progress.frame(FrameResult(frame=frame(index), nodules=(), patient_malignancy=None, latency_ms=70.0))
    text = metrics.exposition().decode()
    assert "streamer_dropped_frames_total 2.0" in text
    assert 'streamer_latency_seconds_bucket{le="0.08"} 3.0' in text
    assert 'streamer_latency_seconds_bucket{le="0.06"} 0.0' in text


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    path = tmp_path / "secret-name.mp4"
    write_clip(path, [PhantomFrame(image=grey_image(50 + level), masks={}) for level in range(6)])
    return path


def test_logs_are_json_lines_without_the_words_of_others() -> None:
    stream = io.StringIO()
    with json_logs(stream):
        logging.getLogger("streamer.app.job").error("an analysis failed: %s", "ValueError")
        logging.getLogger("gradio.routes").warning("Invalid value SECRET^NAME")
        logging.getLogger("py.warnings").warning("SECRET^NAME is no date")
        try:
            raise ValueError("SECRET^NAME")
        except ValueError:
            logging.getLogger("streamer.run").exception("it failed")
        logging.getLogger("streamer.run").info("line\nbreak")
    entries = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert len(entries) == 5
    assert [entry["level"] for entry in entries] == ["error", "warning", "warning", "error", "info"]
    assert entries[0]["message"] == "an analysis failed: ValueError"
    assert entries[3]["exception"] == "ValueError"
    assert "SECRET" not in stream.getvalue()


def test_logs_are_as_before_afterwards() -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    with json_logs(io.StringIO()):
        pass
    assert (root.handlers, root.level) == before
