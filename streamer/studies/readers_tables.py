"""Tables of a reader study."""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf, isnan

from streamer.studies.agreement import reading_of
from streamer.studies.csv_file import Cell
from streamer.studies.mrmc import Analysis, Estimate, GlobalTest
from streamer.studies.readers import AI, LevelStudy
from streamer.studies.tables import NOT_ESTIMABLE, Table, area_text, figure_text, interval_word, number, p_text

_NO_VARIANCE = (
    f"An interval is {NOT_ESTIMABLE} where ratings have no variance: an AUC of exactly 0 or 1, or all ratings equal."
)

_BOOTSTRAP = f"Bootstrap intervals by patient; {NOT_ESTIMABLE} where every resample gives the same."


def area_table(level: LevelStudy) -> Table:
    """AUC of the AI and of each reader in each scenario: a row a reader, as in the paper's Table 6."""
    ratings = level.data.ratings
    cells = {(area.reader, area.scenario): area for area in level.areas}
    rows = []
    if level.ai is not None:
        rows.append((AI, figure_text(cells[AI, ""].delong), *[""] * (len(ratings.treatments) - 1)))
    for reader in ratings.readers:
        group = level.data.groups.get(reader)
        name = f"{reader} ({group})" if group else reader
        rows.append((name, *(figure_text(cells[reader, scenario].delong) for scenario in ratings.treatments)))
    return Table(
        name="auc",
        title="Area under the ROC curve",
        headings=("reader", *ratings.treatments),
        rows=tuple(rows),
        columns=(
            "level", "reader", "group", "scenario", "auc", "low", "high", "interval", "clustered_low", "clustered_high",
            "cases",
        ),
        records=tuple(
            (
                level.level, area.reader, level.data.groups.get(area.reader, ""), area.scenario, area.delong.value,
                number(area.delong.low), number(area.delong.high),
                interval_word(area.delong.value, area.delong.low, "DeLong"),
                number(area.clustered[0]) if area.clustered else None,
                number(area.clustered[1]) if area.clustered else None, area.delong.count,
            )
            for area in level.areas
        ),
        note="DeLong's intervals. " + _NO_VARIANCE
        + (" The AI has one value for all scenarios." if level.ai is not None else ""),
    )  # fmt: skip


def test_table(level: LevelStudy) -> Table:
    """DeLong's tests of each reader."""
    clustered = level.data.has_patients
    return Table(
        name="tests",
        title="Comparisons of each reader",
        headings=(
            "reader", "comparison", "difference", "P, unadjusted", "P, Holm over readers",
            *(("P, clustered",) if clustered else ()), "n",
        ),
        rows=tuple(
            (
                test.reader, f"{test.first} - {test.second}", figure_text(test.test.difference),
                p_text(test.test.p_value), p_text(test.p_holm), *((p_text(test.p_clustered),) if clustered else ()),
                str(test.test.difference.count),
            )
            for test in level.tests
        ),
        columns=(
            "level", "reader", "first", "second", "difference", "low", "high", "interval", "p", "p_holm",
            "p_clustered", "cases",
        ),
        records=tuple(
            (
                level.level, test.reader, test.first, test.second, test.test.difference.value,
                number(test.test.difference.low), number(test.test.difference.high),
                interval_word(test.test.difference.value, test.test.difference.low, "DeLong"),
                number(test.test.p_value), number(test.p_holm), number(test.p_clustered), test.test.difference.count,
            )
            for test in level.tests
        ),
        note="DeLong's test; Holm over the readers of a comparison" + (
            "; clustered: unadjusted, a patient's images as one cluster." if clustered else "."
        ),
    )  # fmt: skip


def category_table(level: LevelStudy) -> tuple[Table, ...]:
    """Sensitivity and specificity at each category, and the AI's at its operating point."""
    points = (*((level.ai_point,) if level.ai_point else ()), *level.points)
    if not points:
        return ()
    return (
        Table(
            name="categories",
            title="Sensitivity and specificity if a category and all above it count as malignant",
            headings=("reader", "scenario", "from", "sensitivity", "specificity"),
            rows=tuple(
                (
                    point.reader,
                    point.scenario,
                    point.category,
                    figure_text(point.sensitivity),
                    figure_text(point.specificity),
                )
                for point in points
            ),
            columns=(
                "level", "reader", "scenario", "category", "sensitivity", "sensitivity_low", "sensitivity_high",
                "malignant", "specificity", "specificity_low", "specificity_high", "benign",
            ),
            records=tuple(
                (
                    level.level, point.reader, point.scenario, point.category, number(point.sensitivity.value),
                    number(point.sensitivity.low), number(point.sensitivity.high), point.sensitivity.count,
                    number(point.specificity.value), number(point.specificity.low), number(point.specificity.high),
                    point.specificity.count,
                )
                for point in points
            ),
            note="Wilson's intervals, cases taken as independent.",
        ),
    )  # fmt: skip


def agreement_tables(level: LevelStudy) -> tuple[Table, ...]:
    """Kendall's W of each group, and weighted kappa of each pair."""
    tables = []
    if level.concordances:
        tables.append(
            Table(
                name="concordance",
                title="Kendall's coefficient of concordance",
                headings=("scenario", "readers", "W", "agreement", "P", "n"),
                rows=tuple(
                    (
                        entry.scenario, f"{entry.group} ({entry.concordance.readers})",
                        figure_text(entry.concordance.w), reading_of(entry.concordance.w.value),
                        p_text(entry.concordance.p_value), str(entry.concordance.w.count),
                    )
                    for entry in level.concordances
                ),
                columns=(
                    "level", "scenario", "group", "readers", "w", "low", "high", "interval", "agreement",
                    "chi_squared", "df", "p", "cases",
                ),
                records=tuple(
                    (
                        level.level, entry.scenario, entry.group, entry.concordance.readers,
                        number(entry.concordance.w.value), number(entry.concordance.w.low),
                        number(entry.concordance.w.high),
                        interval_word(entry.concordance.w.value, entry.concordance.w.low, "bootstrap"),
                        reading_of(entry.concordance.w.value), number(entry.concordance.chi_squared),
                        entry.concordance.df, number(entry.concordance.p_value), entry.concordance.w.count,
                    )
                    for entry in level.concordances
                ),
                note=f"{_BOOTSTRAP} Up to 0.20 poor, 0.40 fair, 0.60 moderate, 0.80 substantial, "
                "above excellent.",
            )
        )  # fmt: skip
    if level.kappas:
        tables.append(
            Table(
                name="kappa",
                title="Weighted kappa of each pair of readers",
                headings=("scenario", "readers", "linear weights", "quadratic weights", "n"),
                rows=tuple(
                    (
                        pair.scenario, f"{pair.first}, {pair.second}", figure_text(pair.linear),
                        figure_text(pair.quadratic), str(pair.linear.count),
                    )
                    for pair in level.kappas
                ),
                columns=(
                    "level", "scenario", "first", "second", "linear", "linear_low", "linear_high", "linear_interval",
                    "quadratic", "quadratic_low", "quadratic_high", "quadratic_interval", "cases",
                ),
                records=tuple(
                    (
                        level.level, pair.scenario, pair.first, pair.second, number(pair.linear.value),
                        number(pair.linear.low), number(pair.linear.high),
                        interval_word(pair.linear.value, pair.linear.low, "bootstrap"), number(pair.quadratic.value),
                        number(pair.quadratic.low), number(pair.quadratic.high),
                        interval_word(pair.quadratic.value, pair.quadratic.low, "bootstrap"), pair.linear.count,
                    )
                    for pair in level.kappas
                ),
                note=_BOOTSTRAP,
            )
        )  # fmt: skip
    return tuple(tables)


def mrmc_tables(level: LevelStudy, inferences: Mapping[str, str]) -> tuple[Table, ...]:
    """Means and differences for each kind of inference, the readers against the AI, the components of variance."""
    rows: list[tuple[str, ...]] = []
    records: list[tuple[Cell, ...]] = []
    for analysis in level.analyses:
        said = inferences[analysis.inference].split(":")[0]
        head = level.level, analysis.inference, analysis.method
        for kind, estimates in (("mean", analysis.means), ("difference", analysis.differences)):
            rows += [_estimate_row(estimate, said) for estimate in estimates]
            records += [(*head, kind, *_numbers(estimate)) for estimate in estimates]
        if (test := overall_test(analysis)) is not None:
            df = f"{test.df1:.0f}" + ("" if isinf(test.df2) else f", {test.df2:.2f}")
            value = "not defined" if isnan(test.statistic) else f"{test.name} = {test.statistic:.3f}"
            rows.append((said, overall_name(analysis), value, "", df, p_text(test.p_value), ""))
            record = (
                overall_name(analysis), None, None, number(test.df2), None, None, number(test.statistic),
                number(test.p_value), None, test.df1,
            )  # fmt: skip
            records.append((*head, "overall test", *record))
    tables = [
        Table(
            name="mrmc",
            title="Mean AUC and differences",
            headings=(
                "inference", "scenario or difference", "value (95 % interval)", "standard error", "df",
                "P, unadjusted", "P, Holm over pairs",
            ),
            rows=tuple(rows),
            columns=(
                "level", "inference", "covariances", "kind", "name", "value", "standard_error", "df", "low", "high",
                "statistic", "p", "p_holm", "df1",
            ),
            records=tuple(records),
            note="; ".join(inferences[analysis.inference] for analysis in level.analyses).capitalize() + ". Holm over "
            "the pairs of scenarios that are shown, for each kind of inference.",
        )
    ]  # fmt: skip
    if level.against_ai:
        tables.append(
            Table(
                name="mrmc-against-ai",
                title="Mean of the readers less the AI",
                headings=(
                    "scenario",
                    "difference (95 % interval)",
                    "standard error",
                    "df",
                    "P, unadjusted",
                    "P, Holm over scenarios",
                ),
                rows=tuple(_estimate_row(estimate, "")[1:] for estimate in level.against_ai),
                columns=("level", "name", "value", "standard_error", "df", "low", "high", "statistic", "p", "p_holm"),
                records=tuple((level.level, *_numbers(estimate)[:-1]) for estimate in level.against_ai),
                note="Readers and cases random, the AI fixed.",
            )
        )
    return (*tables, _components_table(level))


def _components_table(level: LevelStudy) -> Table:
    rows, records = [], []
    for analysis in level.analyses[:1]:
        parts = analysis.components
        assert parts is not None, "readers and cases random come first"
        values = [
            ("MS(T)", analysis.ms_treatment), ("MS(R)", analysis.ms_reader), ("MS(T:R)", analysis.ms_interaction),
            ("error", parts.error), ("Cov1", parts.cov1), ("Cov2", parts.cov2), ("Cov3", parts.cov3),
            ("reader", parts.reader), ("treatment by reader", parts.interaction),
        ]  # fmt: skip
        if analysis.test is not None:
            values += [(analysis.test.name, analysis.test.statistic), ("P", analysis.test.p_value)]
        rows = [(name, "not defined" if isnan(value) else f"{value:.7g}") for name, value in values]
        records = [(level.level, analysis.method, name, number(value)) for name, value in values]
    return Table(
        name="mrmc-components",
        title="What the variance is made of",
        headings=("component", "value"),
        rows=tuple(rows),
        columns=("level", "covariances", "component", "value"),
        records=tuple(records),
        note=f"Covariances: {level.analyses[0].method}; design: {level.data.ratings.design}.",
    )


def overall_test(analysis: Analysis) -> GlobalTest | None:
    """The test of all the readers' own scenarios at once; None for two, whose difference is the same test."""
    return analysis.test if len(analysis.ratings.treatments) > 2 else None


def overall_name(analysis: Analysis) -> str:
    """What the overall test compares."""
    return f"overall test of {', '.join(analysis.ratings.treatments)}"


def _estimate_row(estimate: Estimate, inference: str) -> tuple[str, ...]:
    df = "normal" if isinf(estimate.df) else f"{estimate.df:.2f}"
    value = area_text(estimate.value, estimate.low, estimate.high)
    error = "-" if isnan(estimate.standard_error) else f"{estimate.standard_error:.4f}"
    return inference, estimate.name, value, error, df, p_text(estimate.p_value), p_text(estimate.p_holm)


def _numbers(estimate: Estimate) -> tuple[str | float | None, ...]:
    """As the columns from "name" on; the last, `df1`, is of an overall test alone."""
    numbers = (
        estimate.value, estimate.standard_error, estimate.df, estimate.low, estimate.high, estimate.statistic,
        estimate.p_value, estimate.p_holm,
    )  # fmt: skip
    return (estimate.name, *(number(one) for one in numbers), None)
