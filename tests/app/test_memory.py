"""The app does not grow: fifty analyses in a row, all of them asked about as a page does."""

import os
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from streamer.app.frame_store import View
from streamer.app.jobs import Jobs
from streamer.app.study_job import StudyJob
from tests.app.held_engine import HeldEngine

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux to tell the memory in use"),
]
_WARM_UP, _ANALYSES = 5, 50
_MAX_GROWTH_BYTES = 50e6


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator[Jobs]:
    engine = HeldEngine()
    engine._delay_s = 0.001
    jobs = Jobs(engine.as_engine(), tmp_path)
    yield jobs
    jobs.close()


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def analyse_and_leave(jobs: Jobs, clip: Path, session: str) -> None:
    job = StudyJob(session, jobs.root, [clip])
    jobs.submit(job)
    while not job.finished.wait(0.05):
        if job.feed is not None:
            job.feed.picture(len(job.feed) - 1, View())
    assert job.state == "done"
    job.note(1, "4a", "seen")
    job.archive()
    jobs.end_session(session)


def test_fifty_analyses_leave_nothing_behind(jobs: Jobs, clip: Path) -> None:
    for number in range(_WARM_UP):  # libraries are loaded, caches are full
        analyse_and_leave(jobs, clip, f"warm-up {number}")
    before, threads = resident_bytes(), threading.active_count()
    for number in range(_ANALYSES):
        analyse_and_leave(jobs, clip, str(number))
    assert list(jobs.root.iterdir()) == []
    end = time.monotonic() + 5
    while threading.active_count() > threads and time.monotonic() < end:
        time.sleep(0.05)
    assert threading.active_count() <= threads
    assert resident_bytes() - before < _MAX_GROWTH_BYTES
