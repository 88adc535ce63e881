"""Agreement in a reader study: Kendall's W of each group of readers, weighted kappa of each pair."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from streamer.metrics.estimate import Figure, Resampling, without_empty_interval
from streamer.studies.agreement import Concordance, KappaWeights, kendalls_w, weighted_kappa
from streamer.studies.ratings import ReaderRatings

WEIGHTS: tuple[KappaWeights, ...] = ("linear", "quadratic")


@dataclass(frozen=True, slots=True, kw_only=True)
class GroupConcordance:
    """Kendall's W of a group of readers in a scenario."""

    scenario: str
    group: str
    concordance: Concordance


@dataclass(frozen=True, slots=True, kw_only=True)
class PairKappa:
    """Weighted kappa of two readers in a scenario."""

    scenario: str
    first: str
    second: str
    linear: Figure
    quadratic: Figure


def concordances(data: ReaderRatings, resampling: Resampling) -> tuple[GroupConcordance, ...]:
    """Kendall's W of all readers and of each group in each scenario, on the cases that all of them have rated."""
    ratings = data.ratings
    groups: dict[str, list[int]] = {}
    for number, reader in enumerate(ratings.readers):
        if name := data.groups.get(reader):
            groups.setdefault(name, []).append(number)
    found = []
    for scenario, rows in zip(ratings.treatments, ratings.scores, strict=True):
        for name, members in [("all", list(range(len(ratings.readers)))), *groups.items()]:
            read = ~np.isnan(rows[members]).any(axis=0)
            if len(members) > 1 and read.sum() > 1:
                found_w = kendalls_w(rows[members][:, read], np.array(data.patients)[read], resampling)
                shown = replace(found_w, w=without_empty_interval(found_w.w))
                found.append(GroupConcordance(scenario=scenario, group=name, concordance=shown))
    return tuple(found)


def kappas(data: ReaderRatings, resampling: Resampling) -> tuple[PairKappa, ...]:
    """Weighted kappa of each pair of readers in each scenario; none where the scale has no categories."""
    ratings, scale = data.ratings, data.scale
    found = []
    for scenario, rows in zip(ratings.treatments, ratings.scores, strict=True):
        for first, second in combinations(range(len(ratings.readers)), 2) if scale.labels else ():
            read = ~np.isnan(rows[[first, second]]).any(axis=0)
            if not read.any():
                continue
            one, other = rows[first, read] - scale.low, rows[second, read] - scale.low
            groups = np.array(data.patients)[read]
            linear, quadratic = (
                without_empty_interval(weighted_kappa(one, other, len(scale.labels), kind, groups, resampling))
                for kind in WEIGHTS
            )
            found.append(
                PairKappa(
                    scenario=scenario,
                    first=ratings.readers[first],
                    second=ratings.readers[second],
                    linear=linear,
                    quadratic=quadratic,
                )
            )
    return tuple(found)
