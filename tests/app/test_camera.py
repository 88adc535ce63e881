"""What is recorded of a camera is kept, however the recording or the camera ends."""

from itertools import count
from pathlib import Path

import cv2
import pytest

from streamer.app.camera import CameraJob
from streamer.app.jobs import Jobs
from streamer.errors import InputError, OutputError
from streamer.sources import open_source
from tests.app.held_engine import HeldEngine, numbered


class Film:
    """A camera job that is fed by hand."""

    def __init__(self, jobs: Jobs, session: str = "a") -> None:
        self.job = CameraJob(session, jobs.root)
        self._times = (number / 30 for number in count(1))
        jobs.submit(self.job)

    def put(self, frames: int) -> None:
        for number in range(frames):
            self.job.put(cv2.imencode(".jpg", numbered(number))[1].tobytes(), next(self._times))

    def record(self, on: bool = True) -> None:
        self.job.record(on, next(self._times))


def length(recording: Path) -> int:
    with open_source(recording) as source:
        return sum(1 for _ in source.frames())


def test_each_recording_is_a_clip(jobs: Jobs) -> None:
    film = Film(jobs)
    for frames in (4, 6):
        film.put(2)
        film.record()
        film.put(frames)
        film.record(on=False)
    assert film.job.status()["recorded"]
    jobs.stop(film.job)
    assert film.job.finished.wait(10)
    assert [length(recording) for recording in film.job.recordings()] == [4, 6]


def test_a_recording_without_a_frame_is_none(jobs: Jobs) -> None:
    film = Film(jobs)
    film.put(2)
    for _ in range(2):
        film.record()
        film.record(on=False)
    film.put(2)
    film.record()
    film.put(3)
    jobs.stop(film.job)
    assert film.job.finished.wait(10)
    assert film.job.state == "stopped"
    assert [length(recording) for recording in film.job.recordings()] == [3]


def test_what_is_recorded_while_the_camera_waits_for_its_turn_is_kept(jobs: Jobs, engine: HeldEngine) -> None:
    engine.hold(0)
    for session in ("b", "c"):
        Film(jobs, session).put(1)
    film = Film(jobs)
    film.record()
    film.put(5)
    assert film.job.state == "waiting"
    jobs.stop(film.job)
    assert [length(recording) for recording in film.job.recordings()] == [5]


def test_a_recording_that_cannot_be_written_ends_neither_the_camera_nor_the_others(jobs: Jobs) -> None:
    film = Film(jobs)
    film.record()
    film.put(4)
    film.record(on=False)
    (film.job.folder / "camera-2.mp4").mkdir()
    film.record()
    with pytest.raises(OutputError, match="the recording is lost: cannot"):
        film.put(10)
    film.put(2)
    assert not film.job.status()["recording"]
    jobs.stop(film.job)
    assert film.job.finished.wait(10)
    assert film.job.state == "stopped"
    assert [length(recording) for recording in film.job.recordings()] == [4]


def test_nothing_is_recorded_after_the_end(jobs: Jobs) -> None:
    film = Film(jobs)
    film.put(2)
    jobs.stop(film.job)
    assert film.job.finished.wait(10)
    with pytest.raises(InputError, match="the camera has ended"):
        film.record()
    assert film.job.recordings() == []


@pytest.mark.parametrize("time_s", [float("nan"), float("inf"), float("-inf")])
def test_a_time_that_is_no_number_does_not_end_the_camera(jobs: Jobs, time_s: float) -> None:
    film = Film(jobs)
    film.put(2)
    picture = cv2.imencode(".jpg", numbered(2))[1].tobytes()
    with pytest.raises(InputError, match="finite number"):
        film.job.put(picture, time_s)
    with pytest.raises(InputError, match="finite number"):
        film.job.record(True, time_s)
    film.record()
    film.put(3)
    jobs.stop(film.job)
    assert film.job.finished.wait(10)
    assert [length(recording) for recording in film.job.recordings()] == [3]
