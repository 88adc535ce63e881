"""Live pictures from the network or a capture device, through PyAV (FFmpeg): connected again when they are lost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from functools import partial
from http.client import HTTPException
from itertools import chain, repeat
from time import perf_counter
from typing import BinaryIO

import av
from av.codec.context import Flags
from av.codec.hwaccel import HWAccel
from av.container import InputContainer
from av.format import Flags as ContainerFlags

from streamer.errors import InputError
from streamer.sources._container import FALLBACK_FPS, LIBRARY_ERRORS, main_video, nominal_fps, pixel_aspect
from streamer.sources._convert import Converter
from streamer.sources._deinterlace import Deinterlacer, Deinterlacing
from streamer.sources._download import downloaded
from streamer.sources._hwaccel import LEFT_TO_CPU, Decoder, acceleration, left_to_cpu, refuse_without_device
from streamer.sources._lifecycle import OpenedLive, SelfClosing
from streamer.sources._timestamps import Clock
from streamer.sources._truncation import indexed_frames
from streamer.sources._url import Address
from streamer.sources.base import MAX_FRAME_PIXELS
from streamer.types import Frame

_OPEN_S = 10.0
_READ_S = 5.0
"""Silence after which a connection counts as lost. A camera sends many packets a second, whatever it sees."""
_BACK_OFF_S = (1.0, 2.0, 4.0, 8.0, 16.0, 30.0)
_LOW_DELAY = ("h264", "hevc")
"""Decoders that may be told to hold nothing back; those of MPEG-2 and MPEG-4 then give pictures out of order."""
_REORDERED = 64
"""Packets whose arrival is remembered: more than a decoder holds back (16 in H.264 and HEVC)."""
_LATEST_S = 1.0
"""A file that comes slower than its pace is played slower, rather than later and later."""
_ENDED = "the sender ended it"
_NOT_READ = (av.error.InvalidDataError, av.error.ArgumentError)
"""How FFmpeg refuses a format that is unknown, or not among those allowed."""
_NO_VIDEO = "the server sends no video that is read; a page, a playlist or a single picture is none"

Listener = Callable[[str], None]
"""Told in one line when a connection is lost and when it is back; called on the thread that reads."""


class LiveStream(OpenedLive["_Connection"]):
    """A live `Source` behind a URL or device. A lost connection is made again, for as long as it takes.

    A file that a web server holds is no camera: it is played once at its own pace, and not asked for again. Where its
    index is at its end and the server sends no parts of it, it is kept in a temporary file first.

    A picture that arrives damaged is left out. Closing ends the frames at the next packet, after silence within 5 s,
    while it is being connected again within 10 s.

    Args:
        address: what to open.
        on_event: told of losses and returns.
        decoder: what decodes.
        deinterlace: which pictures are deinterlaced; each then comes when the next is there.

    Raises:
        InputError: it cannot be opened at first.
        DeviceError: `decoder` cannot be had.
    """

    def __init__(
        self,
        address: Address,
        *,
        on_event: Listener = lambda _: None,
        decoder: Decoder = "cpu",
        deinterlace: Deinterlacing = "auto",
    ) -> None:
        self.name = address.name
        self._converter, self._deinterlacer = Converter(), Deinterlacer(deinterlace)
        self._address = address
        self._connect = partial(_Connection, address, acceleration(decoder), self._converter, self._deinterlacer)
        self._on_event = on_event
        try:
            first = self._connect()
        except LIBRARY_ERRORS as error:
            if decoder != "cpu":
                refuse_without_device()
            reason = _NO_VIDEO if address.is_web and isinstance(error, _NOT_READ) else _reason(error)
            raise InputError(f"{self.name} cannot be opened: {reason}") from None  # the cause quotes the URL
        self.fps, (self.width, self.height) = first.fps, first.size_wh
        super().__init__(first)
        self.duration_s = 0.0
        self.pixel_aspect = first.pixel_aspect
        self._arrived = self._losses = self._repaired = 0
        self._decoder, self._left_to_cpu = decoder, False
        self._untimed = False
        self._lost_s = 0.0
        self._finished, self._broke_off = False, ""

    @property
    def complete(self) -> bool:
        """True once closed, or once a file was played to its end, if the connection was never lost."""
        return (self._closed.is_set() or self._finished) and not (self._losses or self._broke_off)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know, one line each."""
        said = []
        if self._losses:
            times = "once" if self._losses == 1 else f"{self._losses} times"
            said.append(f"the connection was lost {times}, for {self._lost_s:.1f} s in all")
        if self._broke_off:
            said.append(f"the file breaks off: {self._broke_off}")
        if self._left_to_cpu:
            said.append(LEFT_TO_CPU)
        if self._converter.warning:
            said.append(f"the video {self._converter.warning}")
        if self._deinterlacer.warning:
            said.append(self._deinterlacer.warning)
        if self._untimed:
            said.append("the pictures carry no times: each has the time at which it came")
        if self._repaired:
            said.append(f"{self._repaired} timestamps missing or out of order; {self.fps:.4g} frames a second assumed")
        return tuple(said)

    def frames(self) -> Iterator[Frame]:
        """Frames as they arrive, until the source is closed.

        Raises:
            RuntimeError: called a second time.
        """
        connection = self._take_first()
        if connection is not None and connection.is_file:
            yield from self._play(connection)
            if not self._arrived and self._broke_off and not self._closed.is_set():
                yield from self._play_downloaded()
            return
        began_s, silent_since_s = perf_counter(), None
        delays_s = _delays_s()
        while connection is not None:
            offset_s = max(self.duration_s, perf_counter() - began_s) if self._losses else 0.0
            with connection:
                for frame in connection.frames(self.name, self._arrived, offset_s):
                    if self._closed.is_set():
                        break
                    if silent_since_s is not None:
                        self._returned(perf_counter() - silent_since_s)
                        silent_since_s, delays_s = None, _delays_s()
                    self._note(frame, connection)
                    yield frame
            self._repaired += connection.repaired
            self._untimed |= connection.untimed
            if self._closed.is_set():
                break
            if silent_since_s is None:
                silent_since_s = perf_counter()
                self._losses += 1
                self._on_event(f"connection lost ({connection.ended_by}); trying to connect again")
            connection = self._connect_again(delays_s)
        if silent_since_s is not None:
            self._lost_s += perf_counter() - silent_since_s

    def _play(self, connection: _Connection) -> Iterator[Frame]:
        """The frames of a file when each is due, once."""
        began_s = perf_counter()
        with connection:
            for frame in connection.frames(self.name, 0, 0.0):
                ahead_s = began_s + frame.time_s - perf_counter()
                if ahead_s < -_LATEST_S:
                    began_s, ahead_s = began_s - ahead_s, 0.0
                if self._closed.wait(max(0.0, ahead_s)):
                    return
                self._note(frame, connection)
                yield replace(frame, arrived_s=began_s + frame.time_s)
            self._repaired = connection.repaired
            announced = indexed_frames(connection.container, connection.stream)
            missing = announced is not None and self._arrived < announced
            if connection.ended_by != _ENDED and (missing or announced is None):  # nothing comes after the last frame
                self._broke_off = connection.ended_by
            elif missing:
                self._broke_off = f"{announced} frames are announced, {self._arrived} could be decoded"
            self._finished = True

    def _play_downloaded(self) -> Iterator[Frame]:
        """The same of a file in which FFmpeg could not go back to the first frame from the index behind it."""
        try:
            file = downloaded(self._address.location)
        except (OSError, HTTPException) as error:
            self._broke_off = _reason(error)
            return
        with file:
            try:
                connection = self._connect(held=file)
            except (*LIBRARY_ERRORS, InputError) as error:
                self._broke_off = _reason(error)
                return
            self._broke_off = ""
            yield from self._play(connection)

    def _note(self, frame: Frame, connection: _Connection) -> None:
        if not self._arrived:
            self.height, self.width = frame.image.shape[:2]  # upright, as few senders announce it
            self.pixel_aspect = connection.pixel_aspect
            self._left_to_cpu = left_to_cpu(self._decoder, connection.stream)
        self._arrived = frame.index + 1
        self.duration_s = frame.time_s + 1 / self.fps

    def _returned(self, after_s: float) -> None:
        self._lost_s += after_s
        self._on_event(f"connected again after {after_s:.1f} s")

    def _connect_again(self, delays_s: Iterator[float]) -> _Connection | None:
        while not self._closed.wait(next(delays_s)):
            try:
                return self._connect()
            except (*LIBRARY_ERRORS, InputError):
                continue
        return None


class _Connection(SelfClosing):
    """One connection, from opening to loss.

    Attributes:
        container, stream: what is decoded.
        is_file: whether it is a finished file that a web server holds.
        fps, size_wh: nominal rate in frames per second, and size of the picture in pixels.
        ended_by: why it was lost, once `frames` has ended.
        untimed: whether the format carries no times: each picture has that of its arrival.
        repaired: timestamps replaced so far.
    """

    def __init__(
        self,
        address: Address,
        hwaccel: HWAccel | None,
        converter: Converter,
        deinterlacer: Deinterlacer,
        *,
        held: BinaryIO | None = None,
    ) -> None:
        self.ended_by = ""
        self.repaired = 0
        self._converter, self._deinterlacer = converter, deinterlacer
        self.container = av.open(
            address.location if held is None else held,
            "r",
            format=address.format,
            options={"max_pixels": str(MAX_FRAME_PIXELS)},
            container_options=address.options,
            metadata_errors="replace",
            hwaccel=hwaccel,
            timeout=(_OPEN_S, _READ_S),
        )
        try:
            self.stream = main_video(self.container, address.name)
            context = self.stream.codec_context
            context.thread_count = 1  # frame threads hold pictures back
            if context.name in _LOW_DELAY:
                context.flags |= Flags.low_delay
            context.options = {"max_pixels": str(MAX_FRAME_PIXELS)}
            self.fps = nominal_fps(self.stream) or FALLBACK_FPS
            self.size_wh = self.stream.width, self.stream.height
            # As of a camera that sends JPEG after JPEG, or H.264 and nothing else: FFmpeg invents times, or has none.
            no_times: int = ContainerFlags.no_timestamps.value  # type: ignore[assignment]  # PyAV's annotation: a Flags
            self.is_file = address.is_web and _is_finished(self.container)
            self.untimed = bool(self.container.format.flags & no_times) and not self.is_file
        except BaseException:
            self.container.close()
            raise

    @property
    def pixel_aspect(self) -> Fraction:
        """Width of an upright pixel over its height, once a picture has come."""
        return self._converter.upright_aspect(pixel_aspect(self.stream))

    def frames(self, name: str, index: int, offset_s: float) -> Iterator[Frame]:
        """Pictures as they arrive, until the connection is lost; numbered from `index` on, times from `offset_s` on."""
        time_base = self.stream.time_base or Fraction(1, 90_000)
        clock = Clock(fps=self.fps)
        arrivals_s: dict[int | None, float] = {}
        self._deinterlacer.reset()
        for packet in self._packets():
            arrived_s = arrivals_s[packet.pts] = perf_counter()
            if len(arrivals_s) > _REORDERED:
                del arrivals_s[next(iter(arrivals_s))]
            try:
                for picture in self._whole_pictures(packet):
                    image = self._converter.rgb(picture)
                    timestamp = None if picture.pts is None else picture.pts * time_base
                    if self.untimed:
                        timestamp = Fraction(arrived_s)
                    time_s = clock.stamp(timestamp, picture.duration * time_base)
                    self.repaired = 0 if self.untimed else clock.repaired
                    yield Frame(
                        image=image,
                        index=index,
                        time_s=offset_s + time_s,
                        video=name,
                        decode_ms=(perf_counter() - arrived_s) * 1000,
                        arrived_s=arrivals_s.get(picture.pts, arrived_s),
                    )
                    index += 1
            except LIBRARY_ERRORS:
                continue  # damaged on its way; the next key frame mends it

    def close(self) -> None:
        """Let go of it."""
        self.container.close()

    def _whole_pictures(self, packet: av.Packet[av.VideoStream]) -> Iterator[av.VideoFrame]:
        for picture in packet.decode():
            if not picture.is_corrupt:
                yield from self._deinterlacer.push(picture)
        if not packet.size:
            yield from self._deinterlacer.flush()

    def _packets(self) -> Iterator[av.Packet[av.VideoStream]]:
        try:
            for packet in self.container.demux(self.stream):
                if packet.size or self.is_file:  # the last packet is empty, and brings what the decoder held back
                    yield packet
            self.ended_by = _ENDED
        except LIBRARY_ERRORS as error:
            self.ended_by = _reason(error)


def _is_finished(container: InputContainer) -> bool:
    """Whether its end is known: a camera's is not. Cameras that send JPEG after JPEG may state any length."""
    return container.format.name != "mpjpeg" and bool(container.size > 0 or container.duration)


def _delays_s() -> Iterator[float]:
    return chain(_BACK_OFF_S, repeat(_BACK_OFF_S[-1]))


def _reason(error: BaseException) -> str:
    """What went wrong, in FFmpeg's or the system's words and without the address, which may hold a password."""
    if isinstance(error, av.error.ExitError):  # how PyAV's timeouts look
        return "no data came in time"
    return getattr(error, "strerror", None) or type(error).__name__
