"""Jobs of a node analysed in its own process, where what the process is made of is not the point."""

from collections.abc import Callable
from pathlib import Path

from streamer.monitoring.metrics import Metrics
from streamer.monitoring.progress import MeteredProgress
from streamer.node.analysis import analyse_job
from streamer.node.records import Job
from tests.disc_analyser import DiscAnalyser


class DiscJobs:
    """A `JobAnalyser` that finds the disc."""

    device = ("CPU", "fp32")

    def analyse(self, job: Job, should_stop: Callable[[], bool], metrics: Metrics) -> tuple[list[Path], str]:
        """Analyse a job."""
        return analyse_job(job, DiscAnalyser(), should_stop, MeteredProgress(metrics))

    def rest(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """Nothing comes any more."""
