"""Tables of a reader study."""

from __future__ import annotations

from collections.abc import Mapping
from math import isinf

from streamer.studies.agreement import reading_of
from streamer.studies.mrmc import Analysis, Estimate
from streamer.studies.readers import AI, LevelStudy
from streamer.studies.tables import Table, area_text, figure_text, number, p_text


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
            "level", "reader", "group", "scenario", "auc", "low", "high", "clustered_low", "clustered_high", "cases",
        ),
        records=tuple(
            (
                level.level, area.reader, level.data.groups.get(area.reader, ""), area.scenario, area.delong.value,
                area.delong.low, area.delong.high, number(area.clustered[0]) if area.clustered else None,
                number(area.clustered[1]) if area.clustered else None, area.delong.count,
            )
            for area in level.areas
        ),
        note="DeLong's intervals. The AI has one value for all scenarios." if level.ai is not None else
        "DeLong's intervals.",
    )  # fmt: skip


def test_table(level: LevelStudy) -> Table:
    """DeLong's tests of each reader."""
    clustered = level.data.has_patients
    return Table(
        name="tests",
        title="Comparisons of each reader",
        headings=("reader", "comparison", "difference", "P", "P, Holm", *(("P, clustered",) if clustered else ()), "n"),
        rows=tuple(
            (
                test.reader, f"{test.first} - {test.second}", figure_text(test.test.difference),
                p_text(test.test.p_value), p_text(test.p_holm), *((p_text(test.p_clustered),) if clustered else ()),
                str(test.test.difference.count),
            )
            for test in level.tests
        ),
        columns=(
            "level", "reader", "first", "second", "difference", "low", "high", "p", "p_holm", "p_clustered", "cases",
        ),
        records=tuple(
            (
                level.level, test.reader, test.first, test.second, test.test.difference.value,
                number(test.test.difference.low), number(test.test.difference.high), number(test.test.p_value),
                number(test.p_holm), number(test.p_clustered), test.test.difference.count,
            )
            for test in level.tests
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
                    "level", "scenario", "group", "readers", "w", "low", "high", "agreement", "chi_squared", "df", "p",
                    "cases",
                ),
                records=tuple(
                    (
                        level.level, entry.scenario, entry.group, entry.concordance.readers,
                        number(entry.concordance.w.value), number(entry.concordance.w.low),
                        number(entry.concordance.w.high), reading_of(entry.concordance.w.value),
                        number(entry.concordance.chi_squared), entry.concordance.df,
                        number(entry.concordance.p_value), entry.concordance.w.count,
                    )
                    for entry in level.concordances
                ),
                note="Bootstrap intervals by patient. Up to 0.20 poor, 0.40 fair, 0.60 moderate, 0.80 substantial, "
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
                    "level", "scenario", "first", "second", "linear", "linear_low", "linear_high", "quadratic",
                    "quadratic_low", "quadratic_high", "cases",
                ),
                records=tuple(
                    (
                        level.level, pair.scenario, pair.first, pair.second, number(pair.linear.value),
                        number(pair.linear.low), number(pair.linear.high), number(pair.quadratic.value),
                        number(pair.quadratic.low), number(pair.quadratic.high), pair.linear.count,
                    )
                    for pair in level.kappas
                ),
                note="Bootstrap intervals by patient.",
            )
        )  # fmt: skip
    return tuple(tables)


def mrmc_tables(level: LevelStudy, inferences: Mapping[str, str]) -> tuple[Table, ...]:
    """Means and differences for each kind of inference, the readers against the AI, the components of variance."""
    rows, records = [], []
    for analysis in level.analyses:
        estimates = [(False, mean) for mean in analysis.means] + [(True, gap) for gap in analysis.differences]
        for is_difference, estimate in estimates:
            rows.append(_estimate_row(estimate, inferences[analysis.inference].split(":")[0]))
            records.append(_estimate_record(level.level, analysis, estimate, is_difference=is_difference))
    tables = [
        Table(
            name="mrmc",
            title="Mean AUC and differences",
            headings=("inference", "scenario or difference", "value (95 % interval)", "standard error", "df", "P"),
            rows=tuple(rows),
            columns=(
                "level", "inference", "covariances", "kind", "name", "value", "standard_error", "df", "low", "high",
                "statistic", "p",
            ),
            records=tuple(records),
            note="; ".join(inferences[analysis.inference] for analysis in level.analyses).capitalize() + ".",
        )
    ]  # fmt: skip
    if level.against_ai:
        tables.append(
            Table(
                name="mrmc-against-ai",
                title="Mean of the readers less the AI",
                headings=("scenario", "difference (95 % interval)", "standard error", "df", "P"),
                rows=tuple(_estimate_row(estimate, "")[1:] for estimate in level.against_ai),
                columns=("level", "name", "value", "standard_error", "df", "low", "high", "statistic", "p"),
                records=tuple((level.level, *_numbers(estimate)) for estimate in level.against_ai),
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
        rows = [(name, f"{value:.7g}") for name, value in values]
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


def _estimate_row(estimate: Estimate, inference: str) -> tuple[str, ...]:
    df = "normal" if isinf(estimate.df) else f"{estimate.df:.2f}"
    value = area_text(estimate.value, estimate.low, estimate.high)
    return inference, estimate.name, value, f"{estimate.standard_error:.4f}", df, p_text(estimate.p_value)


def _estimate_record(
    level: str, analysis: Analysis, estimate: Estimate, *, is_difference: bool
) -> tuple[str | float | None, ...]:
    kind = "difference" if is_difference else "mean"
    return level, analysis.inference, analysis.method, kind, *_numbers(estimate)


def _numbers(estimate: Estimate) -> tuple[str | float | None, ...]:
    return (
        estimate.name,
        number(estimate.value),
        number(estimate.standard_error),
        number(estimate.df),
        number(estimate.low),
        number(estimate.high),
        number(estimate.statistic),
        number(estimate.p_value),
    )
