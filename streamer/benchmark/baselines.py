"""What a user would take instead: the same networks in the loops that the libraries' own documentation shows."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt

from streamer.benchmark.passes import Environment, NetworkKind, Pass, PassRecorder
from streamer.errors import OutputError, SettingsError
from streamer.geometry import Box
from streamer.models.crop_analyser import RoiPrediction
from streamer.settings import Settings

if TYPE_CHECKING:
    from streamer.benchmark.peer_networks import Bgr, PeerNetworks

OVERLAY = "overlay.mp4"
_GREEN = (0, 255, 0)
_MP4V = ("m", "p", "4", "v")


class BaselineName(StrEnum):
    """The baselines."""

    naive = "naive"
    ultralytics = "ultralytics"
    supervision = "supervision"


class Baseline:
    """A baseline that is loaded and has made its first, slow calls."""

    def __init__(self, name: BaselineName, kind: NetworkKind, settings: Settings) -> None:
        """Load the networks.

        Raises:
            WeightsError, DeviceError: they cannot be loaded.
            SettingsError: a package that the baseline needs is missing.
        """
        if name is BaselineName.ultralytics and importlib.util.find_spec("lap") is None:
            raise SettingsError("the baseline 'ultralytics' needs its tracker's solver: pip install lap")
        from streamer.benchmark.peer_networks import PeerNetworks  # late: it needs torch

        self._loop = _LOOPS[name]
        self._peer = _Peer(PeerNetworks(settings, kind))
        self._peer.networks.choose_threads(self._peer.first_call)

    def analyse(self, clip: Path, folder: Path, should_stop: Callable[[], bool]) -> Pass:
        """See `Implementation`."""
        return self._loop(self._peer, clip, folder / OVERLAY, should_stop)

    def networks_ms(self) -> dict[str, float]:
        """Nothing: the floor is that of our networks."""
        return {}

    def environment(self) -> Environment:
        """See `Implementation`."""
        return self._peer.networks.environment()


class _Peer:
    """ultralytics' model around our detector, and the other two networks."""

    def __init__(self, networks: PeerNetworks) -> None:
        from ultralytics.models import YOLO  # made quiet and kept off the network where the detector was built

        self.networks = networks
        self.raw_boxes: Sequence[Box] = ()
        model: Any = YOLO("yolov5n.yaml", task="detect", verbose=False)
        model.model = networks.detector
        self.model = model
        # Before the tracker's own callback, which puts its filtered boxes in place of the detector's.
        self.model.add_callback("on_predict_postprocess_end", self._note)
        self.first_call()

    def first_call(self) -> None:
        """Every network once, on a picture of nothing."""
        picture = np.zeros((480, 640, 3), np.uint8)
        self.predict(picture)
        self.networks.read(picture, np.array([(220, 140, 420, 340)], np.float32), lambda _: None)

    def predict(self, frame: Bgr) -> Any:
        """ultralytics' result for a frame of shape (height, width, 3)."""
        return self.model.predict(frame, **self.networks.predict_options)[0]

    def _note(self, predictor: Any) -> None:
        self.raw_boxes = [_as_tuple(box) for box in _boxes(predictor.results[0])]


def _naive(peer: _Peer, clip: Path, target: Path, should_stop: Callable[[], bool]) -> Pass:
    """OpenCV reads a frame, ultralytics predicts, torch reads each crop, OpenCV draws and writes."""
    watch = PassRecorder()
    capture = cv2.VideoCapture(str(clip))
    writer = _writer(clip, target)
    while not should_stop():
        watch.begin_frame()
        there, picture = capture.read()
        if not there:
            break
        frame = np.asarray(picture, np.uint8)
        watch.lap("decode")
        boxes = _boxes(peer.predict(frame))
        watch.lap("detect")
        readings = peer.networks.read(frame, boxes, watch.lap)
        for reading in readings:
            _draw_box(frame, reading)
            _draw_reading(frame, reading)
        watch.lap("draw")
        writer.write(frame)
        watch.lap("encode")
        watch.end_frame(peer.raw_boxes)
    capture.release()
    writer.release()
    return watch.done()


def _ultralytics(peer: _Peer, clip: Path, target: Path, should_stop: Callable[[], bool]) -> Pass:
    """ultralytics reads, predicts and tracks in one stream, and plots; torch reads each crop; OpenCV writes."""
    watch = PassRecorder()
    writer = _writer(clip, target)
    watch.begin_frame()
    stream = peer.model.track(str(clip), stream=True, tracker="bytetrack.yaml", **peer.networks.predict_options)
    for result in stream:
        watch.lap("decode, detect, track")
        readings = peer.networks.read(result.orig_img, _boxes(result), watch.lap)
        picture = result.plot()
        for reading in readings:
            _draw_reading(picture, reading)
        watch.lap("draw")
        writer.write(picture)
        watch.lap("encode")
        watch.end_frame(peer.raw_boxes)
        if should_stop():
            break
        watch.begin_frame()
    stream.close()
    writer.release()
    return watch.done()


def _supervision(peer: _Peer, clip: Path, target: Path, should_stop: Callable[[], bool]) -> Pass:
    """supervision reads and writes on threads of its own; in between ultralytics, torch and its annotators."""
    import supervision as sv
    from trackers import ByteTrackTracker

    watch = PassRecorder()
    tracker = ByteTrackTracker()
    box_annotator, mask_annotator, label_annotator = sv.BoxAnnotator(), sv.MaskAnnotator(), sv.LabelAnnotator()

    def callback(frame: Bgr, _: int) -> Bgr:
        if should_stop():
            raise _TimeIsUp
        watch.begin_frame()
        detections = sv.Detections.from_ultralytics(peer.predict(frame))
        watch.lap("detect")
        detections = tracker.update(detections)
        watch.lap("track")
        readings = peer.networks.read(frame, np.asarray(detections.xyxy, np.float32), watch.lap)
        detections.mask = np.array([_mask(frame, reading) for reading in readings], bool).reshape(-1, *frame.shape[:2])
        picture = mask_annotator.annotate(frame.copy(), detections)
        picture = box_annotator.annotate(picture, detections)
        labels = [f"{reading.malignancy:.2f}" for reading in readings]
        picture = label_annotator.annotate(picture, detections, labels=labels)
        watch.lap("draw")
        watch.end_frame(peer.raw_boxes, seen_whole=False)
        return np.asarray(picture, np.uint8)

    with suppress(_TimeIsUp):
        sv.process_video(str(clip), str(target), callback)
    return watch.done()


class _TimeIsUp(Exception):  # noqa: N818  # not an error: how supervision's loop is left
    """Leaves supervision's loop, which has no other way out."""


_LOOPS: dict[BaselineName, Callable[[_Peer, Path, Path, Callable[[], bool]], Pass]] = {
    BaselineName.naive: _naive,
    BaselineName.ultralytics: _ultralytics,
    BaselineName.supervision: _supervision,
}


def _writer(clip: Path, target: Path) -> cv2.VideoWriter:
    """A video of the clip's size and rate.

    Raises:
        OutputError: OpenCV cannot write it.
    """
    capture = cv2.VideoCapture(str(clip))
    size = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
    writer = cv2.VideoWriter(str(target), cv2.VideoWriter.fourcc(*_MP4V), capture.get(cv2.CAP_PROP_FPS), size)
    capture.release()
    if not writer.isOpened():
        raise OutputError(f"OpenCV cannot write {target.name}: free some space, or install OpenCV with FFmpeg")
    return writer


def _boxes(result: Any) -> npt.NDArray[np.float32]:
    """Boxes of an ultralytics result, shape (n, 4)."""
    return np.asarray(result.boxes.xyxy.cpu().numpy(), np.float32)


def _as_tuple(box: npt.NDArray[np.float32]) -> Box:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])


def _draw_box(picture: Bgr, reading: RoiPrediction) -> None:
    x0, y0, x1, y1 = (round(value) for value in reading.box_xyxy)
    cv2.rectangle(picture, (x0, y0), (x1, y1), _GREEN, 2)


def _draw_reading(picture: Bgr, reading: RoiPrediction) -> None:
    if len(reading.outline.contour_xy):
        cv2.polylines(picture, [reading.outline.contour_xy], True, _GREEN, 1)
    place = round(reading.box_xyxy[0]), round(reading.box_xyxy[3]) + 16
    cv2.putText(picture, f"{reading.malignancy:.2f}", place, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _GREEN, 1)


def _mask(frame: Bgr, reading: RoiPrediction) -> npt.NDArray[np.uint8]:
    mask = np.zeros(frame.shape[:2], np.uint8)
    if len(reading.outline.contour_xy):
        cv2.fillPoly(mask, [reading.outline.contour_xy], 1)
    return mask
