"""What the networks say of each case of a reader study: scores, calls, and overlays to be shown."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streamer._files import write_whole
from streamer._progress import track
from streamer.errors import OutputError
from streamer.pipeline.thyroid import Engine
from streamer.run import run_study
from streamer.studies.csv_file import csv_text
from streamer.studies.page import results_folder
from streamer.studies.room.study_file import Case, CaseImage

_OVERLAYS = "overlays"


@dataclass(frozen=True, slots=True, kw_only=True)
class Predicted:
    """What was written.

    Attributes:
        predictions: CSV with case, patient, truth, score, call.
        cases: the table of cases with the column overlay.
        without_nodule: cases in which no nodule was found: score 0, benign.
    """

    predictions: Path
    cases: Path
    without_nodule: tuple[str, ...]


def predict_cases(cases: Sequence[Case], output: Path, *, engine: Engine, overlays: bool) -> Predicted:
    """Analyse every case of a table and write predictions, overlays and the table for the reading room.

    The score is the patient-level probability of the pipeline over that one still or clip. Files that an earlier call
    has predicted with the same networks are not analysed again.

    Args:
        cases: as `room.study_file.read_cases` reads them.
        output: folder of the results.
        engine: loaded networks.
        overlays: whether to keep overlays.

    Raises:
        InputError: a still or clip cannot be read.
        OutputError: the folder cannot be written.
    """
    images = [(case.patient, image) for case in cases for image in case.images]
    memory = output / ".predicted.jsonl"
    with results_folder(output / _OVERLAYS):
        done = _known(memory, repr(engine.versions))
        for _, image in track(images, len(images), "predicting"):
            key = _key(image)
            if key in done and (not overlays or _overlay(output, image.name).is_file()):
                continue
            done[key] = _analyse(image.file, _overlay(output, image.name), engine, keep=overlays)
            _remember(memory, key, *done[key], repr(engine.versions))
    predictions, table = output / "predictions.csv", output / "cases.csv"
    rows = [(patient, image, *done[_key(image)]) for patient, image in images]
    _write(
        predictions,
        ("case", "patient", "truth", "score", "call"),
        [
            (image.name, patient, _word(image.malignant), f"{score or 0.0:.6f}", _word(malignant))
            for patient, image, score, malignant in rows
        ],
    )
    _write(
        table,
        ("case", "patient", "file", "truth", "overlay"),
        [
            (
                image.name,
                patient,
                str(image.file.resolve()),
                _word(image.malignant),
                str(_overlay(output, image.name).resolve()) if overlays else "",
            )
            for patient, image in images
        ],
    )
    return Predicted(
        predictions=predictions,
        cases=table,
        without_nodule=tuple(image.name for _, image, score, _ in rows if score is None),
    )


def _analyse(file: Path, overlay: Path, engine: Engine, *, keep: bool) -> tuple[float | None, bool]:
    with tempfile.TemporaryDirectory(prefix="streamer-predict-") as folder:
        report = run_study([file], Path(folder), analyser=engine)
        if keep:
            try:
                shutil.copyfile(Path(folder) / "overlay.mp4", overlay)
            except OSError as error:
                raise OutputError(f"cannot write {overlay}: {error.strerror}") from error
    return report.patient_malignancy, report.decision == "malignant"


def _remember(memory: Path, key: str, score: float | None, malignant: bool, versions: str) -> None:
    line = json.dumps({"key": key, "score": score, "malignant": malignant, "models": versions})
    try:
        with memory.open("a", encoding="utf-8") as stream:
            stream.write(line + "\n")
    except OSError as error:
        raise OutputError(f"cannot write {memory}: {error.strerror}") from error


def _overlay(output: Path, case: str) -> Path:
    """A file name that every file system takes, and that two cases never share."""
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in case)[:60]
    if safe != case:
        safe += f"-{hashlib.sha256(case.encode()).hexdigest()[:8]}"
    return output / _OVERLAYS / f"{safe}.mp4"


def _key(image: CaseImage) -> str:
    """The case and the file behind it: another file of that name is another case."""
    found = image.file.stat()
    return f"{image.name} {image.file.resolve()} {found.st_size} {found.st_mtime_ns}"


def _word(malignant: bool) -> str:
    return "malignant" if malignant else "benign"


def _known(memory: Path, versions: str) -> dict[str, tuple[float | None, bool]]:
    """What an earlier call with the same networks found."""
    found: dict[str, tuple[float | None, bool]] = {}
    if memory.is_file():
        for line in memory.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                if entry["models"] == versions:
                    found[entry["key"]] = (entry["score"], entry["malignant"])
            except (json.JSONDecodeError, KeyError, TypeError):  # the last line of a run that was killed
                continue
    return found


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    write_whole(path, csv_text(columns, rows).encode())
