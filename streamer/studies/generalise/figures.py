"""Figures of the matrix: each network on each centre, against the mixed one, and by subgroup."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isnan, nan

import numpy as np
import numpy.typing as npt
from scipy import stats

from streamer.metrics.classification import auc, delong_test, has_both
from streamer.metrics.detection import precision_recall_area
from streamer.metrics.estimate import Figure, Multiplicity, Resampling, without_empty_interval
from streamer.metrics.holm import holm
from streamer.metrics.matching import ImageBoxes, match
from streamer.models.weights_manifest import Role
from streamer.studies.generalise.measure import Row

MEASURES: dict[Role, str] = {"detector": "AP50", "segmenter": "Dice", "classifier": "AUC"}

Floats = npt.NDArray[np.float64]
Statistic = Callable[[Multiplicity], float]

_MIN_CLUSTERS = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """A network on the test patients of a centre.

    Attributes:
        network, centre: names; the centre may be "all".
        figure: AUC, Dice or AP50 with its interval.
        difference: less the mixed network's, with its interval; None for the mixed network itself.
        p_value: two-sided, of that difference; NaN where there is no test, or no variance for one.
        p_holm: after Holm over the whole matrix.
    """

    network: str
    centre: str
    figure: Figure
    difference: Figure | None
    p_value: float
    p_holm: float = nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Subgroup:
    """A network on a part of the test patients.

    Attributes:
        factor, name: for example "age" and "under 45 years".
        count, patients: numbers of rows and of patients.
        figure: AUC, Dice or AP50; None where a class is missing.
        p_interaction: test that all parts of the factor have the same (Cochran's Q); NaN where there is none.
    """

    factor: str
    name: str
    count: int
    patients: int
    figure: Figure | None
    p_interaction: float


def cell(
    role: Role, network: str, centre: str, rows: Sequence[Row], mixed: Sequence[Row] | None, resampling: Resampling
) -> Cell:
    """The figure of a network on a centre, tested against the mixed network on the same images.

    Args:
        role: the task.
        network, centre: names.
        rows: what the network says.
        mixed: what the mixed network says of the same; None for itself.
        resampling: of the bootstrap by patient.
    """
    patients = np.array([row["patient"] for row in rows])
    if role == "classifier" and len(set(patients.tolist())) == len(rows):
        return _delong_cell(network, centre, rows, mixed)
    statistics = [_statistic(role, rows)] + ([] if mixed is None else [_statistic(role, mixed)])
    values, draws = _resampled(statistics, patients, resampling)
    figure = _figure(values[0], draws[0], patients, resampling)
    if mixed is None:
        return Cell(network=network, centre=centre, figure=figure, difference=None, p_value=nan)
    gap, gaps = values[0] - values[1], draws[0] - draws[1]
    difference = _figure(gap, gaps, patients, resampling)
    p_value = nan if isnan(difference.low) else _p_value(gap, gaps)
    return Cell(network=network, centre=centre, figure=figure, difference=difference, p_value=p_value)


def with_holm(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with P values adjusted over all of them."""
    adjusted = holm([entry.p_value for entry in cells])
    return [replace(entry, p_holm=p) for entry, p in zip(cells, adjusted, strict=True)]


def subgroups(
    role: Role, factor: str, parts: Sequence[tuple[str, Sequence[Row]]], resampling: Resampling
) -> list[Subgroup]:
    """A network's figure in each part of a factor, and whether they differ.

    Cochran's Q with variances of the bootstrap by patient (for two parts: the square of a z test); takes the parts as
    independent, which those of a patient's own traits are.
    """
    found: list[tuple[str, Figure | None, float, float]] = []
    for name, rows in parts:
        patients = np.array([row["patient"] for row in rows])
        defined = len(rows) > 1 and (
            role != "classifier" or has_both(np.array([row["label"] for row in rows], np.bool_))
        )
        if not defined or len(set(patients.tolist())) < _MIN_CLUSTERS:
            found.append((name, None, nan, nan))
            continue
        values, draws = _resampled([_statistic(role, rows)], patients, resampling)
        spread = float(np.nanvar(draws[0], ddof=1))
        found.append((name, _figure(values[0], draws[0], patients, resampling), values[0], spread))
    usable = [(value, variance) for _, _, value, variance in found if variance > 0]
    p = nan
    if len(usable) > 1:
        value, weight = np.array([v for v, _ in usable]), 1 / np.array([v for _, v in usable])
        q = float(weight @ (value - weight @ value / weight.sum()) ** 2)
        p = float(stats.chi2.sf(q, len(usable) - 1))
    return [
        Subgroup(
            factor=factor,
            name=name,
            count=len(rows),
            patients=len({row["patient"] for row in rows}),
            figure=figure,
            p_interaction=p,
        )
        for (name, rows), (_, figure, _, _) in zip(parts, found, strict=True)
    ]


def _delong_cell(network: str, centre: str, rows: Sequence[Row], mixed: Sequence[Row] | None) -> Cell:
    """One image a patient: DeLong's interval and test."""
    labels, scores = [row["label"] for row in rows], [row["value"] for row in rows]
    figure = without_empty_interval(auc(labels, scores))
    if mixed is None:
        return Cell(network=network, centre=centre, figure=figure, difference=None, p_value=nan)
    test = delong_test(labels, scores, [row["value"] for row in mixed])
    difference = without_empty_interval(test.difference)
    p_value = nan if isnan(difference.low) else test.p_value
    return Cell(network=network, centre=centre, figure=figure, difference=difference, p_value=p_value)


def _statistic(role: Role, rows: Sequence[Row]) -> Statistic:
    if role == "detector":
        matches = match([_boxes(row) for row in rows])
        return lambda multiplicity: precision_recall_area(matches, multiplicity)
    values = np.array([row["value"] for row in rows], np.float64)
    if role == "segmenter":
        return lambda multiplicity: float(multiplicity @ values / multiplicity.sum())
    truth = np.array([row["label"] for row in rows], np.bool_)
    levels, place = np.unique(values, return_inverse=True)

    def area(multiplicity: Multiplicity) -> float:
        malignant = np.bincount(place[truth], weights=multiplicity[truth], minlength=len(levels))
        benign = np.bincount(place[~truth], weights=multiplicity[~truth], minlength=len(levels))
        pairs = malignant.sum() * benign.sum()
        return float(malignant @ (benign.cumsum() - benign / 2) / pairs) if pairs else nan

    return area


def _boxes(row: Row) -> ImageBoxes:
    def boxes(name: str) -> Floats:
        return np.asarray(row[name], np.float64).reshape(-1, 4)

    return ImageBoxes(
        group=row["patient"],
        truth_xyxy=boxes("truth"),
        boxes_xyxy=boxes("boxes"),
        scores=np.asarray(row["scores"], np.float64),
        ignored_xyxy=boxes("ignored"),
    )


def _resampled(
    statistics: Sequence[Statistic], patients: npt.NDArray[np.str_], resampling: Resampling
) -> tuple[list[float], list[Floats]]:
    """Each statistic of the data, and of the same resamples of whole patients."""
    member = np.unique(patients, return_inverse=True)[1]
    clusters = int(member.max()) + 1
    generator = np.random.default_rng(resampling.seed)
    draws = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=resampling.resamples)
    once = np.ones(len(patients), np.int64)
    values = [float(statistic(once)) for statistic in statistics]
    replicates = [np.array([statistic(draw[member]) for draw in draws], np.float64) for statistic in statistics]
    return values, replicates


def _figure(value: float, draws: Floats, patients: npt.NDArray[np.str_], resampling: Resampling) -> Figure:
    clusters = len(np.unique(patients))
    defined = draws[np.isfinite(draws)]
    low = high = nan
    if clusters >= _MIN_CLUSTERS and len(defined) >= resampling.resamples / 2:
        tail = (1 - resampling.level) / 2
        low, high = (float(bound) for bound in np.quantile(defined, [tail, 1 - tail]))
    method = f"bootstrap by {resampling.unit}, {resampling.resamples} resamples, percentile"
    figure = Figure(value=value, low=low, high=high, count=len(patients), clusters=clusters, method=method)
    return without_empty_interval(figure)


def _p_value(value: float, draws: Floats) -> float:
    """Two-sided P of a paired bootstrap: how often resampled differences lie on the other side of 0."""
    defined = draws[np.isfinite(draws)]
    if not len(defined) or np.isnan(value):
        return nan
    below, above = int((defined <= 0).sum()), int((defined >= 0).sum())
    return min(1.0, 2 * (min(below, above) + 1) / (len(defined) + 1))
