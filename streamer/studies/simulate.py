"""Simulated readers of stated skill and correlation, on simulated cases or on the network's own predictions.

The model is that of Roe and Metz (Acad Radiol 1997;4:298-303): the latent suspicion of a case is a mean, which depends
on truth and scenario, plus independent normal effects of reader, case, scenario by reader, scenario by case and reader
by case, and an error. The variances of those four that involve a case add up to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isfinite, sqrt

import numpy as np
import numpy.typing as npt
from scipy import stats

from streamer._progress import track
from streamer.errors import DataError
from streamer.metrics.estimate import Figure, proportion
from streamer.studies.areas import Bools, Floats
from streamer.studies.design import Ratings
from streamer.studies.mrmc import analyse

_CATEGORY_SHARES = (0.3, 0.5, 0.7, 0.87)
"""Cumulative shares of the five categories among all cases of the first scenario: a plain choice, no finding."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReaderModel:
    """What the readers are like.

    Attributes:
        areas: expected AUC in each scenario, above 0 and below 1.
        reader, interaction: variances of reader and of scenario by reader, each drawn anew for either truth.
        case, scenario_case, reader_case, error: variances that involve the case; they add up to 1. The larger the first
            two, the more readers agree; the larger `case` and `reader_case`, the more a reader agrees with himself.
        ai_correlation: of the case effect with the network's score within a class, -1 to 1.
        patient_share: of the rest of the case effect that all images of a patient have in common, 0 to 1.
    """

    areas: tuple[float, ...]
    reader: float = 0.02
    interaction: float = 0.02
    case: float = 0.3
    scenario_case: float = 0.1
    reader_case: float = 0.2
    error: float = 0.4
    ai_correlation: float = 0.6
    patient_share: float = 0.7

    def __post_init__(self) -> None:
        """Refuse what is no model."""
        parts = (self.case, self.scenario_case, self.reader_case, self.error)
        variances = (*parts, self.reader, self.interaction)
        if not all(isfinite(part) and part >= 0 for part in variances) or abs(sum(parts) - 1) > 1e-6:
            raise DataError(
                "variances are finite and not negative, and those of case, scenario by case, reader by case and error "
                f"add up to 1 (got {', '.join(f'{part:g}' for part in parts)})"
            )
        if not self.areas or not all(0 < area < 1 for area in self.areas):
            raise DataError("an expected AUC lies between 0 and 1")
        if not -1 <= self.ai_correlation <= 1 or not 0 <= self.patient_share <= 1:
            raise DataError("the correlation with the AI lies from -1 to 1, the patient's share from 0 to 1")

    @property
    def means(self) -> Floats:
        """Latent mean of malignant cases in each scenario; benign ones have 0.

        A reader's area is that of two normal distributions whose distance varies over readers; its expectation is again
        a normal distribution's.
        """
        width = sqrt(2 * (1 + self.reader + self.interaction))
        return np.array([width * stats.norm.ppf(area) for area in self.areas], np.float64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cases:
    """Cases to be read.

    Attributes:
        names, patients: of each case.
        truth: shape (n,).
        ai: the network's score, shape (n,); None for cases without.
    """

    names: tuple[str, ...]
    patients: tuple[str, ...]
    truth: Bools
    ai: Floats | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerEstimate:
    """What many simulated studies found.

    Attributes:
        power: share of studies with P below alpha.
        coverage: share of studies whose 95 % interval holds the true difference.
        mean_difference: second scenario less first, mean over studies.
    """

    power: Figure
    coverage: Figure
    mean_difference: float


def made_up_cases(malignant: int, benign: int) -> Cases:
    """Cases without a picture, one per patient.

    Raises:
        DataError: fewer than two of a class.
    """
    if min(malignant, benign) < 2:
        raise DataError(f"a study needs two cases of each class, got {malignant} malignant and {benign} benign")
    names = tuple(f"case-{number:04d}" for number in range(1, malignant + benign + 1))
    return Cases(names=names, patients=names, truth=np.arange(malignant + benign) < malignant)


def latent_scores(model: ReaderModel, cases: Cases, readers: int, rng: np.random.Generator) -> Floats:
    """Latent suspicion, shape (scenarios, readers, cases)."""
    t, n = len(model.areas), len(cases.truth)
    truth = cases.truth.astype(np.int64)

    def normal(variance: float, *shape: int) -> Floats:
        return sqrt(variance) * rng.standard_normal(shape)

    # Effects of readers are drawn once for benign and once for malignant cases.
    reader = normal(model.reader, 1, readers, 2)[:, :, truth]
    interaction = normal(model.interaction, t, readers, 2)[:, :, truth]
    return np.asarray(
        model.means[:, None, None] * truth
        + reader
        + interaction
        + sqrt(model.case) * _case_effect(model, cases, rng)
        + normal(model.scenario_case, t, 1, n)
        + normal(model.reader_case, 1, readers, n)
        + normal(model.error, t, readers, n)
    )


def in_categories(latent: Floats) -> Floats:
    """Latent suspicion as categories 1 to 5, with the same thresholds for all readers and scenarios."""
    thresholds = np.quantile(latent[0], _CATEGORY_SHARES)
    return np.searchsorted(thresholds, latent, side="right").astype(np.float64) + 1


def simulate(
    model: ReaderModel,
    cases: Cases,
    *,
    scenarios: Sequence[str],
    readers: Sequence[str],
    seed: int,
) -> Ratings:
    """A simulated reader study: ratings in categories, 1 to 5.

    Args:
        model: what the readers are like, an area for each scenario.
        cases: what they read.
        scenarios, readers: names.
        seed: another seed, other readers.

    Raises:
        DataError: not an area for each scenario, or one class only.

    Example:
        >>> model = ReaderModel(areas=(0.8, 0.85))
        >>> study = simulate(model, made_up_cases(30, 40), scenarios=("without", "freestyle"), readers="abc", seed=1)
        >>> study.scores.shape
        (2, 3, 70)
    """
    if len(scenarios) != len(model.areas):
        raise DataError(f"{len(scenarios)} scenarios need as many expected AUCs, got {len(model.areas)}")
    latent = latent_scores(model, cases, len(readers), np.random.default_rng(seed))
    return Ratings(treatments=tuple(scenarios), readers=tuple(readers), truth=cases.truth, scores=in_categories(latent))


def estimate_power(
    model: ReaderModel,
    cases: Cases,
    *,
    readers: int,
    studies: int,
    seed: int,
    alpha: float = 0.05,
) -> PowerEstimate:
    """Simulate many studies of two scenarios with new readers and new cases, and analyse each.

    Cases with predictions are drawn anew from those given, each class by itself, with replacement; ratings are the
    latent numbers, of which the true difference is known.

    Raises:
        DataError: not two scenarios.
    """
    if len(model.areas) != 2:
        raise DataError("power is estimated for two scenarios")
    true = model.areas[0] - model.areas[1]
    found = covered = 0
    total = 0.0
    names = tuple(str(number) for number in range(readers))
    for number in track(range(studies), studies, "simulating studies"):
        rng = np.random.default_rng([seed, number])
        drawn = cases if cases.ai is None else _redrawn(cases, rng)
        latent = latent_scores(model, drawn, readers, rng)
        ratings = Ratings(treatments=("first", "second"), readers=names, truth=drawn.truth, scores=latent)
        difference = analyse(ratings).differences[0]
        found += difference.p_value < alpha
        covered += difference.low <= true <= difference.high
        total -= difference.value
    return PowerEstimate(
        power=proportion(found, studies), coverage=proportion(covered, studies), mean_difference=total / studies
    )


def _case_effect(model: ReaderModel, cases: Cases, rng: np.random.Generator) -> Floats:
    """Standard normal effect of each case, shape (n,)."""
    patient = np.unique(np.array(cases.patients), return_inverse=True)[1]
    common, own = rng.standard_normal(int(patient.max()) + 1)[patient], rng.standard_normal(len(patient))
    rest = sqrt(model.patient_share) * common + sqrt(1 - model.patient_share) * own
    if cases.ai is None:
        return np.asarray(rest)
    known = np.empty(len(patient))
    for part in (cases.truth, ~cases.truth):
        known[part] = stats.norm.ppf((stats.rankdata(cases.ai[part]) - 0.5) / max(int(part.sum()), 1))
    return np.asarray(model.ai_correlation * known + sqrt(1 - model.ai_correlation**2) * rest)


def _redrawn(cases: Cases, rng: np.random.Generator) -> Cases:
    rows: npt.NDArray[np.int64] = np.concatenate(
        [rng.choice(np.flatnonzero(part), int(part.sum())) for part in (cases.truth, ~cases.truth)]
    )
    assert cases.ai is not None
    names = tuple(f"{number}" for number in range(len(rows)))
    return Cases(names=names, patients=names, truth=cases.truth[rows], ai=cases.ai[rows])
