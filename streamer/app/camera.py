"""A live picture from the browser: a live source, of which the newest frame is analysed next."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import cv2
import numpy as np

from streamer._timing import LiveClock
from streamer.app.camera_clip import CameraClips
from streamer.app.job import Job
from streamer.errors import InputError, OutputError
from streamer.monitoring.progress import MeteredProgress
from streamer.pipeline.analyse import analyse
from streamer.pipeline.thyroid import Engine
from streamer.run import Progress
from streamer.sources._lifecycle import SelfClosing
from streamer.sources.base import MAX_FRAME_PIXELS, Described
from streamer.types import Frame, Image

NAME = "camera"
_FPS = 30.0
_LOST_S = 20.0  # without a frame: the browser is gone or the device unplugged


class CameraSource(SelfClosing, Described):
    """A live source whose frames are put in from outside."""

    live = True
    expected_frames: int | None = None
    warnings: tuple[str, ...] = ()
    complete = False

    def __init__(self) -> None:
        self.name, self.fps = NAME, _FPS
        self.width = self.height = 0
        self.duration_s = 0.0
        self._moved = threading.Condition()
        self._arrived: Frame | None = None
        self._index = 0
        self._closed = False

    def put(self, image: Image, time_s: float, arrived_s: float) -> None:
        """Offer a frame; one at or before the time of the last is ignored.

        Args:
            image: its pixels.
            time_s: when it was taken, in seconds since the camera was started.
            arrived_s: when it came, by `time.perf_counter`.
        """
        with self._moved:
            if self._closed or time_s <= self.duration_s:
                return
            self.height, self.width = image.shape[:2]
            self.duration_s = time_s
            self._arrived = Frame(image=image, index=self._index, time_s=time_s, video=NAME, arrived_s=arrived_s)
            self._index += 1
            self._moved.notify_all()

    def frames(self) -> Iterator[Frame]:
        """Frames as they come, until the source is closed or nothing has come for a while."""
        while True:
            with self._moved:
                came = self._moved.wait_for(lambda: self._closed or self._arrived is not None, timeout=_LOST_S)
                frame, self._arrived = self._arrived, None
                if not came or self._closed or frame is None:
                    return
            yield frame

    def close(self) -> None:
        """End the stream; may be called twice."""
        with self._moved:
            self._closed = True
            self._moved.notify_all()


class CameraJob(Job):
    """Analyses a camera until it is stopped. What is recorded meanwhile can be analysed as clips afterwards."""

    keeps_frames = False

    def __init__(self, session: str, root: Path) -> None:
        super().__init__(session, root)
        self._source = CameraSource()
        self._clock = LiveClock()
        self._recording = threading.Lock()
        self._ended = False
        self._clips = CameraClips(self.folder, _FPS)

    def put(self, jpeg: bytes, time_s: float) -> None:
        """Take a frame.

        Args:
            jpeg: the picture.
            time_s: when it was taken, in seconds since the camera was started.

        Raises:
            InputError: it is not a picture, or too large, or its time is no number.
            OutputError: a recording came to its end, as the frame cannot be written; it is shown all the same.
        """
        arrived_s = perf_counter()
        _check_time(time_s)
        image = _decoded(jpeg)
        self._source.put(image, time_s, arrived_s)
        with self._recording:
            if self._clips.recording:
                self._clips.add(image, time_s)
                if not self._clips.recording:
                    raise OutputError(self._clips.lost)

    def record(self, on: bool, time_s: float) -> None:
        """Begin or end a recording.

        Raises:
            InputError: one is to begin, and the camera has ended; or the time is no number.
        """
        _check_time(time_s)
        with self._recording:
            if not on:
                self._clips.end()
            elif self._ended:
                raise InputError("the camera has ended; start it again to record")
            else:
                self._clips.begin(time_s)

    def recordings(self) -> list[Path]:
        """What was recorded, once the job has ended.

        Raises:
            OutputError: nothing was, as it could not be written.
        """
        with self._recording:
            if self._clips.lost and not self._clips.finished:
                raise OutputError(self._clips.lost)
            return list(self._clips.finished)

    def status(self) -> dict[str, object]:
        """As of any job, with the frames dropped, whether it is being recorded, and whether anything was."""
        return super().status() | {
            "dropped": self._clock.dropped_frames,
            "recording": self._clips.recording,
            "recorded": bool(self._clips.finished),
        }

    def stop(self) -> None:
        """End the stream."""
        super().stop()
        self._source.close()
        if self.finished.is_set():  # it has not begun, or is over
            self._end_recording()

    def _end_recording(self) -> None:
        with self._recording:
            self._ended = True
            self._clips.end()

    def _analyse(self, engine: Engine) -> None:
        if self.feed is None or self.summary is None:
            raise RuntimeError("a job is executed, not analysed")
        source = self._source
        metered = Progress() if self.metrics is None else MeteredProgress(self.metrics)
        self.summary.start_clip(NAME)
        try:
            with closing(analyse(source, analyser=engine, aggregator=self.summary.aggregator)) as results:
                for result in results:
                    self._clock.add(result)
                    metered.frame(result)
                    self.summary.add(result)
                    self.feed.add(result, clip=0, at_s=result.frame.time_s)
                    self._count_frame()
                    if self._should_stop():
                        break
        finally:
            self._end_recording()


def _check_time(time_s: float) -> None:
    """Refuse "nan" and "inf", which are floats: no frame would come after them."""
    if not math.isfinite(time_s):
        raise InputError("the time of a camera's frame must be a finite number")


def _decoded(jpeg: bytes) -> Image:
    """RGB pixels of a JPEG, shape (height, width, 3)."""
    data = np.frombuffer(jpeg, np.uint8)
    try:
        image = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except cv2.error:
        image = None
    if image is None or image.shape[0] * image.shape[1] > MAX_FRAME_PIXELS:
        raise InputError("the camera's frame is not a picture that can be read")
    return np.asarray(image, np.uint8)
