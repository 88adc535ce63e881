"""What was done is not done again, whatever happened in between; no row is lost or doubled."""

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from streamer.archive import run as run_module
from streamer.archive.clips import ClipTask, Failure, Outcome
from streamer.archive.executor import ClaimClip
from streamer.archive.index import DoneIndex, Wanted
from streamer.archive.keys import analysis_id
from streamer.archive.listing import list_clips
from streamer.archive.plan import make_plan
from streamer.archive.report import write_report
from streamer.archive.run import ArchiveRun
from streamer.archive.store import Store
from streamer.archive.target import Target
from streamer.errors import InputError, OutputError
from streamer.settings import Settings
from tests.archive.conftest import Archive


def _later(path: Path) -> None:
    times = path.stat()
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns + 10**9))


def test_every_clip_has_one_row_and_a_second_run_does_nothing(archive: Archive) -> None:
    for number in range(3):
        archive.add(f"{number}.mp4", f"good {number + 1}")
    counts = archive.run()
    assert (counts.listed, counts.finished, counts.frames) == (3, 3, 6)
    again = archive.run()
    assert (again.done_before, again.finished, archive.workers) == (3, 0, [])
    assert sorted(Path(row["uri"]).name for row in archive.rows("clips")) == ["0.mp4", "1.mp4", "2.mp4"]
    assert len(archive.rows("nodules")) == 3


def test_a_new_clip_is_added(archive: Archive) -> None:
    archive.add("a.mp4", "good 1")
    archive.run()
    archive.add("b.mp4", "good 2")
    archive.run()
    assert archive.analysed == ["b.mp4"]


def test_the_same_bytes_with_another_time_are_read_but_not_analysed(archive: Archive) -> None:
    path = archive.add("a.mp4", "good 1")
    archive.run()
    _later(path)
    archive.run()
    assert archive.analysed == []
    assert len(archive.workers) == 1, "the file had to be read"
    archive.run()
    assert archive.workers == [], "its new time was noted"


def test_a_changed_clip_takes_the_place_of_the_old_one(archive: Archive) -> None:
    path = archive.add("a.mp4", "good 1")
    archive.add("b.mp4", "good 2")
    archive.run()
    path.write_text("good 7")
    _later(path)
    archive.run()
    assert archive.analysed == ["a.mp4"]
    assert archive.clip("a.mp4")["frames"] == 7
    keys = [sorted(row["key"] for row in archive.rows(table)) for table in ("nodules", "clips")]
    assert keys[0] == keys[1], "the nodules of the old bytes are gone"


def test_verify_notices_a_change_that_kept_time_and_size(archive: Archive) -> None:
    path = archive.add("a.mp4", "good 1")
    archive.run()
    times = path.stat()
    path.write_text("good 2")
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    archive.run()
    assert archive.clip("a.mp4")["frames"] == 1
    archive.run(wanted=Wanted(verify=True))
    assert archive.clip("a.mp4")["frames"] == 2


def test_the_same_content_under_two_names_is_analysed_once(archive: Archive) -> None:
    archive.add("a.mp4", "good 3")
    archive.add("b.mp4", "good 3")
    counts = archive.run()
    assert (archive.analysed, counts.duplicates) == (["a.mp4"], 1)
    first, second = archive.clip("a.mp4"), archive.clip("b.mp4")
    assert (first["status"], second["status"], second["frames"]) == ("analysed", "duplicate", None)
    assert first["key"] == second["key"]
    assert len(archive.rows("nodules")) == 1


def test_other_weights_are_another_analysis_and_the_old_rows_stay(archive: Archive) -> None:
    archive.add("a.mp4", "good 1")
    archive.run()
    other = Settings.model_validate({"study": {"min_track_frames": 2}})
    archive.run(settings=other)
    assert archive.analysed == ["a.mp4"]
    assert len(archive.rows("clips")) == len(archive.rows("clips", settings=other)) == 1
    archive.run()
    assert archive.analysed == [], "back to the first settings, nothing is to be done"


def test_settings_that_change_no_result_redo_nothing(archive: Archive) -> None:
    archive.add("a.mp4", "good 1")
    archive.run()
    archive.run(settings=Settings.model_validate({"overlay": {"boxes": False}}))
    assert archive.analysed == []


def test_frames_are_added_to_what_was_done_without_them(archive: Archive) -> None:
    archive.add("a.mp4", "good 3")
    archive.add("b.mp4", "good 3")
    archive.run()
    archive.run(wanted=Wanted(frames=True))
    assert archive.analysed == ["a.mp4"]
    assert len(archive.rows("frames")) == 3
    assert len(archive.rows("nodules")) == 1
    assert len(archive.rows("clips")) == 2
    archive.run(wanted=Wanted(frames=True))
    assert archive.analysed == []


def test_a_damaged_clip_is_named_and_not_tried_again(archive: Archive) -> None:
    archive.add("a.mp4", "bad")
    assert archive.run().failures == {"input": 1}
    row = archive.clip("a.mp4")
    assert (row["status"], row["failure"], row["reason"]) == ("failed", "input", "a.mp4 is damaged")
    archive.run(wanted=Wanted(retry_failed=True))
    assert archive.workers == [], "the same bytes would fail in the same way"


def test_a_file_that_could_not_be_had_is_tried_by_the_next_run(archive: Archive) -> None:
    path = archive.add("a.mp4", "gone")
    archive.run()
    assert archive.clip("a.mp4")["failure"] == "fetch"
    path.write_text("good 2")
    archive.run()
    assert archive.clip("a.mp4")["status"] == "analysed"


def test_a_storage_that_vanishes_ends_the_run_and_loses_nothing(archive: Archive) -> None:
    archive.add("0.mp4", "good 1")
    for number in range(1, 40):
        archive.add(f"{number}.mp4", f"gone {number}")
    with pytest.raises(InputError, match="is the storage gone"):
        archive.run()
    assert archive.clip("0.mp4")["status"] == "analysed"


def test_a_content_that_fails_fails_under_every_name(archive: Archive) -> None:
    archive.add("a.mp4", "bad")
    archive.add("b.mp4", "bad")
    archive.run()
    assert {row["status"] for row in archive.rows("clips")} == {"failed"}


def test_ctrl_c_ends_after_the_clip_that_has_begun(archive: Archive) -> None:
    for number in range(5):
        archive.add(f"{number}.mp4", f"good {number}")
    answers = iter([False, False, True])
    counts = archive.run(should_stop=lambda: next(answers, True))
    assert (counts.finished, counts.stopped) == (2, True)
    archive.run()
    assert archive.analysed == ["2.mp4", "3.mp4", "4.mp4"]


class _TriesTwice:
    """An executor whose process dies at each attempt."""

    frames_done = 0

    def run(self, tasks: Iterable[ClipTask], claim: ClaimClip) -> Iterator[Outcome | None]:
        for task in tasks:
            claims = [claim(task, "digest of its bytes") for _ in range(2)]
            assert [one.analyse for one in claims] == [True, True]
            yield Outcome(task=task, key=claims[0].key, failure=Failure(kind="crash", reason="it died"), attempts=2)


def test_a_second_attempt_is_no_duplicate_of_the_first(archive: Archive) -> None:
    path = archive.add("a.mp4", "die")
    store = Store(Target(archive.output), "x")
    run = ArchiveRun(Target(archive.output), store, store.open(), analysis="x")
    with closing(make_plan(list_clips(str(path)), DoneIndex(), Wanted())) as plan:
        counts = run.run(plan, _TriesTwice())
    assert counts.failures == {"crash": 1}
    (part,) = store.parts("clips")
    assert store.read("clips", part)["status"].to_pylist() == ["failed"]


class _DiskFullError(Exception):
    """Stands for a kill at this very write."""


@pytest.mark.parametrize("killed_at", range(14))
def test_a_kill_at_any_write_is_mended_by_the_next_run(
    archive: Archive, monkeypatch: pytest.MonkeyPatch, killed_at: int
) -> None:
    first = archive.add("a.mp4", "good 1")
    for name in ("b", "c"):
        archive.add(f"{name}.mp4", f"good {ord(name)}")
    archive.run(wanted=Wanted(frames=True))
    first.write_text("good 9")
    _later(first)
    archive.add("d.mp4", "good 4")
    writes = 0

    def counting(own: Any) -> Any:
        def write(self: Target, *arguments: Any) -> Any:
            nonlocal writes
            writes += 1
            if writes > killed_at:
                raise _DiskFullError
            return own(self, *arguments)

        return write

    with monkeypatch.context() as patch:
        patch.setattr(Target, "write", counting(Target.write))
        patch.setattr(Target, "remove", counting(Target.remove))
        with suppress(_DiskFullError):
            archive.run(wanted=Wanted(frames=True))
    archive.run(wanted=Wanted(frames=True))
    clips = {Path(row["uri"]).name: row for row in archive.rows("clips")}
    assert {name: row["frames"] for name, row in clips.items()} == {"a.mp4": 9, "b.mp4": 98, "c.mp4": 99, "d.mp4": 4}
    assert len(archive.rows("clips")) == 4
    keys = {row["key"] for row in clips.values()}
    assert Counter(row["key"] for row in archive.rows("nodules")) == Counter(keys)
    frames = Counter(row["key"] for row in archive.rows("frames"))
    assert frames == {row["key"]: row["frames"] for row in clips.values()}


def test_a_full_disk_is_one_line_and_the_next_run_goes_on(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.add("a.mp4", "good 1")
    with monkeypatch.context() as patch:

        def full(*_: object, **__: object) -> None:
            raise OutputError("cannot write: No space left on device")

        patch.setattr(Store, "commit", full)
        with pytest.raises(OutputError, match="No space left"):
            archive.run()
    archive.run()
    assert archive.clip("a.mp4")["status"] == "analysed"


def test_two_runs_at_once_are_refused(archive: Archive) -> None:
    archive.add("a.mp4", "good 1")
    archive.run()
    with Store(Target(archive.output), "x").locked(), pytest.raises(OutputError, match="another run"):
        archive.run()


def test_pictures_are_those_of_the_lowest_keys_and_can_be_left_out(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_module, "PICTURES", 3)
    for number in range(12):
        archive.add(f"{number}.mp4", f"good {number + 1}")
    archive.run(pictures=False)
    assert not (archive.output / "pictures").exists()
    archive.run(wanted=Wanted(frames=True))
    keys = sorted(row["key"] for row in archive.rows("clips"))
    kept = sorted(path.stem for path in (archive.output / "pictures").rglob("*.jpg"))
    assert kept == keys[:3]


def test_a_query_of_the_nodules_finds_a_table_where_there_is_none(archive: Archive) -> None:
    archive.add("broken.mp4", "bad")
    clip = archive.add("a.mp4", "good 1")
    archive.run()
    for content in ("good 2", "bad too"):
        clip.write_text(content)
        _later(clip)
        archive.run()
    store = Store(Target(archive.output), analysis_id(archive.options.settings))
    tables = [store.read("nodules", part) for part in store.parts("nodules")]
    assert tables
    assert sum(table.num_rows for table in tables) == 0
    assert "malignancy_max" in tables[0].column_names


@pytest.mark.parametrize("content", ["[]", '{"streams": 3}', "words"])
def test_somebody_elses_file_is_refused_and_kept(archive: Archive, content: str) -> None:
    archive.add("a.mp4", "good 1")
    archive.output.mkdir()
    (archive.output / "archive.json").write_text(content)
    with pytest.raises(InputError, match="not of streamer; choose another --output"):
        archive.run()
    assert [path.name for path in archive.output.iterdir() if not path.name.startswith(".")] == ["archive.json"]
    assert (archive.output / "archive.json").read_text() == content


def test_an_empty_archive_is_refused(archive: Archive) -> None:
    archive.add("notes.txt", "no clip")
    with pytest.raises(InputError, match="there is no clip in"):
        archive.run()


def test_in_a_bucket_the_page_and_the_errors_are_named_by_their_url(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.add("a.mp4", "good 1")
    archive.run(output="memory://bucket/out")
    assert write_report("memory://bucket/out") == "memory:///bucket/out/report.html"

    def refused(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(MemoryFileSystem, "pipe_file", refused)
    with pytest.raises(OutputError, match=r"cannot write memory:///bucket/out/report\.html: Permission denied"):
        write_report("memory://bucket/out")
