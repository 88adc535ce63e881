"""A reader's notes in a report that is already there: `report.json` and `report.html`, each replaced as a whole.

Beside a DICOM report they become a new version of it, in a file of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from streamer._files import write_whole
from streamer.outputs.folder import REPORT_HTML, REPORT_JSON, dicom_name, output_errors
from streamer.outputs.report_html import with_reader_notes
from streamer.outputs.schema import ReaderEntry, read_report


def write_reader_notes(directory: Path, notes: Mapping[int, ReaderEntry]) -> None:
    """Put what a reader says of the nodules into a finished report, in place of what was said before.

    Args:
        directory: the output folder of a finished study.
        notes: by track number.

    Raises:
        InputError: there is no report in the folder.
        OutputError: it cannot be written.
    """
    report = read_report(directory / REPORT_JSON)
    nodules = [entry.model_copy(update={"reader": notes.get(entry.track)}) for entry in report.nodules]
    report = report.model_copy(update={"nodules": nodules})
    page = directory / REPORT_HTML
    with output_errors(page):
        before = page.read_text(encoding="utf-8")
    write_whole(page, with_reader_notes(before, report).encode())
    write_whole(directory / REPORT_JSON, (report.model_dump_json(indent=2) + "\n").encode())
    if any(directory.glob(dicom_name("report", "*"))):
        from streamer.outputs.dicom import write_reader_reports  # its libraries are an extra

        write_reader_reports(directory, notes)
