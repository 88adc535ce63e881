"""On Ray: a clip that hangs or kills its process costs nobody else."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from streamer.archive.command import analyse_archive
from streamer.archive.index import Wanted
from streamer.archive.ray_executor import RayExecutor, RayLimits, _reach
from streamer.archive.worker import WorkerSettings
from streamer.errors import DeviceError, WeightsError
from tests.archive import fake_worker
from tests.archive.conftest import Archive
from tests.archive.fake_worker import FakeWorker

ray = pytest.importorskip("ray")


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """One Ray for all tests here: it takes seconds to start."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112  # its workers would starve beside other tests
    context = ray.init(
        num_cpus=2, object_store_memory=80 * 2**20, include_dashboard=False, log_to_driver=False, logging_level="ERROR"
    )
    ray.cloudpickle.register_pickle_by_value(fake_worker)
    yield context.address_info["address"]
    ray.shutdown()


def test_an_address_at_which_nothing_answers_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: pytest.fail("Ray would ask for minutes"))
    monkeypatch.setattr(ray.util, "get_node_ip_address", lambda: "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        _reach(f"127.0.0.1:{port}", "127.0.0.1")
    for address in (f"localhost:{port}", "127.0.0.1:99999"):
        with pytest.raises(DeviceError, match=f"no Ray cluster answers at {address}: .*give --address"):
            RayExecutor(partial(FakeWorker, cast(WorkerSettings, None)), RayLimits(address=address)).__enter__()
    _reach("auto", "127.0.0.1")


def test_a_cluster_that_asks_for_a_token_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(**_: object) -> None:
        raise RuntimeError("Failed to connect to GCS.\nRPC error: InvalidAuthToken")

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", refused)
    with pytest.raises(DeviceError, match=r"Failed to connect to GCS\.; the cluster asks for a token: .*RAY_AUTH_MODE"):
        RayExecutor(partial(FakeWorker, cast(WorkerSettings, None)), RayLimits()).__enter__()


def test_rays_start_leaves_the_handler_of_a_termination(monkeypatch: pytest.MonkeyPatch) -> None:
    def note(*_: object) -> None: ...

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: signal.signal(signal.SIGTERM, signal.SIG_DFL))
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    before = signal.signal(signal.SIGTERM, note)
    try:
        with RayExecutor(partial(FakeWorker, cast(WorkerSettings, None)), RayLimits()):
            assert signal.getsignal(signal.SIGTERM) is note
    finally:
        signal.signal(signal.SIGTERM, before)


_TERMINATED = """
import os, signal
from streamer.archive.ray_executor import RayExecutor, RayLimits
signal.signal(signal.SIGTERM, lambda *_: print("told", flush=True))
with RayExecutor(None, RayLimits(workers=1)):
    os.kill(os.getpid(), signal.SIGTERM)
    print("goes on", flush=True)
"""


@pytest.mark.slow
def test_a_termination_is_told_and_does_not_abort_the_driver() -> None:
    found = subprocess.run([sys.executable, "-c", _TERMINATED], capture_output=True, text=True, timeout=300)
    assert (found.returncode, found.stdout) == (0, "told\ngoes on\n")


def refusing_worker(given: WorkerSettings) -> FakeWorker:
    raise WeightsError("a worker has other weights")


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_hanging_and_dying_clips_cost_nobody_else(archive: Archive, tmp_path: Path) -> None:
    for number in range(6):
        archive.add(f"{number}.mp4", f"good {number + 1}")
    archive.add("hang.mp4", "hang")
    archive.add("die.mp4", "die")
    archive.add("once.mp4", f"die {tmp_path / 'died'}")
    archive.add("same.mp4", "good 1")
    limits = RayLimits(workers=2, stall_s=6)
    counts = analyse_archive(replace(archive.options, limits=limits), make_worker=FakeWorker)
    assert (counts.finished, counts.failures, counts.duplicates) == (10, {"timeout": 1, "crash": 1}, 1)
    statuses = {Path(row["uri"]).stem: row for row in archive.rows("clips")}
    assert len(archive.rows("clips")) == len(statuses) == 10
    assert [statuses[name]["failure"] for name in ("hang", "die", "once")] == ["timeout", "crash", None]
    assert "no new frame for 6 s" in statuses["hang"]["reason"]
    assert (statuses["once"]["attempts"], statuses["die"]["attempts"]) == (2, 2)
    assert counts.frames == 22
    (archive.clips / "die.mp4").write_text("good 50")
    again = replace(archive.options, limits=limits, wanted=Wanted(retry_failed=False))
    assert analyse_archive(again, make_worker=FakeWorker).failures == {}


@pytest.mark.slow
@pytest.mark.usefixtures("cluster")
def test_a_worker_that_cannot_be_made_ends_the_run_with_its_line(archive: Archive) -> None:
    archive.add("a.mp4", "good 1")
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    with pytest.raises(WeightsError, match="other weights"):
        analyse_archive(replace(archive.options, limits=RayLimits(workers=1)), make_worker=refusing_worker)
