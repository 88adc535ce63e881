"""A finished file that a web server holds, given as a live source: played once, and no camera that was lost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from streamer.sources import open_live
from tests.sources.media import read_number, write_clip


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def _served(folder: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("name", "codec", "container_options"),
    [("a.mp4", "libx264", {"movflags": "faststart"}), ("a.mkv", "libx264", {}), ("a.ts", "mpeg2video", {})],
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
