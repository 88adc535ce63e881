"""What a viewer may ask of one analysis: a row a frame, any frame with or without overlay, a view of each nodule."""

from __future__ import annotations

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from streamer._pixels import jpeg_bytes
from streamer.app.spool import Spool
from streamer.geometry import CropWindow
from streamer.outputs.overlay import OverlayRenderer
from streamer.outputs.report_json import frame_line
from streamer.outputs.schema import FrameLine, NoduleLine
from streamer.settings import OverlaySettings
from streamer.types import Finding, Frame, FrameResult, Image, Nodule, NoduleHeat, SizeMm

_KEPT_QUALITY = 92  # JPEG of the frame as decoded; at 640x480 some 60 kB and 2 ms
_SENT_QUALITY = 85
_SENT_SIDE_PX = 1600  # no screen shows more of a frame beside the panels
_PORTRAIT_PX = 144
_PORTRAIT_MARGIN = 0.35  # of the box's longer side, as in the nodule's picture in the report
_MAX_PORTRAITS = 200  # more than anyone looks at; brief findings have one too
_RECENT_BYTES = 16 * 2**20  # frames in memory: one that is about to be shown need not be decoded again
ROWS_A_READ = 600


@dataclass(frozen=True, slots=True)
class View:
    """What the viewer wants drawn on a frame; `opacity` 0 is the frame as it was decoded."""

    boxes: bool = True
    contours: bool = True
    labels: bool = True
    opacity: float = 1.0
    heatmap: bool = False


class Picture(NamedTuple):
    """A frame as it is sent: its position, the JPEG, and for a recent one how long ago it was added."""

    position: int
    jpeg: bytes
    age_s: float | None


@dataclass(frozen=True, slots=True)
class _Recent:
    position: int
    result: FrameResult
    added_s: float


class Feed:
    """Takes every result of an analysis and keeps it for the viewer. One thread adds, any thread asks.

    Args:
        folder: where frames and rows are spooled.
        keep_frames: True to keep every frame; False to keep only the newest, as for a camera.

    Raises:
        OutputError: the disk is full.
    """

    def __init__(self, folder: Path, *, keep_frames: bool) -> None:
        self._rows = Spool(folder / "rows")
        self._frames = Spool(folder / "frames") if keep_frames else None
        self._lines = Spool(folder / "lines") if keep_frames else None
        self._heat = Spool(folder / "heat") if keep_frames else None
        self._recent: deque[_Recent] = deque()
        self._best: dict[int, float] = {}
        self._portraits: dict[int, bytes] = {}
        self._renderers: dict[tuple[bool, bool, bool, bool], OverlayRenderer] = {}
        self._drawing = threading.Lock()  # a renderer serves one thread
        self._lock = threading.Lock()
        self._watchers: set[Callable[[], None]] = set()
        self._closed = False
        self._claimed = -1

    def __len__(self) -> int:
        return len(self._rows)

    def add(self, result: FrameResult, *, clip: int, at_s: float) -> None:
        """Take the next frame.

        Args:
            result: what was found in it.
            clip: position of its clip in the study, from 0.
            at_s: its time in the study, all clips played one after the other.
        """
        line = frame_line(result)
        nodules = [[nodule.track, nodule.malignancy] for nodule in line.nodules]
        row = [clip, line.frame, line.time_s, round(at_s, 6), nodules]
        self._rows.append(json.dumps(row, separators=(",", ":")).encode())
        self._remember(_Recent(len(self._rows) - 1, result, time.monotonic()))
        # The viewer has what it waits for; the rest is for later.
        if self._frames is not None and self._lines is not None and self._heat is not None:
            self._frames.append(_jpeg(result.frame.image, _KEPT_QUALITY))
            self._lines.append(line.model_dump_json().encode())
            self._heat.append(_heat_line(result))
        for nodule in result.nodules:
            if nodule.malignancy > self._best.get(nodule.track_id, -1.0):
                self._best[nodule.track_id] = nodule.malignancy
                self._portraits[nodule.track_id] = _portrait(result.frame.image, nodule)
                if len(self._portraits) > _MAX_PORTRAITS:
                    del self._portraits[min(self._portraits, key=self._best.__getitem__)]

    @contextmanager
    def watched(self, watcher: Callable[[], None]) -> Iterator[None]:
        """Call `watcher`, which must return at once, whenever a frame has come and when the feed is closed."""
        with self._lock:
            self._watchers.add(watcher)
        try:
            yield
        finally:
            with self._lock:
                self._watchers.discard(watcher)

    def claim(self, position: int) -> int:
        """Where only the newest frame is kept: the next from `position` on that nobody claimed, there or to come."""
        with self._lock:
            newest = self._recent[-1].position if self._recent else 0
            self._claimed = max(position, newest, self._claimed + 1)
            return self._claimed

    def awaits(self, position: int) -> bool:
        """True if that frame is not there and may still come."""
        return not self._closed and len(self._rows) <= position

    def rows(self, start: int, stop: int | None = None) -> list[list[Any]]:
        """Some rows from `start` on: clip, frame, time in the clip and in the study, [[track, malignancy], ..]."""
        most = start + ROWS_A_READ
        return [json.loads(row) for row in self._rows.read(start, most if stop is None else min(stop, most))]

    def picture(self, position: int, view: View) -> Picture | None:
        """A frame as JPEG.

        Args:
            position: which one, counted from 0 over all clips; where frames are not kept, the newest stands for all
                before it.
            view: what to draw on it.

        Returns:
            None where it is not there.
        """
        if position < 0:
            return None
        with self._lock:
            at_hand = list(self._recent)
        if at_hand and self._frames is None and position <= at_hand[-1].position:
            position = at_hand[-1].position
        for recent in at_hand:
            if recent.position == position:
                jpeg = self._drawn(recent.result, view)
                return Picture(position, jpeg, time.monotonic() - recent.added_s)
        result = self._spooled(position)
        return None if result is None else Picture(position, self._drawn(result, view), None)

    def result(self, position: int) -> FrameResult | None:
        """What was found in a frame, and the frame itself; None where it is not there."""
        with self._lock:
            at_hand = [recent.result for recent in self._recent if recent.position == position]
        return at_hand[0] if at_hand else self._spooled(position)

    def portrait(self, track: int) -> bytes | None:
        """The nodule where its malignancy was highest, as a square JPEG with nothing drawn on it."""
        return self._portraits.get(track)

    def close(self) -> None:
        """Let go of files and pictures; nothing can be asked for from then on."""
        with self._lock:
            self._closed = True
            self._recent.clear()
        self._tell()
        self._portraits.clear()
        with ExitStack() as stack:
            for spool in (self._rows, self._frames, self._lines, self._heat):
                if spool is not None:
                    stack.callback(spool.close)

    def _remember(self, recent: _Recent) -> None:
        most = max(1, _RECENT_BYTES // recent.result.frame.image.nbytes) if self._frames is not None else 1
        with self._lock:
            self._recent.append(recent)
            while len(self._recent) > most:
                self._recent.popleft()
        self._tell()

    def _tell(self) -> None:
        with self._lock:
            watchers = tuple(self._watchers)
        for watcher in watchers:
            watcher()

    def _spooled(self, position: int) -> FrameResult | None:
        if self._frames is None or self._lines is None or self._heat is None:
            return None
        kept, lines, heat = (spool.read(position, position + 1) for spool in (self._frames, self._lines, self._heat))
        return _result(kept[0], lines[0], heat[0]) if kept and lines and heat else None

    def _drawn(self, result: FrameResult, view: View) -> bytes:
        image = result.frame.image
        if view.opacity > 0:
            key = view.boxes, view.contours, view.labels, view.heatmap
            with self._drawing:
                if key not in self._renderers:
                    boxes, contours, labels, heatmap = key
                    settings = OverlaySettings(boxes=boxes, contours=contours, labels=labels, heatmap=heatmap)
                    self._renderers[key] = OverlayRenderer(settings)
                image = self._renderers[key].draw(result)
            if view.opacity < 1:
                image = _rgb(cv2.addWeighted(image, view.opacity, result.frame.image, 1 - view.opacity, 0))
        return sent_jpeg(image)


def sent_jpeg(image: Image) -> bytes:
    """A picture as it is sent to the page: no larger than it is shown there."""
    scale = _SENT_SIDE_PX / max(image.shape[:2])
    if scale < 1:
        image = _rgb(cv2.resize(image, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
    return _jpeg(image, _SENT_QUALITY)


def _heat_line(result: FrameResult) -> bytes:
    """Where each nodule's malignancy comes from, in the order of the nodules: window and cells, or null."""
    maps = [nodule.finding.heat for nodule in result.nodules]
    rows = [None if one is None else [one.window_xyxy, np.round(one.cells, 5).tolist()] for one in maps]
    return json.dumps(rows, separators=(",", ":")).encode()


def _result(jpeg: bytes, line: bytes, heat: bytes) -> FrameResult:
    """A result as it was spooled."""
    entry = FrameLine.model_validate_json(line)
    maps = [None if row is None else _heat_of(*row) for row in json.loads(heat)]
    image = _rgb(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR_RGB))
    return FrameResult(
        frame=Frame(image=image, index=entry.frame, time_s=entry.time_s, video=entry.video),
        nodules=tuple(_nodule(nodule, one) for nodule, one in zip(entry.nodules, maps, strict=True)),
        patient_malignancy=entry.patient_malignancy,
        rejected=entry.rejected or "",
    )


def _heat_of(window_xyxy: list[int], cells: list[list[float]]) -> NoduleHeat:
    left, top, right, bottom = window_xyxy
    return NoduleHeat(cells=np.array(cells, np.float32), window_xyxy=(left, top, right, bottom))


def _nodule(line: NoduleLine, heat: NoduleHeat | None) -> Nodule:
    long_mm, short_mm, area_mm2 = line.long_axis_mm, line.short_axis_mm, line.area_mm2
    size = None
    if long_mm is not None and short_mm is not None and area_mm2 is not None:
        size = SizeMm(long_axis_mm=long_mm, short_axis_mm=short_mm, area_mm2=area_mm2)
    return Nodule(
        track_id=line.track,
        track_confidence=line.track_confidence,
        qualifies=line.qualifies,
        size_mm=size,
        finding=Finding(
            box_xyxy=line.box_xyxy,
            confidence=line.track_confidence if line.confidence is None else line.confidence,
            malignancy=line.malignancy,
            contour_xy=np.asarray(line.contour_xy, np.int32).reshape(-1, 2),
            long_axis_px=line.long_axis_px,
            short_axis_px=line.short_axis_px,
            area_px=line.area_px,
            heat=heat,
        ),
    )


def _portrait(image: Image, nodule: Nodule) -> bytes:
    window = CropWindow.around(nodule.box_xyxy, _PORTRAIT_MARGIN)
    return _jpeg(window.crop(image, _PORTRAIT_PX), _SENT_QUALITY)


def _jpeg(image: Image, quality: int) -> bytes:
    return jpeg_bytes(image, quality)


def _rgb(image: Any) -> Image:
    return np.asarray(image, np.uint8)
