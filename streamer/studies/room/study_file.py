"""The study file: cases, readers, scenarios, washout and seed, checked before anybody reads."""

from __future__ import annotations

import hashlib
import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streamer._yaml import read_yaml
from streamer.errors import DataError, SettingsError
from streamer.settings import validated
from streamer.studies.csv_file import read_rows
from streamer.studies.ratings import read_predictions
from streamer.studies.scale import Scale, scale_named

ADMINISTRATOR = "admin"
_TRUTH = {"benign": False, "malignant": True, "0": False, "1": True}
_MAX_KEYS = 9

Name = Annotated[str, Field(pattern=r"^[\w .-]{1,60}$")]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RegisteredReader(_Section):
    """A reader; `group` (such as senior) goes into the export."""

    name: Name
    group: Annotated[str, Field(pattern=r"^[\w .-]{0,60}$")] = ""


class ScenarioEntry(_Section):
    """A scenario. `ai` shows the AI's benign or malignant, `overlay` its overlay, where the cases have one."""

    name: Name
    ai: bool = False
    overlay: bool = False


class StudyFile(_Section):
    """A study as its YAML file states it; paths are relative to that file."""

    title: Annotated[str, Field(min_length=1, max_length=200)]
    cases: Path
    predictions: Path | None = None
    readers: Annotated[tuple[RegisteredReader, ...], Field(min_length=1)]
    scenarios: Annotated[tuple[ScenarioEntry, ...], Field(min_length=1)]
    washout_days: Annotated[float, Field(ge=0, le=3650)] = 14.0
    """Days between a reader's last answer in a scenario and the first in the next; two weeks as in the paper."""
    seed: int = 0
    scale: str = "c-tirads"

    @model_validator(mode="after")
    def _names_differ(self) -> StudyFile:
        for kind, names in (
            ("readers", [reader.name for reader in self.readers]),
            ("scenarios", [scenario.name for scenario in self.scenarios]),
        ):
            if len(set(names)) < len(names):
                raise ValueError(f"two {kind} have the same name")
        if any(reader.name.casefold() == ADMINISTRATOR for reader in self.readers):
            raise ValueError(f"no reader can be called {ADMINISTRATOR}: that is the administrator's name")
        if any(scenario.ai for scenario in self.scenarios) and self.predictions is None:
            raise ValueError("a scenario shows the AI's call, but `predictions` names no file")
        return self


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseImage:
    """One image (still or clip) that is rated.

    Attributes:
        name: of the image, unique.
        file: still or clip.
        overlay: the same with the AI's overlay; None without.
        malignant: truth; never leaves the server.
        call: whether the AI calls it malignant; None without predictions.
        row: of the table that names it.
    """

    name: str
    file: Path
    overlay: Path | None
    malignant: bool
    call: bool | None
    row: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """All images of a patient; a reader may go back and forth among them until the case is closed."""

    patient: str
    images: tuple[CaseImage, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReadingStudy:
    """A study that can be read.

    Attributes:
        path: the study file.
        file: what it says.
        scale: what can be answered.
        cases: in the order of the table.
    """

    path: Path
    file: StudyFile
    scale: Scale
    cases: tuple[Case, ...]

    @property
    def table(self) -> Path:
        """The table of cases."""
        return self.path.parent / self.file.cases

    @property
    def database(self) -> Path:
        """Where answers are stored: beside the study file."""
        return self.path.with_suffix(".sqlite")

    @property
    def codes(self) -> Path:
        """Where the readers' access codes are, unless a login file is given."""
        return self.path.with_name(f"{self.path.stem}-codes.csv")

    @property
    def digest(self) -> str:
        """Checksum of what must not change once reading has begun: cases, scenarios, washout, seed and scale."""
        parts = [
            f"{self.file.seed} {self.scale.name} {self.file.washout_days}",
            *(f"{scenario.name} {scenario.ai} {scenario.overlay}" for scenario in self.file.scenarios),
            *(f"{case.patient} {image.name} {image.call}" for case in self.cases for image in case.images),
        ]
        return hashlib.sha256("\n".join(parts).encode()).hexdigest()

    def order(self, reader: str, scenario: int) -> list[int]:
        """Numbers of the cases in the order in which a reader sees them in a scenario; always the same."""
        numbers = list(range(len(self.cases)))
        random.Random(f"{self.file.seed}/{reader}/{self.file.scenarios[scenario].name}").shuffle(numbers)
        return numbers


def load_study(path: Path) -> ReadingStudy:
    """Read and check a study file with its tables.

    Raises:
        SettingsError: the YAML file is missing or wrong.
        DataError: a table is wrong, or a file that it names is missing; row and rule are named.
    """
    file = validated(StudyFile, read_yaml(path, "study file"), str(path))
    folder = path.resolve().parent
    scale = scale_named(file.scale)
    if not 2 <= len(scale.labels) <= _MAX_KEYS:
        raise SettingsError(f"{path}: scale {file.scale!r} cannot be answered with the keys 1 to {_MAX_KEYS}")
    calls = _calls(folder / file.predictions) if file.predictions is not None else {}
    cases = read_cases(folder / file.cases, calls if any(s.ai for s in file.scenarios) else None)
    if any(scenario.overlay for scenario in file.scenarios):
        for case in cases:
            for image in case.images:
                if image.overlay is None:
                    raise DataError(
                        f"{folder / file.cases}: {image.name!r} has no overlay, but a scenario shows overlays: "
                        "make them with `streamer study predict`"
                    )
    return ReadingStudy(path=path.resolve(), file=file, scale=scale, cases=cases)


def _calls(path: Path) -> dict[str, bool]:
    predictions = read_predictions(path)
    if not predictions.calls:
        raise DataError(f"{path} has no column call: readers are shown benign or malignant, not a number")
    return dict(predictions.calls)


def read_cases(path: Path, calls: dict[str, bool] | None = None) -> tuple[Case, ...]:
    """Read the table of cases: columns case, file, truth; patient and overlay if any.

    Args:
        path: CSV; files are relative to it.
        calls: what the AI calls each case; None where nobody is shown it.

    Raises:
        DataError: the table is wrong, or a file that it names is missing; row and rule are named.
    """
    patients: dict[str, list[CaseImage]] = {}
    seen: dict[str, int] = {}
    for line, row in read_rows(path, ("case", "file", "truth"), aliases={"image": "case", "label": "truth"}):
        image = _image(row, path, line, calls)
        if image.name in seen:
            raise DataError(f"{path}, row {line}: case {image.name!r} stands in row {seen[image.name]} already")
        seen[image.name] = line
        patients.setdefault(row.get("patient") or image.name, []).append(image)
    return tuple(Case(patient=patient, images=tuple(images)) for patient, images in patients.items())


def _image(row: dict[str, str], path: Path, line: int, calls: dict[str, bool] | None) -> CaseImage:
    place, folder = f"{path}, row {line}", path.parent
    if not row["case"]:
        raise DataError(f"{place}: case is empty: fill it in")
    if row["truth"].lower() not in _TRUTH:
        raise DataError(f"{place}: truth is benign or malignant, got {row['truth']!r}")
    for name in ("file", "overlay"):
        if (row.get(name) or name == "file") and not (folder / row.get(name, "")).is_file():
            raise DataError(f"{place}: there is no {name} {row.get(name, '')!r}")
    if calls is not None and row["case"] not in calls:
        raise DataError(f"{place}: the predictions lack case {row['case']!r}")
    return CaseImage(
        name=row["case"],
        file=folder / row["file"],
        overlay=folder / row["overlay"] if row.get("overlay") else None,
        malignant=_TRUTH[row["truth"].lower()],
        call=None if calls is None else calls[row["case"]],
        row=line,
    )
