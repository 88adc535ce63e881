"""What the networks say of each case of a reader study: scores, calls, and overlays to be shown."""

from __future__ import annotations

import csv
import io
import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from streamer._files import write_whole
from streamer._progress import track
from streamer.errors import DataError, OutputError
from streamer.pipeline.thyroid import Engine
from streamer.run import run_study
from streamer.studies.page import prepare_folder

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


def predict_cases(cases: Path, output: Path, *, engine: Engine, overlays: bool) -> Predicted:
    """Analyse every case of a table and write predictions, overlays and the table for the reading room.

    The score is the patient-level probability of the pipeline over that one still or clip. Cases that an earlier call
    has predicted with the same networks are not analysed again.

    Args:
        cases: CSV with the columns case, file and truth; patient if any.
        output: folder of the results.
        engine: loaded networks.
        overlays: whether to keep overlays.

    Raises:
        DataError: the table is wrong.
        InputError: a still or clip cannot be read.
        OutputError: the folder cannot be written.
    """
    rows = _rows(cases)
    prepare_folder(output / _OVERLAYS)
    memory = output / ".predicted.jsonl"
    done = _known(memory, repr(engine.versions))
    for row in track(rows, len(rows), "predicting"):
        if row["case"] in done and (not overlays or _overlay(output, row["case"]).is_file()):
            continue
        score, malignant = _analyse(cases.parent / row["file"], _overlay(output, row["case"]), engine, keep=overlays)
        done[row["case"]] = (score, malignant)
        line = json.dumps(
            {"case": row["case"], "score": score, "malignant": malignant, "models": repr(engine.versions)}
        )
        try:
            with memory.open("a", encoding="utf-8") as stream:
                stream.write(line + "\n")
        except OSError as error:
            raise OutputError(f"cannot write {memory}: {error.strerror}") from error
    predictions, table = output / "predictions.csv", output / "cases.csv"
    _write(predictions, ("case", "patient", "truth", "score", "call"), [_prediction(row, done) for row in rows])
    columns = ("case", "patient", "file", "truth", "overlay")
    _write(table, columns, [_case(row, cases, output, overlays=overlays) for row in rows])
    return Predicted(
        predictions=predictions,
        cases=table,
        without_nodule=tuple(row["case"] for row in rows if done[row["case"]][0] is None),
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


def _overlay(output: Path, case: str) -> Path:
    safe = "".join(character if character.isalnum() or character in "-_." else "_" for character in case)
    return output / _OVERLAYS / f"{safe}.mp4"


def _prediction(row: dict[str, str], done: dict[str, tuple[float | None, bool]]) -> tuple[str, ...]:
    score, malignant = done[row["case"]]
    call = "malignant" if malignant else "benign"
    return row["case"], row.get("patient") or row["case"], row["truth"], f"{score or 0.0:.6f}", call


def _case(row: dict[str, str], cases: Path, output: Path, *, overlays: bool) -> tuple[str, ...]:
    file = str((cases.parent / row["file"]).resolve())
    overlay = str(_overlay(output, row["case"]).resolve()) if overlays else ""
    return row["case"], row.get("patient") or row["case"], file, row["truth"], overlay


def _known(memory: Path, versions: str) -> dict[str, tuple[float | None, bool]]:
    """What an earlier call with the same networks found."""
    found: dict[str, tuple[float | None, bool]] = {}
    if memory.is_file():
        for line in memory.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
                if entry["models"] == versions:
                    found[entry["case"]] = (entry["score"], entry["malignant"])
            except (json.JSONDecodeError, KeyError, TypeError):  # the last line of a run that was killed
                continue
    return found


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            for name in ("case", "file", "truth"):
                if name not in (reader.fieldnames or ()):
                    raise DataError(f"{path} lacks the column {name!r}; it needs case, file, truth; patient if any")
            rows = [{name: (value or "").strip() for name, value in row.items() if name} for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read the cases {path}: {error}") from error
    if len({row["case"] for row in rows}) < len(rows):
        raise DataError(f"{path}: a case stands in two rows")
    return rows


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    write_whole(path, stream.getvalue().encode())
