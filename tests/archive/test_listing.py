"""What is taken for a clip, whose it is, and what is said of what cannot be listed."""

from pathlib import Path
from typing import Any

import pytest

from streamer.archive import command
from streamer.archive.clips import ClipTask, Outcome
from streamer.archive.grouping import PathPattern, pseudonym
from streamer.archive.index import Wanted
from streamer.archive.listing import list_clips
from streamer.errors import InputError, SettingsError
from streamer.sources._container import READABLE
from streamer.sources._suffixes import STILLS, VIDEOS
from tests.archive.conftest import Archive


def _names(folder: Path, *arguments: str) -> list[str]:
    found = [one for given in arguments or (str(folder),) for one in list_clips(given)]
    return [str(Path(one.uri).relative_to(folder)) for one in found if isinstance(one, ClipTask)]


def _touch(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)


def test_clips_by_suffix_in_natural_order(tmp_path: Path) -> None:
    _touch(tmp_path, "b10.mp4", "b9.AVI", "1.2.840.113", "plain", "notes.txt", ".hidden.mp4", ".git/x.mp4", "c/1.dcm")
    assert _names(tmp_path) == ["1.2.840.113", "b9.AVI", "b10.mp4", "plain", "c/1.dcm"]


def test_what_an_archive_has_written_is_no_clip(tmp_path: Path) -> None:
    key, own = "0f" * 16, "results/pictures/analysis=0123456789ab"
    _touch(tmp_path, "a.mp4", f"{own}/{key}.jpg", f"results/folders/{key}/overlay.mp4", "results/clips/b.mp4")
    _touch(tmp_path, "pictures/c.mp4", "folders/d.mp4", f"{key}/e.mp4")
    assert _names(tmp_path) == ["a.mp4", f"{key}/e.mp4", "folders/d.mp4", "pictures/c.mp4", "results/clips/b.mp4"]


def test_stills_of_one_folder_are_one_clip(tmp_path: Path) -> None:
    _touch(tmp_path, "sweep/2.png", "sweep/10.png", "one/only.jpg")
    found = [one for one in list_clips(str(tmp_path)) if isinstance(one, ClipTask)]
    assert [[Path(file).name for file in one.files] for one in found] == [["only.jpg"], ["2.png", "10.png"]]
    assert Path(found[1].uri).name == "sweep"


@pytest.mark.parametrize("suffix", sorted(STILLS))
def test_stills_of_every_kind_are_one_clip_but_each_is_one_for_a_glob(tmp_path: Path, suffix: str) -> None:
    _touch(tmp_path, *(f"sweep/{number}{suffix}" for number in (1, 2, 3)))
    (found,) = list_clips(str(tmp_path))
    assert isinstance(found, ClipTask)
    assert len(found.files) == 3
    assert len(_names(tmp_path, f"{tmp_path}/**/*{suffix}")) == 3


def test_all_that_is_said_to_be_readable_is_listed(tmp_path: Path) -> None:
    known = READABLE.removesuffix(", or a folder of stills").split(", ")
    assert {".mxf", ".heic", ".avif"} < {f".{name}" for name in known} <= VIDEOS | STILLS
    _touch(tmp_path, *(f"{name}/a.{name.upper()}" for name in known))
    assert len(_names(tmp_path)) == len(known)


def test_links_to_files_are_followed_those_to_folders_are_not(tmp_path: Path) -> None:
    _touch(tmp_path, "far/a.mp4")
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "link.mp4").symlink_to(tmp_path / "far" / "a.mp4")
    (tmp_path / "in" / "broken.mp4").symlink_to(tmp_path / "none.mp4")
    (tmp_path / "in" / "circle").symlink_to(tmp_path / "in")
    found = list(list_clips(str(tmp_path / "in")))
    assert [Path(one.uri).name for one in found if isinstance(one, ClipTask)] == ["link.mp4"]


def test_globs_and_single_files(tmp_path: Path) -> None:
    _touch(tmp_path, "a.mp4", "b.mov", "x/c.mp4", "x/1.png", "x/2.png")
    assert _names(tmp_path, f"{tmp_path}/*.mp4") == ["a.mp4"]
    assert _names(tmp_path, f"{tmp_path}/b.mov") == ["b.mov"]
    assert _names(tmp_path, f"{tmp_path}/x*") == ["x/c.mp4", "x"], "the folder of two stills is a clip"
    with pytest.raises(InputError, match="nothing matches"):
        list(list_clips(f"{tmp_path}/*.avi"))


def test_a_csv_says_whose_clips_are(tmp_path: Path) -> None:
    _touch(tmp_path, "clips/a.mp4", "clips/b.mp4")
    table = tmp_path / "list.csv"
    table.write_text("path,patient,study\nclips/a.mp4,P1,S1\nclips/gone.mp4,P2,\nclips,P3,\n")
    found = list(list_clips(str(table)))
    clips = [(Path(one.uri).name, one.patient, one.study) for one in found if isinstance(one, ClipTask)]
    assert clips == [("a.mp4", "P1", "S1"), ("a.mp4", "P3", None), ("b.mp4", "P3", None)]
    (missing,) = (one for one in found if isinstance(one, Outcome))
    assert missing.failure is not None
    assert (missing.failure.kind, missing.task.patient) == ("fetch", "P2")


@pytest.mark.parametrize(
    ("content", "match"),
    [("file\na.mp4\n", "no column path"), ("path\n", "names no clip"), ("path,patient\n,P\n", "path is empty")],
)
def test_a_csv_that_is_no_list_is_refused(tmp_path: Path, content: str, match: str) -> None:
    (tmp_path / "list.csv").write_text(content)
    with pytest.raises(InputError, match=match):
        list(list_clips(str(tmp_path / "list.csv")))


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no file or folder"):
        list(list_clips(str(tmp_path / "none")))
    with pytest.raises(SettingsError, match="nosuch://"):
        list(list_clips("nosuch://bucket/clips"))


def test_a_long_listing_says_how_far_it_is(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command, "_TOLD_EVERY", 2)
    for number in range(5):
        archive.add(f"{number}.mp4", f"good {number}")
    told: list[str] = []
    command.analyse_archive(archive.options, make_worker=archive.make_worker, on_stage=told.append)
    assert [words for words in told if words.startswith("listing")] == [
        "listing", "listing: 2 clips so far", "listing: 4 clips so far"
    ]  # fmt: skip


def test_an_unreadable_folder_is_named_and_the_others_go_on(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    archive.add("locked/a.mp4", "good 1")
    archive.add("open/b.mp4", "good 2")
    from fsspec.implementations.local import LocalFileSystem

    listed = LocalFileSystem.ls

    def refusing(self: Any, path: str, **arguments: Any) -> Any:
        if path.endswith("locked"):
            raise PermissionError(13, "Permission denied")
        return listed(self, path, **arguments)

    with monkeypatch.context() as patch:
        patch.setattr(LocalFileSystem, "ls", refusing)
        assert archive.run().failures == {"listing": 1}
        row = archive.clip("locked")
        assert row["reason"] == "the folder cannot be read: Permission denied"
        assert archive.clip("b.mp4")["status"] == "analysed"
        archive.run()
        assert archive.clip("locked")["status"] == "failed", "one row, however often"


def test_other_file_systems(tmp_path: Path) -> None:
    import fsspec

    fs = fsspec.filesystem("memory")
    fs.pipe_file("/bucket/x/a.mp4", b"1")
    (found,) = list_clips("memory://bucket")
    assert isinstance(found, ClipTask)
    assert (found.uri, found.size_bytes) == ("memory:///bucket/x/a.mp4", 1)


@pytest.mark.parametrize(
    ("pattern", "uri", "expected"),
    [
        ("{patient}/{study}/*", "/data/P1/S 2/a.mp4", ("P1", "S 2")),
        ("{patient}_{study}_*", "s3://b/x/7_1_left.mp4", ("7", "1")),
        ("{patient}/*", "a.mp4", (None, None)),
        ("{patient}/*", "http://host/P%201/a.mp4", ("P 1", None)),
    ],
)
def test_path_patterns(pattern: str, uri: str, expected: tuple[str | None, str | None]) -> None:
    assert PathPattern(pattern).match(uri) == expected


def test_the_input_itself_says_nothing_of_a_patient(tmp_path: Path) -> None:
    _touch(tmp_path, "ward/a.mp4", "ward/P1/S1/b.mp4")
    for given in (f"{tmp_path}/ward", f"{tmp_path}/ward/", f"{tmp_path}/ward/*"):
        found = list(list_clips(given, pattern=PathPattern("{patient}/{study}/*")))
        assert [one.patient for one in found if isinstance(one, ClipTask)] == [None, "P1"]


@pytest.mark.parametrize("pattern", ["*", "{study}/*", "{patient}/{patient}", "{patient}/{clip}"])
def test_a_pattern_without_a_patient_is_refused(pattern: str) -> None:
    with pytest.raises(SettingsError, match="the path pattern needs"):
        PathPattern(pattern)


def test_pseudonyms_depend_on_the_secret_and_hide_the_identifier() -> None:
    assert pseudonym("P-7", b"one") == pseudonym("P-7", b"one") != pseudonym("P-7", b"two")
    assert "P-7" not in pseudonym("P-7", b"one")
    assert pseudonym("", b"one") == ""


def test_another_grouping_changes_rows_without_an_analysis(archive: Archive) -> None:
    archive.add("P1/a.mp4", "good 1")
    archive.run()
    assert archive.rows("patients") == []
    archive.run(pattern=PathPattern("{patient}/*"), wanted=Wanted())
    assert archive.analysed == []
    assert archive.clip("a.mp4")["patient"] == "P1"
    assert [row["patient"] for row in archive.rows("patients")] == ["P1"]
