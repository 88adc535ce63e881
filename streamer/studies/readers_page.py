"""The page of a reader study."""

from __future__ import annotations

from math import isinf, isnan

from streamer.evaluation.fonts import labels_of, legend_of
from streamer.studies.mrmc import Analysis, Estimate
from streamer.studies.page import Page, Section
from streamer.studies.readers import LevelStudy, ReaderStudy
from streamer.studies.readers_figures import areas_figure, roc_figure
from streamer.studies.readers_tables import (
    agreement_tables,
    area_table,
    category_table,
    mrmc_tables,
    overall_name,
    overall_test,
    test_table,
)

_RANDOM = {
    "both": "readers and cases random: speaks for readers and cases like these",
    "cases": "readers fixed: speaks for these readers, and cases like these",
    "readers": "cases fixed: speaks for readers like these, on these cases",
}


def readers_page(study: ReaderStudy) -> Page:
    """Everything that was worked out, the comparison over all readers first."""
    first = study.levels[0].data
    truth = first.ratings.truth
    lead = (
        f"{len(first.ratings.readers)} readers, {len(truth)} cases ({int(truth.sum())} malignant, "
        f"{int((~truth).sum())} benign) of {len(set(first.patients))} patients; scenarios: "
        f"{', '.join(first.ratings.treatments)}."
    )
    sections = []
    for level in reversed(study.levels):
        sections += _sections(level)
    curves = {
        f"roc-{number}": (f"ROC curves, {scenario}", roc_figure(study, scenario))
        for number, scenario in enumerate(first.ratings.treatments, start=1)
    }
    caption = "Black: the AI, with its operating point as a triangle. Red: readers."
    text = (caption,) if study.levels[0].ai is not None else ()
    sections.append(Section(title="ROC curves", figures=curves, text=text))
    kinds = ("reader", first.ratings.readers), ("scenario", first.ratings.treatments)
    legends = tuple(legend for kind, names in kinds if (legend := legend_of(labels_of(kind, names))))
    if legends:
        sections.append(Section(title="Names in the figures", text=legends))
    return Page(title="Reader study", lead=lead, notes=tuple(_notes(study)), sections=tuple(sections))


def _notes(study: ReaderStudy) -> list[str]:
    level = study.levels[0]
    design = level.data.ratings.design
    notes = [
        "The multi-reader multi-case analysis (Obuchowski and Rockette, degrees of freedom after Hillis) answers "
        "whether a scenario changes readers on average; the tests of single readers answer it for each of them.",
        "Intervals are 95 %. P of single readers is DeLong's; beside it stands P after Holm over the readers. P of the "
        "pairs of scenarios over all readers stands beside P after Holm over the pairs.",
    ]
    if design != "factorial":
        notes.append(
            f"The design is {design}: not every reader has rated every case in every scenario. Covariances are those "
            "of the jackknife, and single readers are compared on the cases that they have rated in both scenarios."
        )
    if len(study.levels) > 1:
        notes.append(
            "At image level DeLong's intervals take images as independent, as the paper does; the clustered ones take "
            "the images of a patient together (Obuchowski 1997). At patient level the greatest rating counts."
        )
    if any(isnan(area.delong.low) for each in study.levels for area in each.areas):
        notes.append(
            "An AUC of exactly 0 or 1, or of equal ratings throughout, has no variance in the sample: its interval is "
            "not estimable, which is no certainty. In the figures its marker is hollow."
        )
    if level.ai is not None:
        notes.append(
            f"The scenario rule-based is computed from {study.baseline!r}: one category up where the AI says "
            "malignant, one down where it says benign, stopping at the ends of the scale. It is "
            "compared with each of the readers' own scenarios in a model of these two alone, and changes nothing "
            "between those."
        )
    if study.threshold_chosen:
        notes.append(
            f"The AI's threshold {study.threshold:.3g} is the maximum of the Youden index on these very cases, as in "
            "the paper: sensitivity, specificity and the rule-based scenario are optimistic. Give the network's own "
            "with --threshold, or calls in the predictions."
        )
    return notes


def _sections(level: LevelStudy) -> list[Section]:
    name = f"{level.level} level"
    sections = []
    if level.analyses:
        sections.append(
            Section(
                title=f"All readers together, {name}",
                text=tuple(line for analysis in level.analyses[:1] for line in sentences(analysis)),
                tables=mrmc_tables(level, _RANDOM),
            )
        )
    sections.append(
        Section(
            title=f"Each reader, {name}",
            figures={f"areas-{level.level}": (f"AUC of each reader, {name}", areas_figure(level))},
            tables=(area_table(level), test_table(level), *category_table(level)),
        )
    )
    sections.append(Section(title=f"Agreement of readers, {name}", tables=agreement_tables(level)))
    return sections


def sentences(analysis: Analysis) -> list[str]:
    """What the comparisons over all readers say: all scenarios at once where there are more than two, then pairs."""
    found = []
    if (test := overall_test(analysis)) is not None and not isnan(test.p_value):
        df = f"{test.df1:.0f}" if isinf(test.df2) else f"{test.df1:.0f} and {test.df2:.1f}"
        found.append(
            f"{overall_name(analysis)}: {test.name} {test.statistic:.2f} with {df} degrees of freedom, "
            f"P = {test.p_value:.3g}."
        )
    return found + [_difference(estimate, several=len(analysis.differences) > 1) for estimate in analysis.differences]


def _difference(estimate: Estimate, *, several: bool) -> str:
    if isnan(estimate.p_value):
        return (
            f"{estimate.name}: mean AUC differs by {estimate.value:+.3f}; the ratings have no variance for an interval "
            "or a test."
        )
    df = "" if isinf(estimate.df) else f", {estimate.df:.1f} degrees of freedom"
    p = f"P = {estimate.p_value:.3g}" + (f" unadjusted, {estimate.p_holm:.3g} after Holm" if several else "")
    return (
        f"{estimate.name}: mean AUC differs by {estimate.value:+.3f} ({estimate.low:+.3f} to {estimate.high:+.3f}), "
        f"{p}{df}."
    )
