"""From runs and data to the paper's tables and figures: networks, cross-validation, external validation, readers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Plot

from streamer.data.grey import read_grey
from streamer.errors import DataError
from streamer.evaluation.result import Evaluation, Table
from streamer.scintigraphy import figures, tables
from streamer.scintigraphy.answers import Said, SetName, of_network, of_readers
from streamer.scintigraphy.architectures import TITLES
from streamer.scintigraphy.classes import CLASSES
from streamer.scintigraphy.classes import TITLES as DIAGNOSES
from streamer.scintigraphy.figures import HeatExample
from streamer.scintigraphy.honesty import SIMULATED_NOTE, check_answer
from streamer.scintigraphy.image import picture_digest
from streamer.scintigraphy.phantom.study import LESION
from streamer.scintigraphy.pictures import Pictures, read_pictures, refuse_near_duplicates
from streamer.scintigraphy.predictor import Predictor, heat_share
from streamer.scintigraphy.readings import Readings
from streamer.scintigraphy.samples import ScintigraphyData, ScintigraphySample, fold_split

_SPLITS: Mapping[SetName, str] = {"internal validation": "val", "external validation": "external"}
_COMPARED_PX = 128
"""Side at which pictures are compared for near duplicates."""
_HEAT_ROWS = 4
_HEAT_MEASURED = 40
"""Phantoms of a set over which the share of the heat in the lesion is measured: Grad-CAM takes a tenth of a second."""

Progress = Callable[[str], None]


@dataclass(slots=True, kw_only=True)
class Study:
    """Networks over one data set.

    Attributes:
        data: images in their splits.
        allowed: whether simulated-taught networks may answer for pictures not known to be simulated, marked.
        readings: physicians' readings.
        marks: what answers must be marked with, by image.
    """

    data: ScintigraphyData
    allowed: bool = False
    readings: Readings = field(default_factory=dict)
    marks: dict[Path, str] = field(default_factory=dict)
    _pictures: dict[tuple[str, int], Pictures] = field(default_factory=dict)

    def samples(self, name: SetName) -> list[ScintigraphySample]:
        """The images of a set; empty where the data have none."""
        return [sample for sample in self.data.samples if sample.split == _SPLITS[name]]

    def pictures(self, name: SetName, side: int) -> Pictures:
        """Pictures of a set at a side, read once."""
        key = (name, side)
        if key not in self._pictures:
            self._pictures[key] = read_pictures(self.samples(name), side)
        return self._pictures[key]

    def say(self, predictor: Predictor, name: SetName) -> Said:
        """What a network says of a set.

        Raises:
            DataError: it has learned from one of the pictures.
            WeightsError: it was taught by simulated images and a picture is not simulated.
        """
        pictures = self.pictures(name, predictor.entry.size_px)
        self._check(predictor, pictures)
        title = TITLES[predictor.entry.architecture]
        return of_network(title, pictures.samples, predictor.probabilities(pictures.grey))

    def refuse_near_duplicates(self, sets: Sequence[SetName]) -> None:
        """Refuse sets with a picture that nearly equals one that the networks learn from.

        Raises:
            DataError: names both.
        """
        learned = read_pictures(self.data.part("train"), _COMPARED_PX)
        for name in sets:
            refuse_near_duplicates(learned.joined(self.pictures(name, _COMPARED_PX)))

    def fold(self, predictor: Predictor) -> Said:
        """What the network of a fold says of the images that it held out.

        Raises:
            DataError: it was cross-validated on other data, or has learned from one of the pictures.
            WeightsError: it was taught by simulated images and a picture is not simulated.
        """
        training = predictor.entry.training
        if training.data_sha256 != self.data.digest:
            raise DataError(f"{predictor.folder} was not cross-validated on these data: run cross-validate again")
        inside = [sample for sample in self.data.samples if sample.split != "external"]
        if training.fold:
            inside = fold_split(inside, training.fold, seed=int(training.config["seed"]))
        held = [sample for sample in inside if sample.split == "val"]
        pictures = read_pictures(held, predictor.entry.size_px)
        self._check(predictor, pictures)
        title = TITLES[predictor.entry.architecture]
        return of_network(title, pictures.samples, predictor.probabilities(pictures.grey))

    @property
    def mark(self) -> str:
        """What must stand on every table and figure."""
        read = [pictures.simulated for pictures in self._pictures.values() if len(pictures.simulated)]
        marks = [SIMULATED_NOTE] if any(bool(part.any()) for part in read) else []
        return "; ".join([*marks, *sorted(set(self.marks.values()))])

    def _check(self, predictor: Predictor, pictures: Pictures) -> None:
        learned = set(predictor.entry.training.pictures)
        for sample, grey, simulated in zip(pictures.samples, pictures.grey, pictures.simulated, strict=True):
            if picture_digest(grey) in learned:
                raise DataError(f"{predictor.folder} has learned from {sample.image}: it cannot be judged on it")
            mark = check_answer(
                predictor.entry.taught_by, bool(simulated), allowed=self.allowed, place=str(sample.image)
            )
            if mark is not None:
                self.marks[sample.image] = mark


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """An evaluation, ready to be written, and the best network's answers.

    Attributes:
        evaluation: tables, figures and notes.
        best: the best network's answers by set.
        folder: its run folder.
    """

    evaluation: Evaluation
    best: Mapping[SetName, Said]
    folder: Path


def evaluate(
    study: Study, runs: Sequence[Path], *, folds: Sequence[Path] = (), on_progress: Progress = lambda _: None
) -> Outcome:
    """Make all tables and figures: networks compared, the best one cross-validated, validated outside, and read.

    Args:
        study: data and readings.
        runs: run folders of the networks to compare; the most accurate on the internal validation set is the best.
        folds: run folders of a cross-validation; none leaves Table 3 out.
        on_progress: called with the name of each step.

    Raises:
        DataError: the data have no internal validation set, a network has learned from what it is judged on or from
            nearly the same picture, or the folds are of different networks.
        WeightsError: weights are missing or damaged, or may not answer for these images.
    """
    if not runs:
        raise DataError("name at least one run folder of `streamer scintigraphy train`")
    sets: list[SetName] = [name for name in _SPLITS if study.samples(name)]
    on_progress("looking for pictures that nearly equal those learned from")
    study.refuse_near_duplicates(sets)
    predictors: list[Predictor] = []
    said: dict[SetName, list[Said]] = {name: [] for name in sets}
    for run in runs:
        on_progress(f"predicting with {run}")
        predictor = Predictor(run)
        predictors.append(predictor)
        for name in sets:
            said[name].append(study.say(predictor, name))
    first = said[sets[0]]
    place = max(range(len(runs)), key=lambda number: first[number].overall.accuracy.value)
    best = {name: said[name][place] for name in sets}
    readers = {name: of_readers(study.samples(name), study.readings) for name in sets}
    cross = []
    for folder in folds:
        on_progress(f"predicting with {folder}")
        cross.append(study.fold(Predictor(folder)))
    if len({one.name for one in cross}) > 1:
        raise DataError("the folds are of different networks: cross-validate one network into a folder of its own")
    on_progress("heat maps")
    heat_rows, heat_table = _heat(study, predictors, place, sets[-1])
    on_progress("tables and figures")
    mark = study.mark
    evaluation = Evaluation(
        subject="scintigraphy networks",
        results=tuple(tables.all_results(_with_readers(said, readers), _SPLITS)),
        plots=_plots(said, best, readers, heat_rows, mark),
        settings={"data": study.data.rule, "internal centre": study.data.internal, "best network": first[place].name},
        notes=_notes(study, bool(cross), mark),
        tables=(*_tables(study, said, best, readers, cross), *heat_table),
        mark=mark,
        captions=figures.CAPTIONS,
    )
    return Outcome(evaluation=evaluation, best=best, folder=runs[place])


def evaluate_readers(best: Mapping[SetName, Said], readings: Readings, mark: str, *, left_out: int = 0) -> Evaluation:
    """Tables 4 and 5, Figures 4B and 5 and the tests, from answers that were written down before.

    `left_out` is the number of readings of other patients.
    """
    readers = {name: of_readers(said.samples, readings) for name, said in best.items()}
    numbered = {"internal validation": 4, "external validation": 5}
    said: dict[SetName, Sequence[Said]] = {name: [one, *readers[name]] for name, one in best.items()}
    plots: dict[str, Plot] = {
        "figure-4b-readers": figures.accuracy_bars(said, mark),
        "figure-5-roc": figures.roc_panels({name: (one, readers[name]) for name, one in best.items()}, mark),
    }
    return Evaluation(
        subject="scintigraphy model against readers",
        results=tuple(tables.all_results(said, _SPLITS)),
        plots=plots,
        settings={"readers": ", ".join(readings)},
        notes=(
            "Readers name one class an image; the model's answer is its most probable class.",
            *([f"Left out: {left_out} readings of patients without a written answer."] if left_out else []),
        ),
        tables=(
            *(tables.readers_table(numbered[name], name, one, readers[name]) for name, one in best.items()),
            *tables.tests_tables(best, readers),
        ),
        mark=mark,
        captions=figures.CAPTIONS,
    )


def lesion_mask(sample: ScintigraphySample, side: int) -> npt.NDArray[np.bool_] | None:
    """A phantom's true region, shape (side, side); None where there is no truth or no lesion.

    Raises:
        DataError: the mask cannot be read.
    """
    if sample.mask is None:
        return None
    code = read_grey(sample.mask)
    inside = (code & LESION) > 0
    if not inside.any():
        return None
    shrunk = cv2.resize(inside.astype(np.float32), (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(shrunk >= 0.5, np.bool_)


def _tables(
    study: Study,
    said: Mapping[SetName, Sequence[Said]],
    best: Mapping[SetName, Said],
    readers: Mapping[SetName, Sequence[Said]],
    cross: Sequence[Said],
) -> list[Table]:
    sets = list(best)
    found = [tables.baseline_table(study.data.samples), tables.networks_table(said[sets[0]])]
    if cross:
        found.append(tables.folds_table(cross[0].name, cross))  # which need not be the best network
    for number, name in enumerate(sets, start=4):
        found.append(tables.readers_table(number, name, best[name], readers[name]))
    return [*found, *tables.tests_tables(best, readers)]


def _plots(
    said: Mapping[SetName, Sequence[Said]],
    best: Mapping[SetName, Said],
    readers: Mapping[SetName, Sequence[Said]],
    heat_rows: Sequence[Sequence[HeatExample]],
    mark: str,
) -> dict[str, Plot]:
    first = next(iter(said))
    plots = {
        "figure-4a-networks": figures.accuracy_bars({first: said[first]}, mark),
        "figure-4b-readers": figures.accuracy_bars({name: [one, *readers[name]] for name, one in best.items()}, mark),
        "figure-5-roc": figures.roc_panels({name: (one, readers[name]) for name, one in best.items()}, mark),
        "figure-s2-confusion": figures.confusion_panels(best, mark),
        "figure-s3-roc-networks": figures.macro_roc(said[first], mark),
    }
    if heat_rows:
        plots["figure-6-and-s1-heat-maps"] = figures.heat_panels(heat_rows, mark)
    return plots


def _heat(
    study: Study, predictors: Sequence[Predictor], best: int, name: SetName
) -> tuple[list[list[HeatExample]], list[Table]]:
    """Heat maps of tumours by every network, and over phantoms the share of each map in the lesion."""
    tumour = CLASSES.index("tumour")
    order = [predictors[best], *(one for number, one in enumerate(predictors) if number != best)]
    chosen = [number for number, sample in enumerate(study.samples(name)) if sample.label == "tumour"]
    rows: list[list[HeatExample]] = []
    for number in chosen[:_HEAT_ROWS]:
        row = []
        for predictor in order:
            pictures = study.pictures(name, predictor.entry.size_px)
            grey, sample = pictures.grey[number], pictures.samples[number]
            heat = predictor.heat(grey, tumour)
            lesion = lesion_mask(sample, len(grey))
            title = TITLES[predictor.entry.architecture]
            row.append(HeatExample(title=title, grey=grey, heat=heat, lesion=lesion))
        rows.append(row)
    lines = [line for predictor in order if (line := _heat_shares(study, predictor, name)) is not None]
    if not lines:
        return rows, []
    table = Table(
        title="Grad-CAM: share of its mass in the true region",
        caption="Phantoms of the last set, map of the true class, rightly answered or not; tumours: the nodule, "
        "Graves' disease and diffuse thyroiditis: the gland, regional thyroiditis: the region. In brackets the "
        "region's share of the picture, which a map without aim would have, and the most that a map of the network's "
        "few cells can have. Mean over pictures; n without maps that are empty, where nothing speaks for the class.",
        columns=("Network", *(f"{DIAGNOSES[label]} (n)" for label in CLASSES if label != "normal")),
        rows=tuple(lines),
    )
    return rows, [table]


def _heat_shares(study: Study, predictor: Predictor, name: SetName) -> tuple[str, ...] | None:
    pictures = study.pictures(name, predictor.entry.size_px)
    cells = [TITLES[predictor.entry.architecture]]
    measured = 0
    for label in CLASSES:
        if label == "normal":
            continue
        shares: list[float] = []
        chances: list[float] = []
        highest: list[float] = []
        for sample, grey in zip(pictures.samples, pictures.grey, strict=True):
            if sample.label != label or len(shares) >= _HEAT_MEASURED // 3:
                continue
            lesion = lesion_mask(sample, len(grey))
            if lesion is not None:
                shares.append(heat_share(predictor.heat(grey, CLASSES.index(label)), lesion))
                chances.append(float(lesion.mean()))
                highest.append(predictor.best_heat_share(lesion))
        known = [share for share in shares if not np.isnan(share)]
        measured += len(known)
        limits = f"{np.mean(chances):.2f} to {np.mean(highest):.2f}" if chances else ""
        shown = f"{np.mean(known):.2f} ({limits}); {len(known)}" if known else "-"
        cells.append(shown)
    return tuple(cells) if measured else None


def _with_readers(
    said: Mapping[SetName, Sequence[Said]], readers: Mapping[SetName, Sequence[Said]]
) -> dict[SetName, Sequence[Said]]:
    return {name: [*part, *readers[name]] for name, part in said.items()}


def _notes(study: Study, crossed: bool, mark: str) -> tuple[str, ...]:
    notes = [f"Splits: {study.data.rule}."]
    if mark:
        notes.append(f"{mark[0].upper()}{mark[1:]}.")
    notes.append(
        "The epoch of each network, and the best network, were chosen on the internal validation images: figures on "
        "them are optimistic. The external images had no part in any choice."
    )
    if not study.samples("external validation"):
        notes.append("The data have one centre: there is no external validation (Table 5).")
    if not study.readings:
        notes.append("No readings were given (--readings): Tables 4 and 5 show the model alone.")
    if not crossed:
        notes.append("No cross-validation was given (--folds): Table 3 is left out.")
    return tuple(notes)
