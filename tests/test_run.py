"""The main job with a stand-in for the networks: folder of results, partial results, names."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
from rich.console import Console

from streamer.cli.run import print_summary
from streamer.errors import ClipGoneError, InputError, OutputError
from streamer.outputs.schema import read_frames, read_report
from streamer.run import STOPPED, UNRELATED, Progress, name_clips, run_study
from streamer.settings import Settings
from streamer.sources import Source
from streamer.sources.base import result_name
from streamer.summaries import ClipSummary, StudyReport
from streamer.types import Finding, FrameResult
from tests.fakes import FakeEngine, finding
from tests.sources.media import write_clip

FRAMES = 20


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4", codec="libx264", frames=FRAMES)


def settings() -> Settings:
    return Settings.model_validate({"tracking": {"scene_cut": 255}})


def run(
    videos: Sequence[Path],
    output: Path,
    *,
    findings: Callable[[int], Sequence[Finding]] = lambda index: (finding(malignancy=index / 100),),
    progress: Progress | None = None,
    stop_after: int | None = None,
) -> StudyReport:
    done = iter(range(1, 1000))
    return run_study(
        videos,
        output,
        analyser=FakeEngine(findings, settings=settings()).as_engine(),
        patient="Zoë",
        progress=progress,
        should_stop=lambda: stop_after is not None and next(done) > stop_after,
    )


def overlay_frames(path: Path) -> int:
    with av.open(str(path)) as container:
        return sum(1 for _ in container.decode(video=0))


def test_the_report_keeps_what_the_backend_has_to_say(clip: Path, tmp_path: Path) -> None:
    engine = FakeEngine(settings=settings())
    engine.backend.warnings = ("fp32 runs instead of int8",)
    study = run_study([clip], tmp_path / "out", analyser=engine.as_engine(), patient="Zoë")
    assert study.warnings == ("fp32 runs instead of int8",)
    assert read_report(tmp_path / "out" / "report.json").warnings == ["fp32 runs instead of int8"]


def test_everything_is_there_and_agrees(clip: Path, tmp_path: Path) -> None:
    study = run([clip], tmp_path / "out")
    names = ["frames.jsonl", "nodule-001.png", "overlay.mp4", "report.html", "report.json"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    lines = list(read_frames(tmp_path / "out" / "frames.jsonl"))
    assert [line.frame for line in lines] == list(range(FRAMES))
    assert {line.video for line in lines} == {"clip.mp4"}
    assert overlay_frames(tmp_path / "out" / "overlay.mp4") == FRAMES
    report = read_report(tmp_path / "out" / "report.json")
    assert (report.patient, report.complete, report.decision) == ("Zoë", True, "benign")
    assert report.patient_malignancy == study.patient_malignancy == 0.19
    assert [(video.frames, video.complete) for video in report.videos] == [(FRAMES, True)]
    assert report.videos[0].duration_s == pytest.approx(FRAMES / 25)
    assert report.videos[0].fps == pytest.approx(25)
    (nodule,) = report.nodules
    assert (nodule.first_frame, nodule.last_frame, nodule.supporting_frames, nodule.key_frame) == (0, 19, 20, 19)
    assert {"decode", "detect", "track", "draw", "encode"} <= set(report.timing.stages_ms)
    assert report.timing.frames_per_second > 0


def test_no_nodule_no_probability(clip: Path, tmp_path: Path) -> None:
    run([clip], tmp_path, findings=lambda _: ())
    report = json.loads((tmp_path / "report.json").read_text())
    assert (report["decision"], report["patient_malignancy"], report["nodules"]) == ("no nodule", None, [])


def test_several_clips_are_one_patient(clip: Path, tmp_path: Path) -> None:
    other = write_clip(tmp_path / "clip.mp4", codec="libx264", frames=6)
    study = run([clip, other, clip], tmp_path / "out")
    assert [video.name for video in study.videos] == ["clip.mp4", "clip.mp4 (2)", "clip.mp4 (3)"]
    assert [(track.track_id, track.video) for track in study.tracks] == list(
        enumerate((v.name for v in study.videos), 1)
    )
    lines = Counter(line.video for line in read_frames(tmp_path / "out" / "frames.jsonl"))
    assert lines == {"clip.mp4": FRAMES, "clip.mp4 (2)": 6, "clip.mp4 (3)": FRAMES}
    for position, frames in ((1, FRAMES), (2, 6), (3, FRAMES)):
        assert overlay_frames(tmp_path / "out" / f"overlay-{position}.mp4") == frames


@pytest.mark.parametrize("frames", [1, 7, FRAMES - 2, FRAMES - 1])
def test_a_stopped_run_leaves_a_valid_partial_result(clip: Path, tmp_path: Path, frames: int) -> None:
    """Also close to the end, where the decoder has finished long ago: what was not analysed is not reported."""
    # Asked once before the clip, then after each frame.
    study = run([clip, clip], tmp_path, stop_after=frames)
    assert not study.complete
    report = read_report(tmp_path / "report.json")
    assert not report.complete
    (video,) = report.videos
    assert (video.frames, video.complete) == (frames, False)
    assert STOPPED in video.warnings
    assert video.duration_s == pytest.approx(frames / 25)
    assert video.fps == pytest.approx(25)
    assert len(list(read_frames(tmp_path / "frames.jsonl"))) == frames
    with av.open(str(tmp_path / "overlay-1.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == frames
        assert container.duration is not None
        assert container.duration / 1e6 == pytest.approx(frames / 25, abs=0.01)
    assert not list(tmp_path.glob("*.partial"))


def test_stopped_between_clips(clip: Path, tmp_path: Path) -> None:
    study = run([clip, clip], tmp_path, stop_after=FRAMES + 1)
    assert [video.complete for video in study.videos] == [True]
    assert not study.complete
    assert study.warnings == ("clip.mp4 (2) was not analysed",)


def test_stopped_before_the_first_frame(clip: Path, tmp_path: Path) -> None:
    run([clip], tmp_path / "out")
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    for folder in (tmp_path / "out", tmp_path / "new"):
        with pytest.raises(InputError, match="not one frame was analysed: nothing is written, and earlier results"):
            run([clip], folder, stop_after=0)
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before
    assert not (tmp_path / "new").exists()


def test_a_clip_that_is_gone_when_its_turn_comes(clip: Path, tmp_path: Path) -> None:
    second = write_clip(tmp_path / "b.mp4", codec="libx264", frames=6)

    class Unplugs(Progress):
        def end_clip(self, summary: ClipSummary) -> None:
            second.unlink()

    with pytest.raises(ClipGoneError, match=r"there is no file or folder b.mp4"):
        run([clip, second, clip], tmp_path / "out", progress=Unplugs())
    report = read_report(tmp_path / "out" / "report.json")
    assert ([video.name for video in report.videos], report.complete) == (["clip.mp4"], False)
    assert report.warnings == ["b.mp4 was not analysed", "clip.mp4 (2) was not analysed"]
    assert "b.mp4 was not analysed" in (tmp_path / "out" / "report.html").read_text()


def test_a_clip_that_breaks_off(clip: Path, tmp_path: Path) -> None:
    broken = write_clip(tmp_path / "broken.mkv", codec="libx264", frames=60, options={"g": "5", "bf": "0"})
    broken.write_bytes(broken.read_bytes()[: int(broken.stat().st_size * 0.6)])
    study = run([broken, clip], tmp_path / "out")
    assert [video.complete for video in study.videos] == [False, True]
    assert 0 < study.videos[0].frames < 60
    assert study.videos[0].warnings
    assert not study.complete
    assert overlay_frames(tmp_path / "out" / "overlay-1.mp4") == study.videos[0].frames


def test_all_clips_are_looked_at_before_the_first_is_analysed(clip: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no file or folder absent\.mp4"):
        run([clip, tmp_path / "absent.mp4"], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_output_that_is_a_file(clip: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for output in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(OutputError):
            run([clip], output)
    assert (tmp_path / "file").read_text() == "mine"


def test_a_clip_is_never_replaced_by_its_own_result(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "overlay.mp4", codec="libx264", frames=6)
    before = clip.read_bytes()
    with pytest.raises(OutputError):
        run([clip], tmp_path)
    assert clip.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.mp4"]


def test_a_link_to_a_result_is_not_replaced_either(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "overlay.mp4", codec="libx264", frames=6)
    (tmp_path / "clip.mp4").symlink_to(clip)
    before = clip.read_bytes()
    with pytest.raises(OutputError, match="would be replaced"):
        run([tmp_path / "clip.mp4"], tmp_path)
    assert clip.read_bytes() == before


def test_results_do_not_go_among_the_stills_they_are_made_of(tmp_path: Path) -> None:
    """Stills may be called what a nodule's picture is called."""
    stills = [tmp_path / f"nodule-{number:03d}.png" for number in range(1, 9)]
    for still in stills:
        cv2.imwrite(str(still), np.full((32, 32), 90, np.uint8))
    with pytest.raises(OutputError, match="have the results among its stills; choose another output folder"):
        run([tmp_path], tmp_path)
    assert sorted(tmp_path.iterdir()) == stills


def test_stills_that_do_not_follow_one_another_are_no_clip(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stills").mkdir()
    for number, level in enumerate((40, 200, 90, 250, 10, 160)):
        cv2.imwrite(str(tmp_path / "stills" / f"{number}.png"), np.full((64, 64), level, np.uint8))
    engine = FakeEngine(lambda _: (finding(malignancy=0.9),), settings=Settings())
    report = run_study([tmp_path / "stills"], tmp_path / "out", analyser=engine.as_engine())
    assert UNRELATED in report.videos[0].warnings
    assert report.decision == "no nodule"
    print_summary(Console(), report, tmp_path / "out")
    assert "6 brief findings did not last long enough to count" in capsys.readouterr().out


def test_the_summary_fits_a_terminal_of_80_columns_and_keeps_names_whole(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = tmp_path / "cine-077.mp4"
    shutil.copy(clip, named)
    report = run([named], tmp_path / "out")
    print_summary(Console(width=80), report, tmp_path / "out")
    said = capsys.readouterr().out
    for text in ("cine-077.mp4", "threshold", "key frame", "axes"):
        assert text in said
    assert "\N{HORIZONTAL ELLIPSIS}" not in said


@pytest.mark.parametrize(
    ("malignancy", "said", "page"),
    [
        (0.2, "0.20, threshold 0.50", "20.0"),
        (0.4996, "0.4996, threshold 0.5000", "49.96"),
        (0.5, "0.50, threshold 0.50", "50.0"),
    ],
)
def test_a_value_next_to_the_threshold_is_seen_on_its_side(
    clip: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], malignancy: float, said: str, page: str
) -> None:
    report = run([clip], tmp_path, findings=lambda _: (finding(malignancy=malignancy),))
    assert report.threshold == 0.5
    print_summary(Console(width=200), report, tmp_path)
    assert f"(maximum {said})" in capsys.readouterr().out
    assert f"maximum of {page}&nbsp;%" in (tmp_path / "report.html").read_text()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clip.mp4", "clip"),
        ("1.2.840.113619.2.55.1", "1.2.840.113619.2.55.1"),
        ("1.2.840.113619.2.55.1/..", "scans"),
        ("...mp4", "clip"),  # ".." would be the folder above
    ],
)
def test_results_are_called_after_the_whole_name_of_a_folder(tmp_path: Path, name: str, expected: str) -> None:
    (tmp_path / "scans" / "1.2.840.113619.2.55.1").mkdir(parents=True)
    assert result_name(tmp_path / "scans" / name) == expected


def test_progress_is_told(clip: Path, tmp_path: Path) -> None:
    class Log(Progress):
        def __init__(self) -> None:
            self.told: list[str] = []

        def start_clip(self, source: Source) -> None:
            self.told.append(f"start {source.info.name}")

        def frame(self, result: FrameResult) -> None:
            self.told.append(str(result.frame.index))

        def end_clip(self, summary: ClipSummary) -> None:
            self.told.append(f"end {summary.frames}")

    log = Log()
    run([clip], tmp_path, progress=log)
    assert log.told == ["start clip.mp4", *map(str, range(FRAMES)), f"end {FRAMES}"]


@pytest.mark.parametrize(
    "name", ["Schilddrüse - links №1.mp4", "甲状腺.mp4", "two\nlines.mp4", "[bold]x[red].mp4", "100%.mp4"]
)
def test_any_file_name(clip: Path, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(clip.read_bytes())
    run([tmp_path / name], tmp_path / "out")
    report = read_report(tmp_path / "out" / "report.json")
    assert report.videos[0].name == name.replace("\n", "?")
    assert report.complete


def test_a_file_name_that_is_not_text(clip: Path, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    path.write_bytes(clip.read_bytes())
    run([path], tmp_path / "out")
    assert read_report(tmp_path / "out" / "report.json").videos[0].name == "caf?.mp4"


def test_names_are_unique_whatever_the_files_are_called() -> None:
    clips = name_clips(["a/x.mp4", "b/x.mp4", "c/x.mp4 (2)", "d/x.mp4", "e/y\x07.mp4", "f/y?.mp4"])
    assert [clip.name for clip in clips] == ["x.mp4", "x.mp4 (2)", "x.mp4 (2) (2)", "x.mp4 (3)", "y?.mp4", "y?.mp4 (2)"]
    assert [str(clip.path) for clip in clips][:2] == ["a/x.mp4", "b/x.mp4"]


def test_a_folder_given_as_dot_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "stills").mkdir()
    monkeypatch.chdir(tmp_path / "stills")
    assert [clip.name for clip in name_clips(["."])] == ["stills"]
