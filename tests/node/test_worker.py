"""The process that analyses: what it answers, that it comes and goes, and what its end does to the node."""

import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from streamer.errors import InputError, SettingsError, WeightsError
from streamer.monitoring.metrics import Metrics
from streamer.node import analysis_loop
from streamer.node.peers import Peer
from streamer.node.receive import ReceiverSettings
from streamer.node.records import Job, StoppedError
from streamer.node.send import send_to_node
from streamer.node.serve import Node, NodeSettings
from streamer.node.worker import AnalysisProcess
from streamer.pipeline.analyser import FrameFindings
from streamer.settings import Settings
from streamer.types import Frame
from tests.disc_analyser import DiscAnalyser, disc_cine
from tests.node.pacs import wait_until


class CrashesOnce(DiscAnalyser):
    """Brings its process down at the first frame it sees, as a fault in a decoder would; not a second time."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        if not self._mark.exists():
            self._mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
        return super().analyse(frames)


class Slow(DiscAnalyser):
    """Is never done in the time of a test."""

    def analyse(self, frames: Sequence[Frame]) -> list[FrameFindings]:
        time.sleep(0.5)
        return super().analyse(frames)


class SendsNothing(DiscAnalyser):
    """Writes no DICOM."""

    settings = Settings(outputs=("report_json",))


def no_weights() -> DiscAnalyser:
    raise WeightsError("no weights")


def crashes_once() -> DiscAnalyser:
    return CrashesOnce(Path(os.environ["STREAMER_TEST_MARK"]))


def _runs(pid: int) -> bool:
    """Whether a process runs; one that has ended, and that nobody asked for its exit code, does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _job(tmp_path: Path, frames: int = 8) -> Job:
    disc_cine(tmp_path / "cine.dcm", frames=frames)
    return Job(number=1, files=(tmp_path / "cine.dcm",), output=tmp_path / "results" / "000001")


def _pid(process: AnalysisProcess) -> int | None:
    """Asked anew each time."""
    return process.pid


def test_a_process_comes_with_the_first_job_and_goes_when_nothing_waits(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    caplog.set_level(logging.INFO, "streamer")
    metrics = Metrics("node")
    process = AnalysisProcess(DiscAnalyser, idle_s=0)
    try:
        assert process.device == ("CPU", "fp32")
        first = _pid(process)
        assert first is not None
        process.rest()
        assert _pid(process) is None
        assert not _runs(first)
        results, reason = process.analyse(_job(tmp_path), lambda: False, metrics)
        assert _pid(process) is not None
    finally:
        process.close()
    assert len(results) == 6
    assert reason == ""
    told = metrics.exposition()
    assert b"streamer_frames_total 8.0" in told
    assert b'streamer_clips_total{complete="true"} 1.0' in told


def test_what_is_wrong_is_told_as_if_it_had_been_here(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="no weights"):
        AnalysisProcess(no_weights)
    with pytest.raises(SettingsError, match="choose dicom"):
        analysis_loop._loaded(SendsNothing)
    process = AnalysisProcess(Slow)
    try:
        (tmp_path / "none.dcm").write_bytes(b"none")
        with pytest.raises(InputError):
            process.analyse(
                Job(number=1, files=(tmp_path / "none.dcm",), output=tmp_path / "out"), lambda: False, Metrics("node")
            )
        with pytest.raises(StoppedError):
            process.analyse(_job(tmp_path, frames=1000), lambda: True, Metrics("node"))
        assert process.pid is not None
    finally:
        process.close()


def test_a_file_that_brings_the_analysis_down_leaves_the_node_running_and_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("streamer.node.queue.wait_s", lambda _: 0.0)
    monkeypatch.setenv("STREAMER_TEST_MARK", str(tmp_path / "mark"))
    disc_cine(tmp_path / "cine.dcm")
    receiver = ReceiverSettings(aet="STREAMER", port=0, timeout_s=10)
    settings = NodeSettings(receiver=receiver, folder=tmp_path / "node", quiet_s=0)
    process = AnalysisProcess(crashes_once)
    try:
        with Node(settings, process) as node:
            peer = Peer(aet="STREAMER", host="127.0.0.1", port=node.port)
            send_to_node([tmp_path / "cine.dcm"], peer, aet="SCANNER", outcome=lambda *_: None)
            wait_until(lambda: node.queue.status().jobs == {"done": 1}, "the second attempt")
    finally:
        process.close()
    assert "the analysis ended by itself (signal 11)" in caplog.text


def test_a_node_that_is_killed_takes_the_process_with_it() -> None:
    code = (
        "import time\n"
        "from streamer.node.worker import AnalysisProcess\n"
        "from tests.disc_analyser import DiscAnalyser\n"
        "if __name__ == '__main__':\n"
        "    process = AnalysisProcess(DiscAnalyser)\n"
        "    print(process.pid, flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as node:
        assert node.stdout is not None
        worker = int(node.stdout.readline())
        assert _runs(worker)
        node.kill()
        node.wait()
        wait_until(lambda: not _runs(worker), "the end of the process that analyses")


def test_the_node_s_own_process_holds_nothing_that_analyses() -> None:
    """Else it would not take 650 MB within 100 MB."""
    code = (
        "import sys, streamer.cli.main, streamer.cli.dicom, streamer.cli.signals, streamer.node.serve\n"
        "print(*{'cv2', 'av', 'openvino', 'torch', 'scipy', 'highdicom', 'streamer.run'} & set(sys.modules))"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.strip() == ""
