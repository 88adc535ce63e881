"""The overlay clip as a multi-frame secondary capture, coded in H.264 (PS3.5, 8.2.7)."""

from __future__ import annotations

import tempfile
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate_buffer
from pydicom.uid import MPEG4HP41, MultiFrameTrueColorSecondaryCaptureImageStorage

from streamer.dicom.identity import OVERLAY, RunIdentity, save, stamp
from streamer.outputs._dicom_key_images import mark_derived
from streamer.types import Image

KIND, SERIES_NUMBER = OVERLAY, 9006
SERIES_LABEL = "streamer: clip with overlay"
_MAX_WH = (1920, 1080)  # level 4.1 holds 8192 macroblocks (ITU-T H.264, table A-1)
_TICKS_HZ = 90_000
_FRAME_TIME, _FRAME_TIME_VECTOR = 0x00181063, 0x00181065


class OverlayClip:
    """Encodes frames as they come, into a temporary file; `finish` writes the DICOM object around it.

    Args:
        fps: nominal rate in frames per second.
        crf: constant rate factor of x264, 0 to 51.
    """

    def __init__(self, *, fps: float, crf: int = 18) -> None:
        self._fps, self._crf = fps, crf
        self._file = tempfile.TemporaryFile()  # noqa: SIM115  # closed by `close`
        self._container = av.open(self._file, "w", format="mp4")
        self._stream: av.VideoStream | None = None
        self._times_s: list[float] = []

    @property
    def frames(self) -> int:
        """Frames encoded so far; of one there is no clip to be made."""
        return len(self._times_s)

    def add(self, image: Image, time_s: float) -> None:
        """Encode a frame: RGB with the overlay drawn, shape (height, width, 3), and its time from the first.

        Raises:
            OSError, av.FFmpegError: it cannot be encoded or stored.
        """
        fitted = _fitted(image)
        if self._stream is None:
            self._stream = self._new_stream(fitted.shape[1], fitted.shape[0])
        elif fitted.shape[:2] != (self._stream.height, self._stream.width):
            size = self._stream.width, self._stream.height
            fitted = np.asarray(cv2.resize(fitted, size, interpolation=cv2.INTER_AREA), np.uint8)
        frame = av.VideoFrame.from_ndarray(fitted)
        frame.pts, frame.time_base = round(time_s * _TICKS_HZ), Fraction(1, _TICKS_HZ)
        self._times_s.append(time_s)
        self._container.mux(self._stream.encode(frame))

    def finish(self, path: Path, source: Dataset, run: RunIdentity, number: int) -> None:
        """Write the object.

        Args:
            path: file to write.
            source: that the clip was made from.
            run: of which it is a result.
            number: instance number, from 1.

        Raises:
            OSError, av.FFmpegError: it cannot be written.
            ValueError: fewer than two frames were added.
        """
        if self._stream is None or self.frames < 2:
            raise ValueError("a clip has at least two frames")
        self._container.mux(self._stream.encode())
        self._container.close()
        size = self._file.seek(0, 2)
        made = Dataset()
        made.SOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
        made.Modality, made.InstanceNumber = str(source.Modality), number
        name = str(source.SOPInstanceUID)
        stamp(made, source, run, kind=KIND, name=name, number=SERIES_NUMBER, label=SERIES_LABEL)
        mark_derived(made, source, range(int(source.NumberOfFrames)))
        made.Rows, made.Columns = self._stream.height, self._stream.width
        made.SamplesPerPixel, made.PhotometricInterpretation, made.PlanarConfiguration = 3, "YBR_PARTIAL_420", 0
        made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 8, 8, 7, 0
        raw = 3 * made.Rows * made.Columns * len(self._times_s)
        made.LossyImageCompression, made.LossyImageCompressionMethod = "01", "ISO_14496_10"
        made.LossyImageCompressionRatio = f"{raw / max(size, 1):.4g}"
        self._describe_times(made)
        made.PixelData = encapsulate_buffer([self._file])
        made["PixelData"].VR = "OB"
        made["PixelData"].is_undefined_length = True
        save(made, path, MPEG4HP41)

    def close(self) -> None:
        """Let go of the temporary file; may be called twice."""
        self._container.close()
        self._file.close()

    def _new_stream(self, width: int, height: int) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=Fraction(self._fps).limit_denominator(1001))
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.time_base = Fraction(1, _TICKS_HZ)
        stream.options = {"preset": "veryfast", "crf": str(self._crf), "profile": "high", "level": "4.1"}
        return stream

    def _describe_times(self, made: Dataset) -> None:
        times = self._times_s
        made.NumberOfFrames = len(times)
        steps_ms = [0.0, *((later - earlier) * 1000 for earlier, later in pairwise(times))]
        even = len(steps_ms) < 2 or max(steps_ms[1:]) - min(steps_ms[1:]) < 0.01
        if even:
            made.FrameTime = f"{steps_ms[1] if len(steps_ms) > 1 else 1000 / self._fps:.8g}"
        else:
            made.FrameTimeVector = [f"{step:.8g}" for step in steps_ms]
        made.FrameIncrementPointer = _FRAME_TIME if even else _FRAME_TIME_VECTOR
        made.CineRate = max(1, round(self._fps))


def _fitted(image: Image) -> Image:
    """No larger than the level allows, and of even size, as 4:2:0 wants it."""
    height, width = image.shape[:2]
    scale = min(1.0, _MAX_WH[0] / width, _MAX_WH[1] / height)
    if scale < 1:
        size = int(width * scale) // 2 * 2, int(height * scale) // 2 * 2
        return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)
    return np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), "edge")
