"""Reader's notes in a finished report: part of both files, escaped, and gone without a trace."""

from pathlib import Path

import pytest

from streamer.errors import InputError, OutputError
from streamer.outputs import StudyWriter
from streamer.outputs.reader_notes import write_reader_notes
from streamer.outputs.schema import LONGEST_NOTE, ReaderEntry, read_report
from streamer.settings import Settings
from tests.outputs.study_example import example_clip, frame_result, nodule, study_report, track

HOSTILE = "</td><script>alert(1)</script><!-- reader's notes -->\n{{ 7 * 7 }} \N{GREEK SMALL LETTER ALPHA}"


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    """A folder with the report of two nodules."""
    with StudyWriter(tmp_path, Settings()) as writer:
        writer.start_clip(example_clip())
        for index in range(12):
            writer.write(frame_result(index, nodule(1), nodule(2, left=50)))
        writer.end_clip()
        writer.write_report(study_report(track(1), track(2)))
    return tmp_path


def pages(folder: Path) -> tuple[str, str]:
    return (folder / "report.html").read_text(encoding="utf-8"), (folder / "report.json").read_text(encoding="utf-8")


def test_notes_are_part_of_both_files_and_can_be_taken_back(finished: Path) -> None:
    before = pages(finished)
    write_reader_notes(finished, {2: ReaderEntry(c_tirads="4b", note="Taller than wide."), 9: _entry("of no nodule")})
    first, second = read_report(finished / "report.json").nodules
    assert (first.reader, second.reader) == (None, ReaderEntry(c_tirads="4b", note="Taller than wide."))
    page, _ = pages(finished)
    assert "<td>4b</td>" in page
    assert "Taller than wide." in page
    assert "of no nodule" not in page
    write_reader_notes(finished, {1: _entry("Second thoughts.")})
    page, _ = pages(finished)
    assert "Second thoughts." in page
    assert "Taller than wide." not in page
    write_reader_notes(finished, {})
    assert pages(finished) == before
    assert not list(finished.glob("*.partial"))


def test_note_is_text_and_nothing_else(finished: Path) -> None:
    for _ in range(2):  # the second time the page is split where it was put together
        write_reader_notes(finished, {1: _entry(HOSTILE)})
    page, _ = pages(finished)
    assert "<script" not in page
    assert page.count("{{ 7 * 7 }} \N{GREEK SMALL LETTER ALPHA}") == 1
    assert read_report(finished / "report.json").nodules[0].reader == _entry(HOSTILE)


def test_too_long_a_note_is_none() -> None:
    with pytest.raises(ValueError, match="4000"):
        _entry("x" * (LONGEST_NOTE + 1))


def test_folder_without_a_report(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"report\.json"):
        write_reader_notes(tmp_path, {})


def test_page_that_is_gone(finished: Path) -> None:
    (finished / "report.html").unlink()
    with pytest.raises(OutputError, match=r"report\.html"):
        write_reader_notes(finished, {})


def _entry(note: str) -> ReaderEntry:
    return ReaderEntry(c_tirads=None, note=note)
