"""From the answers to the file that the statistics read, and how far everybody is."""

from __future__ import annotations

from pathlib import Path

from streamer._files import write_whole
from streamer.errors import DataError
from streamer.studies.csv_file import csv_text
from streamer.studies.room.reading import ReaderProgress, Reading
from streamer.studies.room.store import AnswerStore
from streamer.studies.room.study_file import ReadingStudy

COLUMNS = ("reader", "group", "scenario", "case", "patient", "truth", "rating", "time", "seconds", "changes")


def study_progress(study: ReadingStudy) -> list[ReaderProgress]:
    """How far everybody is; says nothing of what was answered.

    Raises:
        DataError: nobody has read yet, or the answers belong to another study.
    """
    if not study.database.exists():
        raise DataError(f"nobody has read yet: there is no {study.database}; open `streamer app --study {study.path}`")
    store = AnswerStore(study.database, study.digest)
    try:
        return Reading(study, store, b"").progress()
    finally:
        store.close()


def export_ratings(study: ReadingStudy, path: Path, *, partial: bool = False) -> int:
    """Write the answers of closed cases as one CSV.

    Args:
        study: the study.
        path: file to write.
        partial: whether a study that is not finished may be exported.

    Returns:
        Number of ratings.

    Raises:
        DataError: nobody has answered, or somebody has not finished and `partial` is false.
        OutputError: the file cannot be written.
    """
    unfinished = [row for row in study_progress(study) if row.closed < row.cases]
    if unfinished and not partial:
        first = unfinished[0]
        raise DataError(
            f"{first.reader} has closed {first.closed} of {first.cases} cases in {first.scenario!r}: wait until all "
            "have finished, or say --partial (who looks at answers early should not change the study then)"
        )
    store = AnswerStore(study.database, study.digest)
    try:
        answers = [answer for answer in store.answers() if answer.closed]
    finally:
        store.close()
    if not answers:
        raise DataError("no case is closed yet: there is nothing to export")
    images = {image.name: image for case in study.cases for image in case.images}
    groups = {reader.name: reader.group for reader in study.file.readers}
    rows = [
        (
            answer.reader, groups.get(answer.reader, ""), answer.scenario, answer.image, answer.patient,
            "malignant" if images[answer.image].malignant else "benign", answer.rating,
            answer.time.isoformat(timespec="seconds"), "" if answer.seconds is None else f"{answer.seconds:.1f}",
            answer.changes,
        )
        for answer in answers
    ]  # fmt: skip
    write_whole(path, csv_text(COLUMNS, rows).encode())
    return len(answers)
