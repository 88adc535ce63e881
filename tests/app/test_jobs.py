"""Jobs: their order, their end, and what they leave behind."""

import json
import re
import stat
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from streamer.app.jobs import GoneError, Jobs
from streamer.app.study_job import StudyJob
from streamer.errors import InputError
from streamer.monitoring.metrics import Metrics
from tests.app.held_engine import CRASH, KEY_FRAME, HeldEngine


def submit(jobs: Jobs, session: str, *clips: Path) -> StudyJob:
    job = StudyJob(session, jobs.root, clips)
    jobs.submit(job)
    return job


def wait_for(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_third_waits_and_leaves_the_queue_when_stopped(jobs: Jobs, engine: HeldEngine, clip: Path) -> None:
    engine.hold(0)
    first, second, third, fourth = (submit(jobs, str(number), clip) for number in range(4))
    wait_for(lambda: second.state == "running")
    assert [jobs.place(job) for job in (first, second, third, fourth)] == [0, 0, 1, 2]
    jobs.stop(third)
    assert (third.state, jobs.place(fourth)) == ("stopped", 1)
    engine.release()
    assert fourth.finished.wait(20)
    assert fourth.state == "done"


def test_metrics_tell_who_waits_and_what_failed(engine: HeldEngine, clip: Path, tmp_path: Path) -> None:
    metrics = Metrics("app")
    jobs = Jobs(engine.as_engine(), tmp_path / "deep" / "down", metrics)
    assert jobs.root == tmp_path / "deep" / "down" / "jobs"
    assert stat.S_IMODE(jobs.root.stat().st_mode) == 0o700
    engine.hold(0)
    running = [submit(jobs, str(number), clip) for number in range(3)]
    wait_for(lambda: running[1].state == "running")
    assert b'streamer_queue_length{queue="jobs"} 1.0' in metrics.exposition()
    engine.release()
    assert running[2].finished.wait(20)
    assert b'streamer_queue_length{queue="jobs"} 0.0' in metrics.exposition()
    jobs.close()


def test_one_that_is_replaced_while_it_waits_leaves_the_queue(jobs: Jobs, engine: HeldEngine, clip: Path) -> None:
    engine.hold(0)
    first, second, _, fourth = (submit(jobs, str(number), clip) for number in range(4))
    wait_for(lambda: first.state == second.state == "running")
    assert jobs.place(fourth) == 2
    again = submit(jobs, "2", clip)
    assert [jobs.place(job) for job in (fourth, again)] == [1, 2]
    engine.release()
    assert again.finished.wait(20)


def test_stopped_when_it_has_begun_but_has_no_frame(jobs: Jobs, engine: HeldEngine, clip: Path) -> None:
    job = StudyJob("a", jobs.root, [clip])
    job._stopped.set()  # between the worker's look at it and the first frame
    job.execute(engine.as_engine())
    assert (job.state, job.error, job.status()["files"]) == ("stopped", "", [])
    job.discard()
    assert not job.folder.exists()


def test_a_clip_that_is_gone_when_its_turn_comes(jobs: Jobs, engine: HeldEngine, clip: Path, tmp_path: Path) -> None:
    second = tmp_path / "second.mp4"
    second.write_bytes(clip.read_bytes())
    engine.hold(10)
    job = submit(jobs, "a", clip, second)
    wait_for(lambda: job.feed is not None and len(job.feed) == 10)
    second.unlink()
    engine.release()
    assert job.finished.wait(20)
    status = job.status()
    assert (job.state, len(status["clips"])) == ("done", 1)
    assert status["clips"][0]["warnings"][-1] == "there is no file or folder second.mp4"
    assert "report.html" in [file["name"] for file in status["files"]]


def test_session_end_deletes_job_and_uploads_that_nobody_else_has(
    jobs: Jobs, engine: HeldEngine, clip: Path, tmp_path: Path
) -> None:
    own, common = tmp_path / "own", tmp_path / "common"
    for upload in (own, common):
        upload.touch()
    jobs.claim("a", [own, common])
    jobs.claim("b", [common])
    engine.hold(10)
    job = submit(jobs, "a", clip)
    wait_for(lambda: job.feed is not None and len(job.feed) == 10)
    jobs.end_session("a")
    engine.release()
    assert job.finished.wait(10)
    assert not job.folder.exists()
    assert (own.exists(), common.exists()) == (False, True)
    with pytest.raises(InputError):
        jobs.find(job.token, "a")


def test_job_is_found_only_by_its_own_session_and_name(jobs: Jobs, clip: Path) -> None:
    job, other = submit(jobs, "a", clip), submit(jobs, "b", clip)
    assert jobs.find(job.token, "a") is job
    for token, session in [(other.token, "a"), (job.token, "b"), ("", "a"), (None, "a"), (job.token, "c")]:
        with pytest.raises(InputError):
            jobs.find(token, session)


def test_crash_frees_worker_and_files(
    jobs: Jobs, engine: HeldEngine, clip: Path, caplog: pytest.LogCaptureFixture
) -> None:
    engine.fails_at = 5
    jobs_that_crash = [submit(jobs, str(number), clip) for number in range(3)]
    for job in jobs_that_crash:
        assert job.finished.wait(20)
        assert job.state == "failed"
        assert job.error
        assert not job.folder.exists()
    assert "held_engine.py" in caplog.text
    assert "ZeroDivisionError" in caplog.text
    assert CRASH not in caplog.text


def test_new_job_takes_the_place_of_the_last(jobs: Jobs, clip: Path) -> None:
    first = submit(jobs, "a", clip)
    assert first.finished.wait(20)
    second = submit(jobs, "a", clip)
    assert not first.folder.exists()
    assert second.finished.wait(20)
    assert [folder.name for folder in jobs.root.iterdir()] == [second.token]


def test_a_session_is_the_users_who_began_it_until_it_ends(jobs: Jobs) -> None:
    jobs.admit("s", "ben")  # nobody's yet, and not ben's for having looked
    jobs.admit("s", "anna", new=True)
    jobs.admit("s", "anna")
    for new in (True, False):
        with pytest.raises(GoneError, match=r"^this analysis is not here any more; start it again$"):
            jobs.admit("s", "ben", new=new)
    jobs.admit("t", "ben", new=True)  # another session
    jobs.end_session("s")
    jobs.admit("s", "ben", new=True)
    with pytest.raises(GoneError):
        jobs.admit("s", "anna")


def test_an_uploads_folder_goes_with_it_unless_something_else_is_in_it(jobs: Jobs, tmp_path: Path) -> None:
    alone, first, second, gone = (tmp_path / name for name in ("1/a.mp4", "2/a.mp4", "2/b.mp4", "3/a.mp4"))
    for upload in (alone, first, second):
        upload.parent.mkdir(exist_ok=True)
        upload.touch()
    jobs.claim("s", [alone])
    jobs.claim("s", [first, gone])  # one more, and one that is not there any more
    jobs.claim("t", [second])
    jobs.end_session("s")
    assert sorted(path.name for path in tmp_path.glob("[0-9]*")) == ["2"]
    assert (first.exists(), second.exists()) == (False, True)
    jobs.close()  # also what was uploaded and never analysed
    assert not second.parent.exists()


def test_closing_ends_every_session(engine: HeldEngine, clip: Path, tmp_path: Path) -> None:
    jobs = Jobs(engine.as_engine(), tmp_path)
    engine.hold(3)
    running = [submit(jobs, str(number), clip) for number in range(3)]
    wait_for(lambda: running[1].state == "running")
    engine.release()
    jobs.close()
    assert [job.finished.is_set() for job in running] == [True] * 3
    assert list(jobs.root.iterdir()) == []


def test_a_failure_is_counted_and_a_success_is_not(engine: HeldEngine, clip: Path, tmp_path: Path) -> None:
    metrics = Metrics("app")
    jobs = Jobs(engine.as_engine(), tmp_path, metrics)
    for session in ("a", "c"):
        assert submit(jobs, session, clip).finished.wait(20)
    engine.fails_at = 5
    assert submit(jobs, "b", clip).finished.wait(20)
    jobs.close()  # waits until it is counted
    assert b'streamer_failures_total{kind="job"} 1.0' in metrics.exposition()
    (frames,) = re.findall(rb"^streamer_frames_total (\S+)$", metrics.exposition(), re.MULTILINE)
    assert 120 <= float(frames) <= 125  # those before the failure, too


def test_a_session_that_has_begun_another_job_does_not_end_with_its_last(jobs: Jobs, clip: Path) -> None:
    """Two calls of the API by one client: the first, replaced, must not take the second with it."""
    first, second = submit(jobs, "a", clip), submit(jobs, "a", clip)
    jobs.end_session("a", last=first)
    assert jobs.find(second.token, "a") is second
    assert second.finished.wait(20)
    assert second.state == "done"
    jobs.end_session("a", last=second)
    assert not second.folder.exists()


def test_stills_of_one_name_are_refused(jobs: Jobs, tmp_path: Path) -> None:
    stills = [tmp_path / folder / "0001.png" for folder in "ab"]
    for still in stills:
        still.parent.mkdir()
        still.touch()
    job = StudyJob("a", jobs.root, [])
    with pytest.raises(InputError, match="two stills of scan have one name"):
        job.add_stills("scan", stills)


def test_panels_say_what_the_report_says(jobs: Jobs, clip: Path) -> None:
    job = submit(jobs, "a", clip, clip)
    assert job.finished.wait(30)
    report = json.loads((job.results / "report.json").read_text())
    assert job.summary is not None
    shown = job.summary.shown
    assert shown["patient"]["malignancy"] == pytest.approx(report["patient_malignancy"], abs=1e-4)
    assert shown["patient"]["decision"] == report["decision"]
    assert shown["patient"]["top"] == report["decisive_nodule"] == 1
    keys = [nodule["key"] for nodule in shown["nodules"]]
    assert keys == [KEY_FRAME, 60 + KEY_FRAME]  # counted over both clips
    assert [nodule["frames"] for nodule in shown["nodules"]] == [n["supporting_frames"] for n in report["nodules"]]
    assert [part["begins_s"] for part in job.status()["clips"]] == pytest.approx([0, 60 / 25])


def test_note_written_during_the_analysis_is_part_of_the_report(jobs: Jobs, engine: HeldEngine, clip: Path) -> None:
    engine.hold(30)
    job = submit(jobs, "a", clip)
    wait_for(lambda: job.summary is not None and bool(job.summary.shown["nodules"]))
    with pytest.raises(InputError, match="there are no results yet"):
        job.archive()
    job.note(1, "5", "Schilddrüse <b> \ud800")
    for track, c_tirads, text in [(2, "5", ""), (1, "6", ""), (1, "", "x" * 5000)]:
        with pytest.raises(InputError):
            job.note(track, c_tirads, text)
    engine.release()
    assert job.finished.wait(20)
    report = json.loads((job.results / "report.json").read_text())
    assert report["nodules"][0]["reader"] == {"c_tirads": "5", "note": "Schilddrüse <b> ?"}
    assert "Schilddrüse &lt;b&gt;" in (job.results / "report.html").read_text()
    job.note(1, "", "")
    report = json.loads((job.results / "report.json").read_text())
    assert report["nodules"][0]["reader"] is None
    assert "Schilddrüse" not in (job.results / "report.html").read_text()
