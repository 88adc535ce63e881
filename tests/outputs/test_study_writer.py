"""Results are whole or absent: interrupted, killed, out of space, twice into the same folder."""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

import streamer.outputs.folder
from streamer.errors import InputError, OutputError
from streamer.outputs import StudyWriter
from streamer.outputs.base import BaseSink
from streamer.outputs.folder import new_folder
from streamer.outputs.schema import read_frames, read_report
from streamer.settings import Settings
from streamer.summaries import StudyReport
from streamer.types import ClipInfo
from tests.outputs.study_example import example_clip, frame_result, nodule, study_report, track


def write_frames(writer: StudyWriter, clip: ClipInfo, frames: int, number: int = 1) -> None:
    writer.start_clip(clip)
    for index in range(frames):
        found = [nodule(number, malignancy=0.75 if index == 4 else 0.3)] if 2 <= index < 12 else []
        writer.write(frame_result(index, *found, clip=clip))


def run(directory: Path, study: StudyReport | None = None, frames: int = 12) -> None:
    with StudyWriter(directory, Settings()) as writer:
        write_frames(writer, example_clip(), frames)
        writer.end_clip(study_report(frames=frames).videos[0])
        writer.write_report(study or study_report(track(), frames=frames))


def break_off(directory: Path, frames: int, error: type[BaseException]) -> None:
    with StudyWriter(directory, Settings()) as writer:
        write_frames(writer, example_clip(), frames)
        raise error


def run_noisy(directory: Path) -> None:
    """Six frames that do not compress."""
    clip = example_clip(width=320, height=240)
    noise = np.random.default_rng(0).integers(0, 255, (240, 320, 3), np.uint8)
    with StudyWriter(directory, Settings()) as writer:
        writer.start_clip(clip)
        for index in range(6):
            result = frame_result(index, nodule(), clip=clip)
            result.frame.image[:] = noise
            writer.write(result)
        writer.write_report(study_report(track(), clips=(clip,), frames=6))


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def frame_count(path: Path) -> int:
    with av.open(path) as container:
        return sum(1 for _ in container.decode(video=0))


def test_one_clip(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    run(out)
    assert names(out) == {"overlay.mp4", "frames.jsonl", "report.json", "report.html", "nodule-001.png"}
    assert frame_count(out / "overlay.mp4") == 12
    assert [line.frame for line in read_frames(out / "frames.jsonl")] == list(range(12))
    report = read_report(out / "report.json")
    assert report.videos[0].overlay == "overlay.mp4"
    assert report.nodules[0].image == "nodule-001.png"
    assert report.complete


def test_several_clips(tmp_path: Path) -> None:
    clips = (example_clip(name="a"), example_clip(name="b", width=65, height=33))
    stages: list[str] = []
    with StudyWriter(tmp_path, Settings(), videos=2, on_stage=lambda name, _: stages.append(name)) as writer:
        for number, clip in enumerate(clips, start=1):
            write_frames(writer, clip, 12, number)
        study = study_report(track(1, video="a"), track(2, video="b", qualifies=False), clips=clips)
        writer.write_report(study)
    assert names(tmp_path) == {
        "overlay-1.mp4", "overlay-2.mp4", "frames.jsonl", "report.json", "report.html", "nodule-001.png"
    }  # fmt: skip
    report = read_report(tmp_path / "report.json")
    assert [video.overlay for video in report.videos] == ["overlay-1.mp4", "overlay-2.mp4"]
    assert [len(video.warnings) for video in report.videos] == [0, 1], "the second has an odd size"
    assert stages.count("draw") == stages.count("encode") == 24


def test_report_without_a_frame(tmp_path: Path) -> None:
    with StudyWriter(tmp_path, Settings()) as writer:
        writer.start_clip(example_clip())
        writer.write_report(study_report(frames=0, complete=False))
    assert names(tmp_path) == {"frames.jsonl", "report.json", "report.html"}
    assert read_report(tmp_path / "report.json").videos[0].overlay is None


@pytest.mark.parametrize("error", [KeyboardInterrupt, ZeroDivisionError])
def test_interrupted_study_leaves_readable_partial_files(tmp_path: Path, error: type[BaseException]) -> None:
    with pytest.raises(error):
        break_off(tmp_path, 9, error)
    assert {"overlay.mp4.partial", "frames.jsonl.partial"} <= names(tmp_path)
    assert all(name.endswith(".partial") for name in names(tmp_path))
    assert frame_count(tmp_path / "overlay.mp4.partial") == 9
    assert len(list(read_frames(tmp_path / "frames.jsonl.partial"))) == 9


def test_interrupted_study_with_a_report_is_a_partial_result(tmp_path: Path) -> None:
    with StudyWriter(tmp_path, Settings()) as writer:
        try:
            write_frames(writer, example_clip(), 9)
            raise KeyboardInterrupt
        except KeyboardInterrupt:
            writer.write_report(study_report(track(), frames=9, complete=False))
    assert frame_count(tmp_path / "overlay.mp4") == 9
    assert not read_report(tmp_path / "report.json").complete
    assert "Partial result" in (tmp_path / "report.html").read_text(encoding="utf-8")


def test_second_run_replaces_the_first(tmp_path: Path) -> None:
    clips = (example_clip(name="a"), example_clip(name="b"))
    with StudyWriter(tmp_path, Settings(), videos=2) as writer:
        for number, clip in enumerate(clips, start=1):
            write_frames(writer, clip, 12, number)
        writer.write_report(study_report(track(1, video="a"), track(2, video="b"), clips=clips))
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "other.mp4.partial").write_text("mine")
    run(tmp_path, study_report(track(qualifies=False), frames=5), frames=5)
    assert names(tmp_path) == {
        "overlay.mp4", "frames.jsonl", "report.json", "report.html", "notes.txt", "other.mp4.partial"
    }  # fmt: skip
    assert frame_count(tmp_path / "overlay.mp4") == 5


@pytest.mark.parametrize("name", ["nodule-007.png", "report.json", "overlay-3.mp4", "frames.jsonl"])
def test_what_no_report_of_ours_lists_is_neither_removed_nor_replaced(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputError, match=f"holds {name}, which no report of an earlier run lists"):
        run(tmp_path)
    assert names(tmp_path) == {name}
    assert (tmp_path / name).read_text() == "mine"


def test_files_of_other_names_stay_beside_the_results(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for _ in range(2):
        run(tmp_path)
        assert (tmp_path / "notes.txt").read_text() == "mine"
        assert "report.json" in names(tmp_path)


def test_a_picture_put_beside_the_results_stays(tmp_path: Path) -> None:
    run(tmp_path)
    before = names(tmp_path)
    (tmp_path / "nodule-007.png").write_text("mine")
    with pytest.raises(OutputError, match=r"nodule-007\.png"):
        run(tmp_path)
    assert names(tmp_path) == before | {"nodule-007.png"}


def test_what_came_while_a_run_went_is_not_replaced(tmp_path: Path) -> None:
    with StudyWriter(tmp_path, Settings()) as writer:
        write_frames(writer, example_clip(), 12)
        (tmp_path / "report.html").write_text("mine")
        with pytest.raises(OutputError, match=r"holds report\.html"):
            writer.write_report(study_report(track(1)))
    assert (tmp_path / "report.html").read_text() == "mine"
    assert not (tmp_path / "report.json").exists()


def test_a_run_killed_while_it_replaced_results_does_not_block_the_next(tmp_path: Path) -> None:
    run(tmp_path)
    (tmp_path / "report.json").rename(tmp_path / "report-before.json.partial")
    (tmp_path / "overlay.mp4").unlink()
    run(tmp_path)
    assert names(tmp_path) == {"overlay.mp4", "frames.jsonl", "report.json", "report.html", "nodule-001.png"}


def test_failed_second_run_leaves_the_first_alone(tmp_path: Path) -> None:
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(OutputError):
        break_off(tmp_path, 5, OutputError)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_two_runs_at_once(tmp_path: Path) -> None:
    with StudyWriter(tmp_path, Settings()), pytest.raises(OutputError, match="another run"):
        run(tmp_path)
    run(tmp_path)


def test_nothing_stays_of_a_study_without_frames(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ZeroDivisionError):
        break_off(out, 0, ZeroDivisionError)
    assert not out.exists()


def test_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("a file")
    for directory in (tmp_path / "out", tmp_path / "out" / "deeper"):
        with pytest.raises(OutputError, match="out") as caught:
            run(directory)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc, where nobody may write")
def test_folder_that_cannot_be_written_to() -> None:
    for directory in (Path("/proc/self"), Path("/proc/self/out")):
        with pytest.raises(OutputError, match="cannot write"):
            run(directory)


@contextmanager
def no_file_larger_than(size: int) -> Iterator[None]:
    """The system refuses to let a file grow: what a full disk looks like to the writer."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("size", [0, 100, 3_000, 20_000, 100_000])
def test_disk_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Overlay, lines, pictures or page: whatever fails first ends in one line, and nothing stays."""
    monkeypatch.setattr(streamer.outputs.folder, "_PROBE_BYTES", 0)
    out = tmp_path / "out"
    with no_file_larger_than(size), pytest.raises(OutputError, match="cannot write") as caught:
        run_noisy(out)
    assert "\n" not in str(caught.value)
    assert not out.exists()


def test_a_disk_without_room_is_found_out_at_once_and_no_file_stays_open(tmp_path: Path) -> None:
    before = sorted(Path("/proc/self/fd").iterdir())
    with no_file_larger_than(1000), pytest.raises(OutputError, match="cannot write"):
        StudyWriter(tmp_path / "out", Settings()).__enter__()
    assert not (tmp_path / "out").exists()
    assert sorted(Path("/proc/self/fd").iterdir()) == before


def test_killed_run_leaves_no_broken_file(tmp_path: Path) -> None:
    run(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    child = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import itertools, sys\n"
            "from pathlib import Path\n"
            "from streamer.outputs import StudyWriter\n"
            "from streamer.settings import Settings\n"
            "from tests.outputs.study_example import example_clip, frame_result, nodule\n"
            "with StudyWriter(Path(sys.argv[1]), Settings()) as writer:\n"
            "    writer.start_clip(example_clip())\n"
            "    for index in itertools.count():\n"
            "        writer.write(frame_result(index, nodule()))\n"
            "        if index == 50: print('running', flush=True)\n",
            str(tmp_path),
        ],
        stdout=subprocess.PIPE,
        cwd=Path(__file__).resolve().parents[2],
    )
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"running\n"
        child.send_signal(signal.SIGKILL)
    partial = {path.name for path in tmp_path.iterdir() if path.name.endswith(".partial")}
    assert partial == {"overlay.mp4.partial", "frames.jsonl.partial"}
    lines = (tmp_path / "frames.jsonl.partial").read_bytes()
    assert lines.endswith(b"\n")
    assert [json.loads(line)["frame"] for line in lines.splitlines()] == list(range(lines.count(b"\n")))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name not in partial} == before
    run(tmp_path)
    assert not any(name.endswith(".partial") for name in names(tmp_path))


def test_write_before_start(tmp_path: Path) -> None:
    with StudyWriter(tmp_path, Settings()) as writer, pytest.raises(RuntimeError, match="start_clip"):
        writer.write(frame_result(0))


def test_runs_started_together_get_folders_of_their_own(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool, ExitStack() as stack:
        claimed = list(pool.map(lambda _: stack.enter_context(new_folder(tmp_path / "results" / "clip")), range(16)))
        assert len(set(claimed)) == 16
        (claimed[0] / "report.json").write_text("{}")
    assert names(tmp_path / "results") == {claimed[0].name}


class FailingSink(BaseSink):
    """Fails where it is closed without a report."""

    def close(self, report: StudyReport | None) -> None:
        raise RuntimeError("not closed")


def test_a_sink_that_fails_does_not_keep_the_folder_locked(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not closed"), StudyWriter(tmp_path, Settings(), sinks=[FailingSink()]):
        pass
    assert names(tmp_path) == set()
    run(tmp_path)
    assert "report.json" in names(tmp_path)


@pytest.mark.parametrize("sink", [3, FailingSink])
def test_what_is_no_sink_is_refused(tmp_path: Path, sink: Any) -> None:
    with pytest.raises(InputError, match="sinks must be objects with start_clip, write, end_clip, abort and close"):
        StudyWriter(tmp_path, Settings(), sinks=[sink])
