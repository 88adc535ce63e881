"""Streams that are lost, fall silent and come back; and addresses that keep their passwords to themselves."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from itertools import count, pairwise
from pathlib import Path

import cv2
import pytest

from streamer.errors import InputError
from streamer.sources import Source, open_live
from streamer.sources import stream as live
from streamer.sources._url import url_address
from streamer.types import Frame
from tests.live_fakes import until
from tests.sources.media import numbered_image, read_number, write_clip
from tests.sources.sender import Fate, RtspSender, Sender, transport_stream

FRAMES = 45
SHOWN = FRAMES - 3
"""Pictures that can be shown without what follows: the parser waits for the next one's beginning, the decoder for one
more, as pictures may be reordered."""


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_READ_S", 0.5)
    monkeypatch.setattr(live, "_BACK_OFF_S", (0.05, 0.1))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return transport_stream(tmp_path_factory.mktemp("sender"), FRAMES)


class Reader:
    """Reads a source on a thread of its own."""

    def __init__(self, source: Source) -> None:
        self.frames: list[Frame] = []
        self._source = source
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        self.frames.extend(self._source.frames())

    def close(self) -> None:
        self._source.close()
        self._thread.join(20)
        assert not self._thread.is_alive()


def runs(numbers: list[int]) -> Iterator[list[int]]:
    """Split where counting starts again."""
    starts = [0, *(place for place, (one, other) in enumerate(pairwise(numbers), 1) if other < one), len(numbers)]
    return (numbers[start:end] for start, end in pairwise(starts))


@pytest.mark.parametrize(("fate", "reason"), [("end", ""), ("silence", "no data came in time")])
def test_a_lost_stream_comes_back(data: bytes, fate: Fate, reason: str) -> None:
    events: list[str] = []
    with Sender(data, [fate, fate, "silence"]) as sender:
        source = open_live(f"http://user:secret@127.0.0.1:{sender.port}/live?token=secret", on_event=events.append)
        assert (source.live, source.info.name) == (True, f"http://127.0.0.1:{sender.port}/live")
        assert (source.info.width, source.info.height, source.info.fps) == (96, 64, 25.0)
        reader = Reader(source)
        # A connection that ends may give its last pictures, too: the number of frames alone does not say who sent them.
        assert until(lambda: len(reader.frames) >= 3 * SHOWN and read_number(reader.frames[-1].image) >= SHOWN - 1)
        reader.close()
        assert sender.requests == ["GET /live?token=secret HTTP/1.1"] * 3
    frames = reader.frames
    assert [frame.index for frame in frames] == list(range(len(frames)))
    for run in runs([read_number(frame.image) for frame in frames]):
        assert run[:SHOWN] == list(range(SHOWN))
    times = [frame.time_s for frame in frames]
    assert all(one < other for one, other in pairwise(times))
    assert all(frame.arrived_s is not None and frame.arrived_s <= time.perf_counter() for frame in frames)
    lost = [event for event in events if "lost" in event]
    assert len(lost) >= 2
    assert all(event.startswith(f"connection lost ({reason}") for event in lost)
    assert [event.split(" after ")[0] for event in events if "lost" not in event] == ["connected again"] * 2
    assert not source.complete
    (warning,) = source.warnings
    assert warning.startswith("the connection was lost ")
    assert "secret" not in " ".join((*events, *source.warnings, source.info.name, repr(source), repr(vars(source))))


@pytest.mark.parametrize("fate", ["end", "silence"])
def test_a_lost_rtsp_camera_comes_back(tmp_path: Path, fate: Fate) -> None:
    events: list[str] = []
    data = transport_stream(tmp_path, 170)  # enough for FFmpeg to look at before it shows a picture
    with RtspSender(data, [fate, "silence"]) as sender:
        source = open_live(f"rtsp://127.0.0.1:{sender.port}/camera", on_event=events.append)
        reader = Reader(source)
        assert until(lambda: any("connected again" in event for event in events))
        came = len(reader.frames)
        assert until(lambda: len(reader.frames) > came + SHOWN // 2)
        reader.close()
    assert [request.split()[0] for request in sender.requests if request.startswith("PLAY")] == ["PLAY"] * 2
    assert [frame.index for frame in reader.frames] == list(range(len(reader.frames)))
    assert all(one.time_s < other.time_s for one, other in pairwise(reader.frames))
    first = [read_number(frame.image) for frame in reader.frames[: SHOWN // 2]]
    assert first == list(range(first[0], first[0] + len(first)))
    assert events[0].startswith("connection lost")
    assert not source.complete


def test_a_sender_that_is_gone_is_waited_for_and_closing_ends_that(data: bytes) -> None:
    events: list[str] = []
    with Sender(data, ["end"]) as sender:
        source = open_live(f"http://127.0.0.1:{sender.port}/", on_event=events.append)
        reader = Reader(source)
        assert until(lambda: len(events) == 1)
        time.sleep(0.2)
        reader.close()
    assert len(events) == 1
    assert not source.complete


def test_closed_while_all_is_well(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_READ_S", 3.0)
    with Sender(data, ["silence"]) as sender, open_live(f"http://127.0.0.1:{sender.port}/") as source:
        reader = Reader(source)
        assert until(lambda: len(reader.frames) >= SHOWN)
        reader.close()
        assert source.complete
        assert source.warnings == ()
        assert list(source.frames()) == []


@pytest.mark.parametrize("codec", ["mpeg2video", "mpeg4", "libx264"])
def test_reordered_pictures_come_in_the_order_of_their_times(tmp_path: Path, codec: str) -> None:
    path = write_clip(tmp_path / "a.ts", codec=codec, container="mpegts", frames=FRAMES, options={"bf": "2"})
    with Sender(path.read_bytes(), ["end"]) as sender:
        source = open_live(f"http://127.0.0.1:{sender.port}/")
        reader = Reader(source)
        assert until(lambda: len(reader.frames) >= FRAMES // 2)
        reader.close()
    numbers = [read_number(frame.image) for frame in reader.frames]
    assert numbers == sorted(numbers)
    assert [later.time_s - frame.time_s for frame, later in pairwise(reader.frames)] == pytest.approx(
        [(later - number) / 25 for number, later in pairwise(numbers)], abs=1e-4
    )


class SlowSender(Sender):
    """Sends in pieces, one every 50 ms."""

    def _send(self, connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.0 200 OK\r\nConnection: close\r\n\r\n")
        for start in range(0, len(self._data), 400):
            connection.sendall(self._data[start : start + 400])
            time.sleep(0.05)


def test_pictures_without_times_have_that_of_their_arrival(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.h264", codec="libx264", container="h264", frames=FRAMES, options={"bf": "0", "crf": "10"}
    )
    with SlowSender(path.read_bytes(), ["end"]) as sender:
        source = open_live(f"http://127.0.0.1:{sender.port}/")
        reader = Reader(source)
        assert until(lambda: len(reader.frames) >= FRAMES // 2)
        reader.close()
    assert source.warnings[-1] == "the pictures carry no times: each has the time at which it came"
    assert all(one.time_s < other.time_s for one, other in pairwise(reader.frames))
    arrived_s = [frame.arrived_s for frame in reader.frames if frame.arrived_s is not None]
    span_s = reader.frames[-1].time_s - reader.frames[0].time_s
    assert span_s == pytest.approx(arrived_s[-1] - arrived_s[0], abs=0.1)


def test_jpeg_after_jpeg_has_the_times_of_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """As most cameras send by HTTP; FFmpeg takes them to be 25 a second. Here a second passes between any two looks."""
    seconds = count(1000.0)
    monkeypatch.setattr("streamer.sources.stream.perf_counter", lambda: next(seconds))
    pictures = [cv2.imencode(".jpg", numbered_image(number))[1].tobytes() for number in range(12)]

    class Camera(Sender):
        def _send(self, connection: socket.socket) -> None:
            connection.recv(4096)
            connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Type: multipart/x-mixed-replace; boundary=frame\r\n\r\n")
            for picture in pictures:
                head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(picture)}\r\n\r\n"
                connection.sendall(head.encode() + picture + b"\r\n")

    with Camera(b"", ["silence"]) as sender:
        source = open_live(f"http://127.0.0.1:{sender.port}/")
        reader = Reader(source)
        assert until(lambda: len(reader.frames) >= 10)
        reader.close()
    assert source.warnings[-1] == "the pictures carry no times: each has the time at which it came"
    arrived_s = [frame.arrived_s for frame in reader.frames if frame.arrived_s is not None]
    assert [frame.time_s for frame in reader.frames] == [one_s - arrived_s[0] for one_s in arrived_s]
    assert all(later_s - one_s >= 1 for one_s, later_s in pairwise(arrived_s))


def test_the_size_is_that_of_the_upright_picture(tmp_path: Path) -> None:
    path = write_clip(
        tmp_path / "a.mp4", codec="libx264", frames=FRAMES, rotation_deg=90,
        container_options={"movflags": "frag_keyframe+empty_moov"},
    )  # fmt: skip
    with Sender(path.read_bytes(), ["end"]) as sender:
        source = open_live(f"http://127.0.0.1:{sender.port}/")
        reader = Reader(source)
        assert until(lambda: len(reader.frames) > 0)
        reader.close()
    assert reader.frames[0].image.shape == (96, 64, 3)
    assert (source.info.width, source.info.height) == (64, 96)


@pytest.mark.parametrize("scheme", ["rtsp", "http", "tcp"])
def test_nobody_there(scheme: str) -> None:
    with pytest.raises(InputError) as caught:
        open_live(f"{scheme}://user:secret@127.0.0.1:1/x?password=secret")
    assert str(caught.value) == f"{scheme}://127.0.0.1:1/x cannot be opened: Connection refused"
    assert caught.value.__suppress_context__


def test_no_video(tmp_path: Path) -> None:
    with (
        Sender(b"plain text\n" * 500, ["end", "end"]) as sender,
        pytest.raises(InputError, match=f"http://127.0.0.1:{sender.port}/ cannot be opened"),
    ):
        open_live(f"http://127.0.0.1:{sender.port}/")


def test_no_device() -> None:
    with pytest.raises(InputError, match="video99 cannot be opened: No such file or directory"):
        open_live("/dev/video99")


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("file:///etc/passwd", "file addresses are not read: use rtsp"),
        ("concat://user:secret@a", "concat addresses are not read"),
        ("rtsp://user:secret@host:port/", "not a valid URL"),
        ("rtsp://admin:12#secret@host/live", "write #, [?] and / in a password as %23"),
        ("rtsp://admin:/secret@host/live", "write #, [?] and / in a password as %23"),
    ],
)
def test_addresses_that_are_not_opened(url: str, complaint: str) -> None:
    with pytest.raises(InputError, match=complaint) as caught:
        open_live(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("rtsp://admin:p%40ss@10.0.0.7:554/cam/1", "rtsp://10.0.0.7:554/cam/1"),
        ("http://cam/user=admin&password=secret.sdp", "http://cam"),
        ("http://cam/video?user=admin&pwd=secret#secret", "http://cam/video"),
        ("udp://@:5000", "udp://:5000"),
        ("RTSP://Host/a", "rtsp://host/a"),
    ],
)
def test_what_is_shown_of_an_address(url: str, name: str) -> None:
    address = url_address(url)
    scheme, _, rest = url.partition(":")
    assert (address.name, address.location) == (name, f"{scheme.lower()}:{rest}")
    assert "secret" not in repr(address)


def test_only_a_recording_can_be_repeated() -> None:
    for uri in ("http://127.0.0.1:1/", "/dev/video0"):
        with pytest.raises(InputError, match="only a recording can be repeated"):
            open_live(uri, loop=True)


def test_a_recording_is_played_at_its_pace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a clock that only waiting moves: each frame comes when the clock shows its time."""
    clip = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=12, rate=50)
    now_s = 0.0

    def wait(seconds: float) -> bool:
        nonlocal now_s
        now_s += seconds
        return False

    monkeypatch.setattr("streamer.sources.replay.perf_counter", lambda: now_s)
    with open_live(clip) as source:
        monkeypatch.setattr(source._closed, "wait", wait)  # type: ignore[attr-defined]
        came_s = [(frame, now_s) for frame in source.frames()]
        frames = [frame for frame, _ in came_s]
        assert [at_s for _, at_s in came_s] == pytest.approx([number / 50 for number in range(12)])
        assert [read_number(frame.image) for frame in frames] == list(range(12))
        assert source.live
        assert source.complete
        assert source.duration_s == pytest.approx(12 / 50)
    first_s = frames[0].arrived_s
    assert first_s is not None
    for frame in frames:
        assert frame.arrived_s is not None
        assert frame.arrived_s - first_s == pytest.approx(frame.time_s, abs=1e-6)


def test_a_recording_is_repeated_until_closed(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=5, rate=100)
    source = open_live(clip, loop=True)
    reader = Reader(source)
    assert until(lambda: len(reader.frames) >= 13)
    reader.close()
    frames = reader.frames
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert [read_number(frame.image) for frame in frames] == [index % 5 for index in range(len(frames))]
    assert [frame.time_s for frame in frames] == pytest.approx([index / 100 for index in range(len(frames))])
    assert source.complete


@pytest.mark.parametrize("path", ["absent.mp4", "x" * 5000, "a\0b"])
def test_no_recording(path: str) -> None:
    with pytest.raises(InputError):
        open_live(path)
