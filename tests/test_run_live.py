"""A live run leaves what any run leaves, and says how well it kept up."""

from __future__ import annotations

import threading
from collections import deque
from functools import partial
from pathlib import Path

import jsonschema
import pytest

from streamer.errors import InputError
from streamer.outputs.folder import REPORT_JSON
from streamer.outputs.schema import json_schemas, read_frames, read_report
from streamer.run import run_live
from streamer.sources import open_live
from streamer.sources import stream as live
from streamer.summaries import StudyReport
from tests.cli.command_line import overlay_frames
from tests.fakes import FakeEngine, finding
from tests.live_fakes import GatedEngine, PushedSource, until
from tests.sources.media import write_clip
from tests.sources.sender import Sender, transport_stream


def started(
    source: PushedSource, engine: GatedEngine, output: Path, *, frames: int
) -> tuple[threading.Thread, deque[StudyReport]]:
    """A live run that has analysed so many frames, and where its report will be."""
    studies: deque[StudyReport] = deque()
    run = threading.Thread(
        target=lambda: studies.append(run_live(source.as_source(), output, analyser=engine.as_engine(), patient="Zoë"))
    )
    run.start()
    for index in range(frames):
        source.push()
        assert until(partial(engine.has_been_called, index + 1))
    return run, studies


def test_results_of_a_live_run(tmp_path: Path) -> None:
    source, engine = PushedSource("probe"), GatedEngine(lambda index: (finding(malignancy=index / 100),))
    run, _ = started(source, engine, tmp_path, frames=10)
    engine.shut()
    source.push()
    assert until(lambda: len(engine.calls) == 11)
    source.push(4)
    engine.open()
    assert until(lambda: len(engine.calls) == 12)
    source.close()
    run.join()
    report = read_report(tmp_path / REPORT_JSON)
    jsonschema.validate(report.model_dump(mode="json"), json_schemas()["report-2.json"])
    (video,) = report.videos
    assert (report.complete, video.complete, video.name, video.warnings) == (True, True, "probe", [])
    assert video.live is not None
    assert (video.frames, video.live.dropped_frames) == (12, 3)
    assert 0 < video.live.latency_ms.p50 <= video.live.latency_ms.p95 <= video.live.latency_ms.max
    assert video.duration_s == pytest.approx(15 / 25)
    assert video.fps == pytest.approx(25)
    assert [line.frame for line in read_frames(tmp_path / "frames.jsonl")] == [*range(11), 14]
    assert overlay_frames(tmp_path / "overlay.mp4") == 12
    assert report.nodules[0].key_frame == 14
    assert "3 frames, overtaken by newer ones" in (tmp_path / "report.html").read_text()
    assert not list(tmp_path.glob("*.partial"))


def test_a_live_picture_that_was_seen_briefly_is_no_short_clip(tmp_path: Path) -> None:
    source, engine = PushedSource("probe"), GatedEngine(lambda _: (finding(malignancy=0.9),))
    run, studies = started(source, engine, tmp_path, frames=3)
    source.close()
    run.join()
    assert (studies[0].decision, studies[0].tracks) == ("no nodule", ())


def test_where_nothing_came_earlier_results_are_kept(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=8)
    engine = FakeEngine(delay_s=0.0).as_engine()
    run_live(open_live(clip), tmp_path / "out", analyser=engine)
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    source = open_live(clip, loop=True)
    source.close()
    with pytest.raises(InputError, match="not one frame was analysed"):
        run_live(source, tmp_path / "out", analyser=engine)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_a_repeated_recording_that_is_gone_ends_the_run_and_says_so(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=5)
    source = open_live(clip, loop=True)
    clip.unlink()
    study = run_live(source, tmp_path / "out", analyser=FakeEngine(delay_s=0.0).as_engine())
    assert not study.complete
    assert "it could not be repeated: there is no file or folder clip.mp4" in study.videos[0].warnings
    assert (tmp_path / "out" / REPORT_JSON).exists()


def test_a_recording_played_to_its_end(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=8)
    engine = FakeEngine(delay_s=0.0).as_engine()
    study = run_live(open_live(clip), tmp_path / "out", analyser=engine)
    (video,) = study.videos
    assert (study.complete, video.complete, video.name) == (True, True, "clip.mp4")
    assert video.live is not None
    assert video.frames + video.live.dropped_frames <= 8
    assert video.frames >= 1


def test_a_lost_connection_is_reported_and_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live, "_BACK_OFF_S", (0.05,))
    monkeypatch.setattr(live, "_READ_S", 0.5)
    events: list[str] = []
    with Sender(transport_stream(tmp_path, 45), ["end", "silence"]) as sender:
        source = open_live(f"http://user:secret@127.0.0.1:{sender.port}/live", on_event=events.append)

        def close_once_it_is_back() -> None:
            assert until(lambda: len(events) >= 2)
            source.close()

        closer = threading.Thread(target=close_once_it_is_back)
        closer.start()
        study = run_live(source, tmp_path / "out", analyser=FakeEngine(delay_s=0.0).as_engine())
        closer.join()
    assert not study.complete
    assert study.videos[0].warnings[0].startswith("the connection was lost once")
    for path in (tmp_path / "out").iterdir():
        assert "secret" not in path.name
        assert b"secret" not in path.read_bytes()


def test_a_source_that_breaks_off_leaves_no_report(tmp_path: Path) -> None:
    source = PushedSource()
    threading.Timer(0.05, lambda: source.fail(InputError("unplugged"))).start()
    with pytest.raises(InputError, match="unplugged"):
        run_live(source.as_source(), tmp_path / "out", analyser=GatedEngine().as_engine())
    assert not (tmp_path / "out" / REPORT_JSON).exists()
    assert source.closed
