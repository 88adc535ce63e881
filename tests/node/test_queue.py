"""The queue on disk: what was acknowledged is analysed once and sent until it is taken, whenever the process ends."""

from pathlib import Path

import pytest

from streamer.errors import OutputError
from streamer.node.queue import Queue, opened, wait_s
from streamer.node.records import Job, Received

_NODE = "PACS@192.0.2.1:104"


class _Clock:
    now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def _arrive(queue: Queue, uid: str, study: str = "1.2", content: bytes = b"pixels") -> bool:
    path = queue.incoming / "arriving"
    path.write_bytes(content)
    return queue.receive(Received(path=path, sop_uid=uid, class_uid="1.2.3", study_uid=study))


def _claimed(queue: Queue) -> Job:
    job = queue.claim()
    assert job is not None
    return job


def _result(job: Job, name: str = "dicom-report-1.dcm") -> Path:
    job.output.mkdir(exist_ok=True)
    (job.output / name).write_bytes(b"result")
    return job.output / name


def test_a_study_waits_until_it_is_quiet_and_becomes_one_job(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=30, now_s=clock)
    assert _arrive(queue, "1.2.1")
    clock.now_s += 29
    assert _arrive(queue, "1.2.2")
    clock.now_s += 29
    assert queue.claim() is None
    clock.now_s += 1
    job = _claimed(queue)
    assert [path.read_bytes() for path in job.files] == [b"pixels"] * 2
    assert queue.claim() is None


def test_studies_are_jobs_of_their_own_and_what_comes_late_another(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    _arrive(queue, "1.2.1", study="1.2")
    _arrive(queue, "1.3.1", study="1.3")
    first, second = _claimed(queue), _claimed(queue)
    assert len(first.files) == len(second.files) == 1
    assert first.files != second.files
    queue.finish(first, [_result(first)], [_NODE])
    _arrive(queue, "1.2.9", study="1.2")
    assert len(_claimed(queue).files) == 1


def test_the_same_object_again_is_acknowledged_and_not_analysed_again(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    assert _arrive(queue, "1.2.1")
    job = _claimed(queue)
    assert not _arrive(queue, "1.2.1", content=b"others")
    assert job.files[0].read_bytes() == b"pixels"
    assert queue.claim() is None
    assert list(queue.incoming.iterdir()) == []


def test_a_clock_that_was_set_back_keeps_no_study_waiting(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=30, now_s=clock)
    _arrive(queue, "1.2.1")
    clock.now_s -= 500
    assert queue.claim() is not None


def test_no_name_of_a_file_tells_the_uid(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    _arrive(queue, "1.2.840.4711")
    assert not [path for path in (tmp_path / "node").rglob("*") if "4711" in path.name]
    assert (tmp_path / "node").stat().st_mode & 0o077 == 0


def test_a_killed_process_s_job_runs_again_and_its_files_are_swept(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    _arrive(queue, "1.2.1")
    killed = _claimed(queue)
    (queue.incoming / "half").write_bytes(b"half an object")
    unacknowledged = killed.files[0].with_name("0" * 32 + ".dcm")
    unacknowledged.write_bytes(b"moved, but not yet noted")
    queue.close()  # a killed process closes nothing else either
    again = Queue(tmp_path / "node", quiet_s=0)
    assert _claimed(again).files == killed.files
    assert not unacknowledged.exists()
    assert list(again.incoming.iterdir()) == []


def test_a_finished_job_is_not_run_again_and_its_results_wait(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    _arrive(queue, "1.2.1")
    job = _claimed(queue)
    result = _result(job)
    queue.finish(job, [result], [_NODE, "http://pacs/dicom-web"])
    queue.close()
    again = Queue(tmp_path / "node", quiet_s=0)
    assert again.claim() is None
    (delivery,) = again.due_deliveries(_NODE)
    assert delivery.file == result
    again.delivered(delivery)
    assert again.due_deliveries(_NODE) == []
    assert len(again.due_deliveries("http://pacs/dicom-web")) == 1


def test_what_is_not_taken_is_sent_again_after_longer_and_longer(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=0, now_s=clock)
    _arrive(queue, "1.2.1")
    job = _claimed(queue)
    queue.finish(job, [_result(job)], [_NODE])
    waits = []
    for _ in range(4):
        (delivery,) = queue.due_deliveries(_NODE)
        waits.append(queue.not_delivered(delivery, "no answer"))
        clock.now_s += waits[-1] - 0.1
        assert queue.due_deliveries(_NODE) == []
        clock.now_s += 0.1
    assert waits == [5, 10, 20, 40]
    assert wait_s(10_000) == 3600
    assert queue.status().failures == (f"job 1, 1 results to {_NODE}, 4 attempts: no answer",)


def test_results_that_wait_for_one_reason_are_one_line(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=0, now_s=clock)
    _arrive(queue, "1.2.1")
    job = _claimed(queue)
    queue.finish(job, [_result(job, f"dicom-key-{number}.dcm") for number in (1, 2, 3)], [_NODE])
    first, *others = queue.due_deliveries(_NODE)
    assert first.job == job.number
    queue.not_delivered(first, "status A700")
    for delivery in others:
        clock.now_s += 0.5
        queue.not_delivered(delivery, "no answer")
    assert queue.due_deliveries(_NODE) == []
    clock.now_s += 4.1
    assert queue.due_deliveries(_NODE) == [first, *others]
    assert queue.status().failures == (
        f"job 1, 1 results to {_NODE}, 1 attempts: status A700",
        f"job 1, 2 results to {_NODE}, 1 attempts: no answer",
    )


def test_an_error_of_the_disk_is_tried_again_for_ever(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=0, now_s=clock)
    _arrive(queue, "1.2.1")
    for _ in range(20):
        assert queue.postpone(_claimed(queue), "disk full", for_ever=True)
        clock.now_s += 4000
    assert queue.status().failures == ("job 1, to be tried again: disk full",)


def test_a_failed_analysis_is_tried_anew_when_its_object_is_sent_again(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    for uid in ("1.2.1", "1.2.2"):
        _arrive(queue, uid)
    _arrive(queue, "1.3.1", study="1.3")
    job, other = _claimed(queue), _claimed(queue)
    queue.fail(job, "damaged")
    queue.fail(other, "damaged as well")
    assert queue.status().failures[0] == "job 1, failed, tried anew when it is sent again: damaged"
    assert not _arrive(queue, "1.2.2")
    assert queue.claim() == job
    assert queue.claim() is None
    queue.finish(job, [_result(job)], [_NODE])
    assert not _arrive(queue, "1.2.2")
    assert queue.claim() is None


def test_an_analysis_is_tried_again_but_not_for_ever_and_others_go_first(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=0, now_s=clock)
    _arrive(queue, "1.2.1", study="1.2")
    for attempt in range(1, 6):
        job = _claimed(queue)
        assert queue.postpone(job, "disk full") == (attempt < 5)
        clock.now_s += 4000
    assert queue.claim() is None
    assert queue.status().jobs == {"failed": 1}
    _arrive(queue, "1.3.1", study="1.3")
    tried = _claimed(queue)
    queue.postpone(tried, "disk full")
    clock.now_s += 4000
    _arrive(queue, "1.4.1", study="1.4")
    assert _claimed(queue).number > tried.number


def test_a_stopped_job_waits_as_if_it_had_not_begun(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    _arrive(queue, "1.2.1")
    job = _claimed(queue)
    queue.give_back(job)
    assert _claimed(queue) == job


def test_a_commitment_tells_what_is_kept_and_ends_the_wait(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=1000)
    _arrive(queue, "1.2.1")
    _arrive(queue, "1.2.2")
    queue.ask_commitment("1.9", "SCANNER", [("1.2.3", "1.2.1"), ("9.9", "1.2.2"), ("1.2.3", "1.2.404")])
    (asked,) = queue.due_commitments()
    assert asked.kept == (("1.2.3", "1.2.1"),)
    assert asked.missing == (("9.9", "1.2.2"), ("1.2.3", "1.2.404"))
    assert len(_claimed(queue).files) == 2
    queue.answered(asked)
    assert queue.due_commitments() == []


def test_a_commitment_of_a_part_does_not_end_the_wait_for_the_rest(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=1000)
    _arrive(queue, "1.2.1")
    _arrive(queue, "1.2.2")
    queue.ask_commitment("1.9", "SCANNER", [("1.2.3", "1.2.1")])
    assert queue.claim() is None


def test_old_jobs_go_once_all_was_sent(tmp_path: Path) -> None:
    clock = _Clock()
    queue = Queue(tmp_path / "node", quiet_s=0, now_s=clock)
    _arrive(queue, "1.2.1")
    job = _claimed(queue)
    result = _result(job)
    queue.finish(job, [result], [_NODE])
    clock.now_s += 100
    assert queue.prune(50) == 0
    queue.delivered(queue.due_deliveries(_NODE)[0])
    assert queue.prune(200) == 0
    assert queue.prune(50) == 1
    assert not result.exists()
    assert not job.files[0].exists()
    assert queue.status().jobs == {}
    assert _arrive(queue, "1.2.1")  # as if it had never been there


def test_one_process_at_a_time_and_others_may_look(tmp_path: Path) -> None:
    queue = Queue(tmp_path / "node", quiet_s=0)
    _arrive(queue, "1.2.1")
    with pytest.raises(OutputError, match="another node uses"):
        Queue(tmp_path / "node")
    with opened(tmp_path / "node") as looked:
        assert looked.status().arriving == 1
    with pytest.raises(OutputError, match="holds no queue"), opened(tmp_path):
        pass


def test_what_is_no_queue_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node").mkdir()
    (tmp_path / "node" / "queue.sqlite").write_bytes(b"no database at all, but some text" * 100)
    with pytest.raises(OutputError, match="cannot be used"):
        Queue(tmp_path / "node")
