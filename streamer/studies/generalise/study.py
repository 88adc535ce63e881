"""Train what the matrix needs, test all on all, go on after a stop."""

from __future__ import annotations

import csv
import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from streamer._files import write_whole
from streamer.data.csv_manifest import COLUMNS
from streamer.data.samples import Centre, Sample
from streamer.errors import DataError, OutputError
from streamer.evaluation.subsets import SIZE_BOUNDS
from streamer.metrics.estimate import Resampling
from streamer.models.weights_manifest import Role
from streamer.settings import Settings
from streamer.studies.generalise.centres import MIXED, CentreData, NetworkPlan, load_centres, plan_networks
from streamer.studies.generalise.figures import Cell, Subgroup, cell, subgroups, with_holm
from streamer.studies.generalise.measure import Row, load, measure, save
from streamer.studies.page import results_folder
from streamer.training.config import Ingredient, TrainingConfig
from streamer.training.train import train

ALL = "all"
AGE_BOUND_YEARS = 45.0
"""The paper's age groups: under 45, and from 45 years on."""

NOT_BUILT_ON = {
    "encoder_from_segmenter": False,
    "encoder_from_classifier": False,
    "start_from_weights": False,
    "outlines_from_segmenter": False,
    "self_training": None,
    "frozen_blocks": 0,
    "phantom": 0,
}
"""Networks that have seen the other centres must not be what these ones start from, and a centre's network learns from
that centre alone. Blocks of an encoder that starts from random numbers are not frozen."""

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneralisationOptions:
    """What is asked for.

    Attributes:
        by: what a centre is.
        role: the task.
        only: names of centres to take; all if empty.
        equal_patients: whether every network learns from as many patients.
        min_patients: of training patients; smaller centres are taken together.
        images_per_patient: at most; None for all.
        resamples: of the bootstrap.
    """

    by: Centre
    role: Role
    only: tuple[str, ...] = ()
    equal_patients: bool = False
    min_patients: int = 10
    images_per_patient: int | None = None
    resamples: int = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainedNetwork:
    """A network of the study and what it cost."""

    plan: NetworkPlan
    epochs: int
    minutes: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Generalisation:
    """Outcome of a study.

    Attributes:
        options: what was asked for.
        config: how every network was trained.
        centres: with their test patients.
        networks: in the order of the rows.
        cells: of the matrix, row by row; the last column is all centres together.
        subgroups: of the mixed network on all test patients.
        notes: how the data were made.
    """

    options: GeneralisationOptions
    config: TrainingConfig
    centres: tuple[CentreData, ...]
    networks: tuple[TrainedNetwork, ...]
    cells: tuple[Cell, ...]
    subgroups: tuple[Subgroup, ...]
    notes: tuple[str, ...]

    def cell(self, network: str, centre: str) -> Cell:
        """A cell of the matrix."""
        return next(entry for entry in self.cells if (entry.network, entry.centre) == (network, centre))


def generalise(
    data: Path,
    output: Path,
    options: GeneralisationOptions,
    config: TrainingConfig,
    *,
    settings: Settings,
    weights: Path,
    device: torch.device,
) -> Generalisation:
    """Train every network of the matrix that is not trained yet, test it, and work out the figures.

    Args:
        data: folder in the public layout, or CSV manifest.
        output: folder of the study; a study that was stopped in it goes on.
        options: what is asked for.
        config: how to train; what it says of sources and of networks to start from does not count.
        settings: how networks run when they are tested.
        weights: folder of the detector that boxes labelled images without a box.
        device: where to train.

    Raises:
        DataError: the data do not allow the study, or the folder holds another one.
        OutputError: the folder cannot be written.
    """
    with results_folder(output / "networks"):
        return _generalise(data, output, options, config, settings=settings, weights=weights, device=device)


def _generalise(
    data: Path,
    output: Path,
    options: GeneralisationOptions,
    config: TrainingConfig,
    *,
    settings: Settings,
    weights: Path,
    device: torch.device,
) -> Generalisation:
    _LOG.info("reading %s and looking for near duplicates", data)
    centres, notes = load_centres(
        data,
        options.by,
        options.role,
        only=options.only,
        min_patients=options.min_patients,
        images_per_patient=options.images_per_patient,
    )
    config = config.model_copy(update=NOT_BUILT_ON)
    plans = plan_networks(centres, equal_patients=options.equal_patients)
    _claim(output, options, config, plans)
    test = [sample for centre in centres for sample in centre.test]
    trained, said = [], {}
    spent: list[float] = []
    for number, plan in enumerate(plans, start=1):
        folder = output / "networks" / plan.folder
        kept = folder / "predictions.json"
        started = time.monotonic()
        if not kept.is_file():
            rest = _remaining(spent, len(plans) - number + 1)
            _LOG.info("network %d of %d, %s: %s%s", number, len(plans), plan.name, _size(plan), rest)
            _train(plan, folder, config, device=device, weights=weights)
            save(kept, measure(folder, options.role, test, settings, weights))
            spent.append(time.monotonic() - started)
        said[plan.name] = load(kept, len(test))
        trained.append(_trained(plan, folder))
    _LOG.info("working out the figures")
    owner = [centre.name for centre in centres for _ in centre.test]
    resampling = Resampling(resamples=options.resamples)
    return Generalisation(
        options=options,
        config=config,
        centres=tuple(centres),
        networks=tuple(trained),
        cells=tuple(_matrix(options.role, said, owner, [centre.name for centre in centres], resampling)),
        subgroups=tuple(_subgroups(options.role, said[MIXED], test, resampling)),
        notes=tuple(notes),
    )


def _train(plan: NetworkPlan, folder: Path, config: TrainingConfig, *, device: torch.device, weights: Path) -> None:
    sources = {source: Ingredient() for source in dict.fromkeys(sample.source for sample in plan.samples)}
    manifest = folder / "data.csv"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        write_samples(plan.samples, manifest)
    except OSError as error:
        raise OutputError(f"cannot write {manifest}: {error.strerror}") from error
    own = TrainingConfig.model_validate({**config.model_dump(), "sources": sources})
    train(own, manifest, folder, device=device, weights=weights, resume=True, drop_duplicates=True)


def write_samples(samples: Sequence[Sample], path: Path) -> None:
    """Samples as a manifest with absolute paths."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for sample in samples:
            row = {name: getattr(sample, name) for name in COLUMNS} | {"patient": sample.group}  # a manifest's unit
            for name in ("image", "mask", "gland_mask"):
                row[name] = None if row[name] is None else str(row[name].resolve())
            for name in COLUMNS:
                if name.endswith("_xyxy"):
                    row[name] = "; ".join(" ".join(f"{value:.10g}" for value in box) for box in row[name])
            row["has_nodule"] = {None: "", True: "yes", False: "no"}[sample.has_nodule]
            writer.writerow({name: "" if value is None else value for name, value in row.items()})


def _trained(plan: NetworkPlan, folder: Path) -> TrainedNetwork:
    with (folder / "history.csv").open(newline="", encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    return TrainedNetwork(plan=plan, epochs=len(rows), minutes=float(rows[-1]["seconds"]) / 60)


def _matrix(
    role: Role, said: dict[str, list[list[Row]]], owner: Sequence[str], centres: Sequence[str], resampling: Resampling
) -> list[Cell]:
    cells = []
    for network, rows in said.items():
        for centre in (*centres, ALL):
            part = _of(rows, owner, centre)
            mixed = None if network == MIXED else _of(said[MIXED], owner, centre)
            cells.append(cell(role, network, centre, part, mixed, resampling))
    return with_holm(cells)


def _of(rows: Sequence[Sequence[Row]], owner: Sequence[str], centre: str) -> list[Row]:
    return [row for found, name in zip(rows, owner, strict=True) if centre in (name, ALL) for row in found]


def _subgroups(
    role: Role, rows: Sequence[Sequence[Row]], samples: Sequence[Sample], resampling: Resampling
) -> list[Subgroup]:
    """Age as in the paper, sex, and size by the bounds that the evaluation uses."""

    def part(chosen: Callable[[Sample, Row], bool]) -> list[Row]:
        return [row for sample, found in zip(samples, rows, strict=True) for row in found if chosen(sample, row)]

    small, large = SIZE_BOUNDS
    young = f"under {AGE_BOUND_YEARS:g} years"
    factors: dict[str, list[tuple[str, list[Row]]]] = {
        "age": [
            (young, part(lambda sample, _: sample.age is not None and sample.age < AGE_BOUND_YEARS)),
            (
                f"from {AGE_BOUND_YEARS:g} years on",
                part(lambda sample, _: sample.age is not None and sample.age >= AGE_BOUND_YEARS),
            ),
        ],
        "sex": [
            ("female", part(lambda sample, _: sample.sex == "F")),
            ("male", part(lambda sample, _: sample.sex == "M")),
        ],
        "size": [
            (
                f"box below {small:.0%} of the frame",
                part(lambda _, row: row["size"] is not None and row["size"] < small),
            ),
            (
                f"box {small:.0%} to {large:.0%}",
                part(lambda _, row: row["size"] is not None and small <= row["size"] < large),
            ),
            (f"box {large:.0%} or more", part(lambda _, row: row["size"] is not None and row["size"] >= large)),
        ],
    }
    return [
        entry for factor, parts in factors.items() if any(r for _, r in parts)
        for entry in subgroups(role, factor, parts, resampling)
    ]  # fmt: skip


def _claim(output: Path, options: GeneralisationOptions, config: TrainingConfig, plans: Sequence[NetworkPlan]) -> None:
    """See that a folder that was begun goes on with the same data and training."""
    samples = [f"{plan.name} {sample.place} {sample.split}" for plan in plans for sample in plan.samples]
    digest = hashlib.sha256("\n".join(samples).encode()).hexdigest()
    asked = {"by": options.by, "role": options.role, "config": config.model_dump(mode="json"), "data": digest}
    path = output / "study.json"
    if path.is_file():
        try:
            before = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise DataError(f"{path} is damaged: choose another --output") from error
        if before != asked:
            other = ", ".join(name for name in asked if before.get(name) != asked[name])
            raise DataError(f"{output} holds a study with another {other}: choose another --output")
        return
    write_whole(path, json.dumps(asked, indent=1).encode())


def _size(plan: NetworkPlan) -> str:
    return f"{plan.images} training images of {plan.patients} patients"


def _remaining(spent: Sequence[float], networks: int) -> str:
    if not spent:
        return ""
    minutes = networks * sum(spent) / len(spent) / 60
    return f"; about {minutes:.0f} min remain" if minutes < 120 else f"; about {minutes / 60:.1f} h remain"
