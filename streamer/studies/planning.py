"""How many readers and cases a study needs: power of the multi-reader multi-case test.

Hillis, Obuchowski and Berbaum, Acad Radiol 2011;18:129-142: the test of two treatments has a noncentral F distribution
whose noncentrality falls with the variances; those by the cases fall with the number of cases, in proportion.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, sqrt
from typing import Literal

from scipy import stats

from streamer.errors import DataError
from streamer.studies.mrmc import Components

Population = Literal["both", "cases"]
"""What the study to be planned generalises to: readers and cases, or cases for these readers alone."""

_MAX_CASES = 100_000
_MIN_OF_A_CLASS = 2  # fewer make no AUC
_MAX_SD = 0.25  # that of areas spread evenly over two points, 0.5 and 1
_ROUNDING = 1e-14  # below it a variance is what rounding leaves of 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Pilot:
    """What is known of the variances, from a pilot study or assumed.

    Attributes:
        components: of the pilot; an interaction below 0 counts as 0.
        cases: number of cases that the components belong to; the study is taken to have the same share of malignant.
        area: mean AUC of the first treatment; None where it is not known.

    Raises:
        DataError: areas do not vary with the cases, so that no number of cases follows.
    """

    components: Components
    cases: int
    area: float | None = None

    def __post_init__(self) -> None:
        """Refuse variances from which nothing can be planned."""
        parts = self.components
        if not parts.error - max(parts.cov1, 0.0) > _ROUNDING:
            raise DataError(
                "areas of this pilot do not vary with the cases (AUCs of exactly 0 or 1, equal ratings, or the same "
                "ratings in both scenarios): no number of cases follows from it; take a larger pilot, or state --auc, "
                "--correlations and --reader-sd"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyDesign:
    """A study design with its power.

    Attributes:
        readers, cases: size of the study.
        malignant: of the cases, where the share is known.
        power: probability of P below alpha.
    """

    readers: int
    cases: int
    malignant: int | None
    power: float


def assumed_pilot(
    *,
    area: float,
    malignant: int,
    benign: int,
    correlations: tuple[float, float, float],
    interaction_sd: float,
) -> Pilot:
    """A pilot from assumptions instead of data.

    The variance of an area follows Hanley and McNeil (Radiology 1982;143:29-36).

    Args:
        area: expected AUC in the first treatment, above 0.5 and below 1.
        malignant, benign: numbers of cases that the variance is worked out for; any will do, since it is scaled.
        correlations: of areas of one reader in two treatments, two readers in one, two readers in two.
        interaction_sd: standard deviation over readers of what a treatment does for them, in AUC.

    Raises:
        DataError: a value is out of range.
    """
    r1, r2, r3 = correlations
    if not 0.5 < area < 1:
        raise DataError(f"the expected AUC must lie between 0.5 and 1, got {area:g}")
    if not (0 <= r3 <= r2 < 1 and r3 <= r1 < 1):
        raise DataError("correlations r1, r2, r3 must lie from 0 to below 1, with r3 the least of them")
    if r1 + r2 - r3 >= 1:
        raise DataError(f"correlations need r1 + r2 - r3 below 1, got {r1 + r2 - r3:g}: no areas have such a variance")
    if not 0 <= interaction_sd < _MAX_SD:
        raise DataError(
            f"readers cannot differ so much: the standard deviation over readers of a difference in AUC lies from 0 to "
            f"below {_MAX_SD * sqrt(2):.2f}, got {interaction_sd * sqrt(2):.3g}"
        )
    if min(malignant, benign) < _MIN_OF_A_CLASS:
        raise DataError(f"an AUC needs two cases of each class, got {malignant} malignant and {benign} benign")
    q1, q2 = area / (2 - area), 2 * area**2 / (1 + area)
    error = (area * (1 - area) + (malignant - 1) * (q1 - area**2) + (benign - 1) * (q2 - area**2)) / (
        malignant * benign
    )
    parts = Components(
        error=error, cov1=r1 * error, cov2=r2 * error, cov3=r3 * error, reader=0.0, interaction=interaction_sd**2
    )
    return Pilot(components=parts, cases=malignant + benign, area=area)


def power(
    pilot: Pilot,
    *,
    difference: float,
    readers: int,
    cases: int,
    population: Population = "both",
    alpha: float = 0.05,
) -> float:
    """Probability that a study finds a difference of two treatments.

    Args:
        pilot: variances.
        difference: true difference of the mean areas, second treatment less first.
        readers: at least 2, or at least 1 for fixed readers.
        cases: number of cases.
        population: what is random.
        alpha: level of the two-sided test.

    Raises:
        DataError: the pilot's variances contradict each other.
    """
    parts, scale = pilot.components, pilot.cases / cases
    shared = parts.cov2 - parts.cov3 if population == "cases" else max(parts.cov2 - parts.cov3, 0.0)
    by_cases = scale * (parts.error - parts.cov1 + (readers - 1) * shared)
    effect = readers * difference**2 / 2
    if not by_cases > _ROUNDING:
        raise DataError("the pilot's covariances leave no variance by the cases: take a larger pilot")
    if population == "cases":
        critical = stats.chi2.ppf(1 - alpha, 1)
        return float(stats.ncx2.sf(critical, 1, effect / by_cases))
    interaction = max(parts.interaction, 0.0)
    spread = interaction + by_cases
    square = interaction + scale * (parts.error - parts.cov1 - shared)  # expected mean square of the interaction
    df2 = (readers - 1) * (spread / max(square, spread * 1e-9)) ** 2
    return float(stats.ncf.sf(stats.f.ppf(1 - alpha, 1, df2), 1, df2, effect / spread))


def plan(
    pilot: Pilot,
    *,
    difference: float,
    readers: int,
    target: float = 0.8,
    population: Population = "both",
    alpha: float = 0.05,
    malignant_share: float | None = None,
) -> StudyDesign | None:
    """The fewest cases that reach a power with these readers; None if 100,000 do not.

    Raises:
        DataError: a value is out of range.
    """
    if readers < (1 if population == "cases" else 2):
        raise DataError("a study whose readers stand for others needs at least two")
    if not 0 < target < 1 or not 0 < alpha < 1:
        raise DataError(f"power and alpha lie between 0 and 1, got {target:g} and {alpha:g}")
    if difference == 0:
        raise DataError("no study finds a difference of 0: say which difference in AUC matters")
    if not -1 < difference < 1:
        raise DataError(f"a difference in AUC lies between -1 and 1, got {difference:g}")
    if malignant_share is not None and not 0 < malignant_share < 1:
        raise DataError(f"the share of malignant cases lies between 0 and 1, got {malignant_share:g}")
    if pilot.area is not None and not 0.5 < pilot.area + difference < 1:
        raise DataError(
            f"an AUC of {pilot.area:.3g} in the first scenario and a difference of {difference:+g} make "
            f"{pilot.area + difference:.3g} in the second: it must lie between 0.5 and 1"
        )

    def reached(cases: int) -> float:
        return power(pilot, difference=difference, readers=readers, cases=cases, population=population, alpha=alpha)

    low, high = _fewest(malignant_share), _MAX_CASES
    if reached(high) < target:
        return None
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if reached(middle) >= target else (middle + 1, high)
    malignant = None if malignant_share is None else ceil(low * malignant_share)
    return StudyDesign(readers=readers, cases=low, malignant=malignant, power=reached(low))


def _fewest(malignant_share: float | None) -> int:
    """The fewest cases that hold two of each class."""
    cases = 2 * _MIN_OF_A_CLASS
    if malignant_share is not None:
        while not _MIN_OF_A_CLASS <= ceil(cases * malignant_share) <= cases - _MIN_OF_A_CLASS:
            cases += 1
    return cases


def half_width(pilot: Pilot, *, readers: int, cases: int) -> float:
    """Expected half width of the 95 % interval of the difference, readers and cases random."""
    parts, scale = pilot.components, pilot.cases / cases
    shared = max(parts.cov2 - parts.cov3, 0.0)
    interaction = max(parts.interaction, 0.0)
    spread = interaction + scale * (parts.error - parts.cov1 + (readers - 1) * shared)
    square = interaction + scale * (parts.error - parts.cov1 - shared)
    df = (readers - 1) * (spread / max(square, spread * 1e-9)) ** 2
    return float(stats.t.ppf(0.975, df)) * sqrt(2 / readers * spread)
