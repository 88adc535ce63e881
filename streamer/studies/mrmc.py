"""Multi-reader multi-case analysis after Obuchowski and Rockette, with Hillis' degrees of freedom.

Obuchowski and Rockette, Commun Stat Simul Comput 1995;24:285-308; Hillis, Stat Med 2007;26:596-619,
doi:10.1002/sim.2532; Hillis, Stat Med 2014;33:330-360. The area of reader j in treatment i is the sum of a mean, a
fixed effect of the treatment, a random reader, their interaction and an error that is correlated through the cases:
Cov1 for one reader in two treatments, Cov2 for two readers in one treatment, Cov3 for two readers in two treatments.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from math import inf, isnan, nan, sqrt
from typing import Literal

import numpy as np
from scipy import stats

from streamer.errors import DataError
from streamer.studies.areas import Bools, CovarianceMethod, Floats, covariance, placements
from streamer.studies.design import Design, Ratings

Inference = Literal["both", "readers", "cases"]
"""What is random: readers and cases, readers alone (fixed cases), cases alone (fixed readers)."""

_ROUNDING = 1e-14
"""A variance below it is what rounding leaves of 0: neither a test nor an interval can be given."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Components:
    """Variance of a reader's area and what makes it up.

    Attributes:
        error: variance of an area by the cases, mean over readers and treatments.
        cov1, cov2, cov3: covariances of the errors, see the module.
        reader, interaction: variances of reader and of treatment by reader; below 0 where the data show none.
    """

    error: float
    cov1: float
    cov2: float
    cov3: float
    reader: float
    interaction: float

    @property
    def correlations(self) -> tuple[float, float, float]:
        """The covariances as correlations."""
        return self.cov1 / self.error, self.cov2 / self.error, self.cov3 / self.error


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A mean area or a difference of two.

    Attributes:
        name: the treatment, or "first - second".
        value: estimate.
        standard_error: of the estimate.
        df: degrees of freedom of the t distribution; infinite for the normal one.
        low, high: interval at the level asked for; a mean's is cut at 0 and 1; NaN without variance.
        statistic: t or z against 0; NaN for a mean, and without variance.
        p_value: two-sided, unadjusted; NaN as the statistic is.
        p_holm: after Holm over the comparisons that it was shown with; NaN before.
    """

    name: str
    value: float
    standard_error: float
    df: float
    low: float
    high: float
    statistic: float = nan
    p_value: float = nan
    p_holm: float = nan


@dataclass(frozen=True, slots=True, kw_only=True)
class GlobalTest:
    """Test that all treatments have the same mean area: F with df1 and df2, or chi-squared with df1 (df2 infinite)."""

    statistic: float
    df1: float
    df2: float
    p_value: float

    @property
    def name(self) -> str:
        """ "F" or "chi-squared"."""
        return "chi-squared" if self.df2 == inf else "F"


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """Outcome of a multi-reader multi-case analysis.

    Attributes:
        ratings: what was analysed.
        inference: what is random.
        method: of the covariances; empty for fixed cases, which need none.
        areas: shape (t, r).
        ms_treatment, ms_reader, ms_interaction: mean squares of the areas.
        components: None for fixed cases.
        test: of all treatments at once; None with one treatment.
        means: a mean a treatment.
        differences: of each pair of treatments.
    """

    ratings: Ratings
    inference: Inference
    method: CovarianceMethod | Literal["", "clustered DeLong"]
    areas: Floats
    ms_treatment: float
    ms_reader: float
    ms_interaction: float
    components: Components | None
    test: GlobalTest | None
    means: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]


def analyse(
    ratings: Ratings,
    *,
    inference: Inference = "both",
    method: CovarianceMethod | None = None,
    matrix: Floats | None = None,
    level: float = 0.95,
) -> Analysis:
    """Compare treatments over all readers.

    Args:
        ratings: of at least two readers, unless the readers are fixed.
        inference: what the study's readers and cases are samples of.
        method: of the covariances; default: DeLong for a factorial design, the jackknife else.
        matrix: covariance matrix of `ratings.curves` to take instead, such as `areas.clustered_covariance`.
        level: coverage of the intervals.

    Raises:
        DataError: one reader who should be random, or DeLong's method for a design that is not factorial.

    Example:
        >>> import numpy as np
        >>> rng = np.random.default_rng(0)
        >>> truth = np.arange(60) < 30
        >>> scores = rng.normal(size=(2, 4, 60)) + truth * np.array([1.0, 1.5])[:, None, None]
        >>> study = Ratings(treatments=("without", "with"), readers=tuple("abcd"), truth=truth, scores=scores)
        >>> analyse(study).differences[0].name
        'without - with'
    """
    if inference != "cases" and len(ratings.readers) < 2:
        raise DataError("one reader is no sample of readers: analyse with fixed readers")
    areas = placements(ratings.truth, ratings.curves).areas.reshape(len(ratings.treatments), len(ratings.readers))
    if inference == "readers":
        matrix, used = None, ""
    elif matrix is not None:
        used = "clustered DeLong"
    else:
        used = method or ("delong" if ratings.design == "factorial" else "jackknife")
        if used == "delong" and ratings.design != "factorial":
            raise DataError(
                f"DeLong's covariances need every case rated by every reader in every treatment; this design is "
                f"{ratings.design}: take the jackknife"
            )
        matrix = covariance(ratings.truth, ratings.curves, used)
    squares = _mean_squares(areas)
    parts = None if matrix is None else _components(areas, matrix, squares, ratings.design)
    spread, df = _spread(areas, squares, parts, inference)
    return Analysis(
        ratings=ratings,
        inference=inference,
        method=used,  # type: ignore[arg-type]
        areas=areas,
        ms_treatment=squares[0],
        ms_reader=squares[1],
        ms_interaction=squares[2],
        components=parts,
        test=_global_test(squares[0], spread, areas.shape[0] - 1, df),
        means=_means(ratings, areas, matrix, inference, level),
        differences=_differences(ratings, areas, spread, df, level),
    )


def against_one(ratings: Ratings, treatment: int, scores: Floats, *, level: float = 0.95) -> Estimate:
    """Mean area of all readers in one treatment less the area of a single curve, such as that of a network.

    Readers and cases are random, the single curve is fixed: each reader's difference is one observation of a study with
    one treatment (Hillis, Obuchowski and Berbaum, Acad Radiol 2011;18:129-142, applied to differences).

    Args:
        ratings: of at least two readers, every case rated.
        treatment: number of the treatment, from 0.
        scores: of the single curve, shape (n,).
        level: coverage of the interval.

    Raises:
        DataError: one reader, or a rating is missing.
    """
    readers = len(ratings.readers)
    if readers < 2:
        raise DataError("one reader is no sample of readers")
    curves = np.vstack([ratings.scores[treatment], scores])
    matrix = covariance(ratings.truth, curves, "delong")
    contrast = np.hstack([np.eye(readers), -np.ones((readers, 1))])
    differences = contrast @ placements(ratings.truth, curves).areas
    variance, df = _mean_variance(differences, contrast @ matrix @ contrast.T, "factorial", "both")
    value, error = float(differences.mean()), _root(variance)
    half, statistic = _quantile(level, df) * error, value / error
    return Estimate(
        name=f"{ratings.treatments[treatment]} - AI",
        value=value,
        standard_error=error,
        df=df,
        low=value - half,
        high=value + half,
        statistic=statistic,
        p_value=float(2 * (stats.norm.sf(abs(statistic)) if df == inf else stats.t.sf(abs(statistic), df))),
    )


def _mean_squares(areas: Floats) -> tuple[float, float, float]:
    """Mean squares of treatment, reader and their interaction; 0 where there are no degrees of freedom."""
    t, r = areas.shape
    by_treatment, by_reader, mean = areas.mean(axis=1), areas.mean(axis=0), areas.mean()
    rest = areas - by_treatment[:, None] - by_reader[None, :] + mean
    return (
        float(r * ((by_treatment - mean) ** 2).sum() / max(t - 1, 1)),
        float(t * ((by_reader - mean) ** 2).sum() / max(r - 1, 1)),
        float((rest**2).sum() / max((t - 1) * (r - 1), 1)),
    )


def _components(areas: Floats, matrix: Floats, squares: tuple[float, float, float], design: Design) -> Components:
    t, r = areas.shape
    treatment, reader = np.repeat(np.arange(t), r), np.tile(np.arange(r), t)
    same_treatment, same_reader = treatment[:, None] == treatment, reader[:, None] == reader

    def mean(where: Bools) -> float:
        return float(matrix[where].mean()) if where.any() else 0.0

    cov1, cov2, cov3 = (
        mean(~same_treatment & same_reader),
        mean(same_treatment & ~same_reader),
        mean(~same_treatment & ~same_reader),
    )
    # Curves without a common case are independent: what the estimate says of them is noise.
    if design == "cases nested in readers":
        cov2 = cov3 = 0.0
    elif design == "cases nested in treatments":
        cov1 = cov3 = 0.0
    error = float(np.diag(matrix).mean())
    return Components(
        error=error,
        cov1=cov1,
        cov2=cov2,
        cov3=cov3,
        reader=(squares[1] - squares[2]) / t - cov1 + cov3 if r > 1 else nan,
        interaction=squares[2] - error + cov1 + cov2 - cov3 if r > 1 else nan,
    )


def _spread(
    areas: Floats, squares: tuple[float, float, float], parts: Components | None, inference: Inference
) -> tuple[float, float]:
    """Denominator of the test and its degrees of freedom (Hillis 2007)."""
    t, r = areas.shape
    interaction = squares[2]
    base = (t - 1) * (r - 1)
    if parts is None:  # fixed cases
        return interaction, float(base)
    if inference == "cases":
        return parts.error - parts.cov1 + (r - 1) * (parts.cov2 - parts.cov3), inf
    spread = interaction + r * max(parts.cov2 - parts.cov3, 0.0)
    return spread, base * (spread / interaction) ** 2 if interaction > _ROUNDING else inf


def _global_test(ms_treatment: float, spread: float, df1: int, df2: float) -> GlobalTest | None:
    if df1 < 1:
        return None
    if spread <= _ROUNDING:
        return GlobalTest(statistic=nan, df1=float(df1), df2=df2, p_value=nan)
    ratio = ms_treatment / spread
    if df2 == inf:
        ratio *= df1
        return GlobalTest(statistic=ratio, df1=float(df1), df2=inf, p_value=float(stats.chi2.sf(ratio, df1)))
    return GlobalTest(statistic=ratio, df1=float(df1), df2=df2, p_value=float(stats.f.sf(ratio, df1, df2)))


def _differences(ratings: Ratings, areas: Floats, spread: float, df: float, level: float) -> tuple[Estimate, ...]:
    error = _root(2 / len(ratings.readers) * spread)
    means = areas.mean(axis=1)
    found = []
    for first, second in combinations(range(len(means)), 2):
        value = float(means[first] - means[second])
        statistic = value / error
        half = _quantile(level, df) * error
        found.append(
            Estimate(
                name=f"{ratings.treatments[first]} - {ratings.treatments[second]}",
                value=value,
                standard_error=error,
                df=df,
                low=value - half,
                high=value + half,
                statistic=statistic,
                p_value=float(2 * (stats.norm.sf(abs(statistic)) if df == inf else stats.t.sf(abs(statistic), df))),
            )
        )
    return tuple(found)


def _means(
    ratings: Ratings, areas: Floats, matrix: Floats | None, inference: Inference, level: float
) -> tuple[Estimate, ...]:
    """Each treatment's mean, from that treatment's areas and covariances alone (Hillis 2014)."""
    r = len(ratings.readers)
    found = []
    for number, (name, row) in enumerate(zip(ratings.treatments, areas, strict=True)):
        block = None if matrix is None else matrix[number * r : (number + 1) * r, number * r : (number + 1) * r]
        variance, df = _mean_variance(row, block, ratings.design, inference)
        error, value = _root(variance), float(row.mean())
        half = _quantile(level, df) * error
        low, high = (nan, nan) if isnan(half) else (max(0.0, value - half), min(1.0, value + half))
        found.append(Estimate(name=name, value=value, standard_error=error, df=df, low=low, high=high))
    return tuple(found)


def _mean_variance(row: Floats, block: Floats | None, design: Design, inference: Inference) -> tuple[float, float]:
    r = len(row)
    ms_reader = float(row.var(ddof=1)) if r > 1 else 0.0
    cov2 = 0.0
    if block is not None and r > 1 and design != "cases nested in readers":
        cov2 = max(float(block[~np.eye(r, dtype=np.bool_)].mean()), 0.0)
    if inference == "cases":
        assert block is not None
        return (float(np.diag(block).mean()) + (r - 1) * cov2) / r, inf
    if inference == "readers":
        return ms_reader / r, float(r - 1)
    df = (r - 1) * ((ms_reader + r * cov2) / ms_reader) ** 2 if ms_reader > _ROUNDING else inf
    return ms_reader / r + cov2, df


def _quantile(level: float, df: float) -> float:
    tail = 0.5 + level / 2
    return float(stats.norm.ppf(tail) if df == inf else stats.t.ppf(tail, df))


def _root(variance: float) -> float:
    """The standard error; NaN without variance."""
    return sqrt(variance) if variance > _ROUNDING else nan
