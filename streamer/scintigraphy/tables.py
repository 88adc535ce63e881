"""The paper's Tables 1 to 5 and its tests of the model against readers, from answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import isnan

import numpy as np

from streamer.evaluation.result import Result, Table
from streamer.metrics.classification import delong_test
from streamer.metrics.estimate import Figure
from streamer.metrics.holm import holm
from streamer.metrics.multiclass import compare_paired
from streamer.scintigraphy.answers import Said, SetName, on_the_same
from streamer.scintigraphy.classes import CLASSES, TITLES
from streamer.scintigraphy.samples import ScintigraphySample

_MEASURES = ("accuracy", "sensitivity", "specificity", "ppv", "npv", "f1", "auc", "kappa")
_HEADINGS = {
    "accuracy": "Accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "ppv": "PPV",
    "npv": "NPV",
    "f1": "F1",
    "auc": "AUC",
    "kappa": "Kappa",
}
_INTERVALS = (
    "95 % intervals in brackets: Wilson's for shares, DeLong's for the AUC of a class, a bootstrap by patient for F1 "
    "and for means over classes, asymptotic for kappa. Each class stands against the rest; rows of all classes give "
    "the mean over classes, accuracy and kappa over images."
)


def figure_text(figure: Figure) -> str:
    """A figure with its interval, three decimals; "-" where it is not defined."""
    if isnan(figure.value):
        return "-"
    if isnan(figure.low):
        return f"{figure.value:z.3f}"
    return f"{figure.value:z.3f} ({figure.low:z.3f} to {figure.high:z.3f})"


def baseline_table(samples: Sequence[ScintigraphySample]) -> Table:
    """Table 1: images by class, centre and split."""
    counts = Counter((sample.split, sample.centre, sample.label) for sample in samples)
    groups = sorted(
        {(sample.split, sample.centre) for sample in samples}, key=lambda group: (group[0] == "external", group)
    )
    names = {"train": "training", "val": "internal validation", "external": "external validation"}
    rows = []
    for split, centre in groups:
        numbers = [counts[split, centre, label] for label in CLASSES]
        rows.append((f"{centre}, {names[split]}", *(str(number) for number in numbers), str(sum(numbers))))
    return Table(
        title="Table 1. Images by class",
        caption="Number of images. Age and sex, which the paper gives, are not in the data.",
        columns=("Centre", *(TITLES[label] for label in CLASSES), "All"),
        rows=tuple(rows),
    )


def networks_table(models: Sequence[Said]) -> Table:
    """Table 2: each network on the internal validation set, in all and by class."""
    return Table(
        title="Table 2. Each network on the internal validation set",
        caption=f"{len(models[0].answers.truth)} images. {_INTERVALS}",
        columns=("Network", "Class", *(_HEADINGS[name] for name in _MEASURES)),
        rows=tuple(row for model in models for row in _rows(model)),
    )


def readers_table(number: int, set_name: str, model: Said, readers: Sequence[Said]) -> Table:
    """Tables 4 and 5: the best network and each reader on a set."""
    counts = ", ".join(f"{one.name} {len(one.answers.truth)}" for one in (model, *readers))
    return Table(
        title=f"Table {number}. {model.name} and readers on the {set_name} set",
        caption=f"Images: {counts}. {_INTERVALS} A reader names one class: the AUC is that of a single point.",
        columns=("Network or reader", "Class", *(_HEADINGS[name] for name in _MEASURES)),
        rows=tuple(row for one in (model, *readers) for row in _rows(one)),
    )


def folds_table(name: str, folds: Sequence[Said]) -> Table:
    """Table 3: the cross-validation, each fold with mean and standard deviation."""
    values = np.array([[getattr(fold.overall, name).value for name in _MEASURES] for fold in folds])
    rows = [
        (f"Fold {number}", str(len(fold.answers.truth)), *("-" if isnan(value) else f"{value:.3f}" for value in line))
        for number, (fold, line) in enumerate(zip(folds, values, strict=True), start=1)
    ]
    deviations = values.std(axis=0, ddof=1)
    rows.append(
        (
            "Mean ± SD",
            str(sum(len(fold.answers.truth) for fold in folds)),
            *(
                "-" if isnan(mean) else f"{mean:.3f} ± {deviation:.3f}"
                for mean, deviation in zip(values.mean(axis=0), deviations, strict=True)
            ),
        )
    )
    return Table(
        title=f"Table 3. {name}: cross-validation in {len(folds)} folds",
        caption="Internal images, each patient held out once. Sensitivity, specificity, PPV, NPV, F1 and AUC are means "
        "over classes; SD is the standard deviation over folds (n - 1). - where a fold's network never named a class, "
        "whose PPV is then not defined.",
        columns=("Fold", "Images", *(_HEADINGS[name] for name in _MEASURES)),
        rows=tuple(rows),
    )


def tests_tables(model: Mapping[SetName, Said], readers: Mapping[SetName, Sequence[Said]]) -> list[Table]:
    """The model against each reader: accuracies by McNemar and chi-squared, AUCs by DeLong, Holm beside the raw P."""
    pairs = [(set_name, one) for set_name, part in readers.items() for one in part]
    if not pairs:
        return []
    return [_accuracy_tests(model, pairs), _auc_tests(model, pairs)]


def all_results(said: Mapping[SetName, Sequence[Said]], split_of: Mapping[SetName, str]) -> list[Result]:
    """Every figure of every network and reader on every set, for the CSV and JSON files."""
    results = []
    for set_name, part in said.items():
        for one in part:
            overall = one.overall
            named = [(f"{one.name}: {name}", getattr(overall, name)) for name in _MEASURES]
            for number, label in enumerate(CLASSES):
                figures = one.by_class[number]
                named += [(f"{one.name}: {name}, {label}", getattr(figures, name)) for name in _MEASURES]
            results += [
                Result(
                    name=name, figure=figure, data=set_name, split=split_of[set_name], count_of="images",
                    clusters_of="patients",
                )
                for name, figure in named
            ]  # fmt: skip
    return results


def _rows(one: Said) -> list[tuple[str, ...]]:
    overall = one.overall
    rows = [(one.name, "all", *(figure_text(getattr(overall, name)) for name in _MEASURES))]
    for number, label in enumerate(CLASSES):
        figures = one.by_class[number]
        rows.append((one.name, TITLES[label], *(figure_text(getattr(figures, name)) for name in _MEASURES)))
    return rows


def _accuracy_tests(model: Mapping[SetName, Said], pairs: Sequence[tuple[SetName, Said]]) -> Table:
    compared = [compare_paired(*on_the_same(model[name], reader)) for name, reader in pairs]
    corrected = holm([one.mcnemar_p for one in compared])
    corrected_squared = holm([one.chi_squared_p for one in compared])
    rows = []
    for (set_name, reader), test, p_value, squared in zip(pairs, compared, corrected, corrected_squared, strict=True):
        ours, theirs = on_the_same(model[set_name], reader)
        rows.append(
            (
                f"{model[set_name].name} against {reader.name}",
                set_name,
                str(len(ours.truth)),
                f"{ours.right.mean():.3f}",
                f"{theirs.right.mean():.3f}",
                f"{test.first_only} / {test.second_only}",
                p_text(test.mcnemar_p),
                p_text(p_value),
                f"{test.chi_squared:.2f}",
                p_text(test.chi_squared_p),
                p_text(squared),
            )
        )
    return Table(
        title="Accuracy of the model against each reader",
        caption="Both saw the same images, so McNemar's exact test is the right one; the chi-squared test is "
        f"the paper's and takes the two as independent. Holm's correction is over these {len(rows)} comparisons.",
        columns=(
            "Comparison", "Set", "Images", "Model", "Reader", "Right alone (model / reader)", "McNemar P", "Holm",
            "Chi-squared", "P", "Holm",
        ),
        rows=tuple(rows),
    )  # fmt: skip


def _auc_tests(model: Mapping[SetName, Said], pairs: Sequence[tuple[SetName, Said]]) -> Table:
    found = []
    for set_name, reader in pairs:
        ours, theirs = on_the_same(model[set_name], reader)
        for number, label in enumerate(CLASSES):
            truth = ours.truth == number
            if min(truth.sum(), (~truth).sum()) >= 2:
                test = delong_test(truth.astype(np.int64), ours.scores(number), theirs.scores(number))
                found.append((set_name, reader.name, label, test))
    corrected = holm([test.p_value for *_, test in found])
    rows = tuple(
        (
            f"{model[set_name].name} against {reader}",
            set_name,
            TITLES[label],
            figure_text(test.first),
            figure_text(test.second),
            figure_text(test.difference),
            p_text(test.p_value),
            p_text(p_value),
        )
        for (set_name, reader, label, test), p_value in zip(found, corrected, strict=True)
    )
    return Table(
        title="AUC of the model against each reader (Supplementary Tables S1 and S2)",
        caption=f"DeLong's test on the same images, one class against the rest. Holm's correction is over the "
        f"{len(rows)} comparisons of this table. A reader's AUC is that of one point, which favours the model.",
        columns=("Comparison", "Set", "Class", "Model", "Reader", "Difference", "DeLong P", "Holm"),
        rows=rows,
    )


def p_text(value: float) -> str:
    """A P value as it is printed.

    Example:
        >>> p_text(0.00001), p_text(0.0312)
        ('< 0.001', '0.031')
    """
    if isnan(value):
        return "-"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"
