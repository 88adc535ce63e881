"""A finished file that a web server holds, given as a live source: played once, and no camera that was lost."""

import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from PIL import Image as PillowImage

from streamer.errors import InputError
from streamer.sources import open_live
from tests.sources.media import read_number, write_clip


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _served(folder: Path, handler: type[SimpleHTTPRequestHandler] = _Quiet) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "codec", "container_options"),
    [
        ("a.mp4", "libx264", {"movflags": "faststart"}),
        ("a.mkv", "libx264", {}),
        ("a.ts", "mpeg2video", {}),
    ],
)
def test_it_is_played_once_at_its_own_pace(
    tmp_path: Path, name: str, codec: str, container_options: dict[str, str]
) -> None:
    write_clip(tmp_path / name, codec=codec, container_options=container_options)
    events: list[str] = []
    with _served(tmp_path) as url, open_live(f"{url}/{name}", on_event=events.append) as source:
        frames = list(source.frames())
        assert (source.complete, source.warnings, events) == (True, (), [])
    assert [read_number(frame.image) for frame in frames] == list(range(12))
    arrived_s = [frame.arrived_s or 0.0 for frame in frames]
    assert arrived_s[-1] - arrived_s[0] == pytest.approx(11 / 25, abs=0.02)


def _index_far_behind(path: Path) -> Path:
    """A clip whose index follows its frames at a distance that no buffer spans."""
    data = write_clip(path, codec="libx264").read_bytes()
    at, gap = data.rindex(b"moov") - 4, 1_000_000
    path.write_bytes(data[:at] + struct.pack(">I", 8 + gap) + b"free" + bytes(gap) + data[at:])
    return path


def test_a_server_that_sends_no_parts_of_a_file(tmp_path: Path) -> None:
    _index_far_behind(tmp_path / "a.mp4")
    with _served(tmp_path) as url, open_live(f"{url}/a.mp4") as source:
        assert [read_number(frame.image) for frame in source.frames()] == list(range(12))
        assert (source.complete, source.warnings) == (True, ())


class _Parts(_Quiet):
    """Sends parts of a file, over a connection that it closes without having said so."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = Path(self.translate_path(self.path)).read_bytes()
        start = int(self.headers.get("Range", "bytes=0-").split("=")[1].split("-")[0])
        self.send_response(206)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        with suppress(OSError):  # FFmpeg goes elsewhere
            self.wfile.write(data[start:])

    def handle(self) -> None:
        with suppress(OSError):
            super().handle()


def test_a_server_that_sends_parts_of_a_file(tmp_path: Path) -> None:
    # Each picture is larger than what FFmpeg keeps in memory of a file, 32 KiB.
    write_clip(tmp_path / "a.mov", codec="rawvideo", pix_fmt="rgb24", size_wh=(192, 128))
    with _served(tmp_path, _Parts) as url, open_live(f"{url}/a.mov") as source:
        assert [read_number(frame.image) for frame in source.frames()] == list(range(12))
        assert (source.complete, source.warnings) == (True, ())


class _NoLength(_Quiet):
    """Says neither how long a file is nor that it sends parts."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(Path(self.translate_path(self.path)).read_bytes())


def test_a_file_of_unknown_length_is_whole_with_its_last_frame(tmp_path: Path) -> None:
    options = {"movflags": "faststart"}
    write_clip(tmp_path / "a.mp4", codec="mpeg4", frames=30, options={"b": "20000000"}, container_options=options)
    with _served(tmp_path, _NoLength) as url, open_live(f"{url}/a.mp4") as source:
        assert sum(1 for _ in source.frames()) == 30
        assert (source.complete, source.warnings) == (True, ())


@pytest.mark.parametrize("content", [b"<html>please log in</html>", b"#EXTM3U\n#EXTINF:1,\na.ts\n", b"still"])
def test_what_is_no_video_is_named(tmp_path: Path, content: bytes) -> None:
    if content == b"still":
        PillowImage.new("RGB", (64, 48)).save(tmp_path / "a", "JPEG")
    else:
        (tmp_path / "a").write_bytes(content)
    with _served(tmp_path) as url, pytest.raises(InputError, match=r"/a cannot be opened: the server sends no video"):
        open_live(f"{url}/a")


def test_one_that_breaks_off_is_incomplete(tmp_path: Path) -> None:
    clip = write_clip(
        tmp_path / "a.mp4", codec="libx264", options={"g": "3"}, container_options={"movflags": "faststart"}
    )
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) * 8 // 10])
    with _served(tmp_path) as url, open_live(f"{url}/a.mp4") as source:
        frames = list(source.frames())
        assert 0 < len(frames) < 12
        assert not source.complete
        assert any("the file breaks off" in line for line in source.warnings)


def test_a_login_and_a_failing_server(tmp_path: Path) -> None:
    _index_far_behind(tmp_path / "a.mp4")
    seen: list[str | None] = []

    class Guarded(_Quiet):
        def do_GET(self) -> None:
            seen.append(self.headers["Authorization"])
            if len(seen) == 1:
                super().do_GET()
            else:
                self.send_error(503)

    with _served(tmp_path, Guarded) as url, open_live(f"{url.replace('//', '//me:a%40b@')}/a.mp4") as source:
        assert list(source.frames()) == []
        assert not source.complete
        assert any("the file breaks off" in line for line in source.warnings)
    assert seen[-1] == "Basic bWU6YUBi"
