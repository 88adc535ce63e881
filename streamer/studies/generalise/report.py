"""The page of a generalisation study: matrix, heat map, subgroups, what was trained."""

from __future__ import annotations

from math import isnan

import numpy as np
from matplotlib.figure import Figure as Plot

from streamer.evaluation.fonts import fonts_for, labels_of, legend_of
from streamer.studies.generalise.centres import MIXED
from streamer.studies.generalise.figures import MEASURES
from streamer.studies.generalise.study import ALL, Generalisation
from streamer.studies.page import Page, Section
from streamer.studies.tables import Table, figure_text, number, p_text

_INK, _MUTED = "#1b2733", "#5b6b7a"
_DARK_BELOW = 0.55  # share of the colour scale under which white text is read better


def generalisation_page(study: Generalisation) -> Page:
    """Matrix first, then what differs between subgroups, then what was trained."""
    measure = MEASURES[study.options.role]
    patients = sum(centre.patients("test") for centre in study.centres)
    return Page(
        title=f"Generalisation of the {study.options.role} by {study.options.by}",
        lead=f"{len(study.centres)} centres, {len(study.networks)} networks, {patients} test patients.",
        notes=(
            f"Each row is a network, each column the test patients of a centre; {measure} with 95 % intervals.",
            "P is that of the difference from the mixed network on the same images: DeLong's where every patient has "
            "one image, else a paired bootstrap by patient; after Holm over the whole matrix in the second place.",
            "The row 'without X' has learned from all centres but X: its value in the column X is the external test.",
            *study.notes,
            "Networks start from no network that has seen another centre"
            + (
                " (boxes of images without one come from the published detector)."
                if study.config.boxes_from_detector
                else "."
            ),
        ),
        sections=(
            Section(
                title=f"{measure}, network by test centre",
                figures={"heat-map": (_caption(study, measure), heat_map(study))},
                tables=(matrix_table(study),),
            ),
            Section(title="Subgroups of the mixed network", tables=(subgroup_table(study),)),
            Section(title="What was trained", tables=(training_table(study),)),
        ),
    )


def _caption(study: Generalisation, measure: str) -> str:
    legend = legend_of(labels_of("centre", [centre.name for centre in study.centres]))
    return f"{measure} of each network on each centre" + (f" ({legend})" if legend else "")


def matrix_table(study: Generalisation) -> Table:
    """A row a network, a column a centre, in the form of the paper's Tables 3 to 5."""
    names = [*(centre.name for centre in study.centres), ALL]
    rows = []
    for trained in study.networks:
        row = [trained.plan.name]
        for centre in names:
            entry = study.cell(trained.plan.name, centre)
            text = figure_text(entry.figure)
            if not isnan(entry.p_value):
                text += f"; P {_with_sign(p_text(entry.p_value))}, {p_text(entry.p_holm)}"
            row.append(text)
        rows.append(tuple(row))
    return Table(
        name="matrix",
        title="",
        headings=("trained on", *names),
        rows=tuple(rows),
        columns=(
            "network", "centre", "measure", "value", "low", "high", "count", "patients", "method", "difference",
            "difference_low", "difference_high", "p", "p_holm",
        ),
        records=tuple(
            (
                entry.network, entry.centre, MEASURES[study.options.role], number(entry.figure.value),
                number(entry.figure.low), number(entry.figure.high), entry.figure.count, entry.figure.clusters,
                entry.figure.method,
                *((None, None, None) if entry.difference is None else (
                    number(entry.difference.value), number(entry.difference.low), number(entry.difference.high))),
                number(entry.p_value), number(entry.p_holm),
            )
            for entry in study.cells
        ),
        note="; ".join(
            f"{centre.name}: {len(centre.test)} test images of {centre.patients('test')} patients"
            for centre in study.centres
        )
        + ". P against the mixed network, then after Holm.",
    )  # fmt: skip


def subgroup_table(study: Generalisation) -> Table:
    """Age, sex and size, each with its test of interaction."""
    return Table(
        name="subgroups",
        title="",
        headings=("factor", "subgroup", MEASURES[study.options.role], "n", "P, interaction"),
        rows=tuple(
            (
                entry.factor,
                entry.name,
                "not defined" if entry.figure is None else figure_text(entry.figure),
                f"{entry.count} of {entry.patients} patients",
                p_text(entry.p_interaction),
            )
            for entry in study.subgroups
        ),
        columns=("factor", "subgroup", "value", "low", "high", "count", "patients", "p_interaction"),
        records=tuple(
            (
                entry.factor, entry.name,
                *((None, None, None) if entry.figure is None else (
                    number(entry.figure.value), number(entry.figure.low), number(entry.figure.high))),
                entry.count, entry.patients, number(entry.p_interaction),
            )
            for entry in study.subgroups
        ),
        note="Test patients whose age, sex or nodule's box is known; not defined without both classes. Interaction: "
        "Cochran's Q, bootstrap variances.",
    )  # fmt: skip


def training_table(study: Generalisation) -> Table:
    """What each network learned from, and for how long."""
    return Table(
        name="networks",
        title="",
        headings=("network", "training images", "patients", "epochs", "minutes"),
        rows=tuple(
            (
                entry.plan.name, str(entry.plan.images), str(entry.plan.patients), str(entry.epochs),
                f"{entry.minutes:.1f}",
            )
            for entry in study.networks
        ),
        columns=("network", "images", "patients", "epochs", "minutes"),
        records=tuple(
            (entry.plan.name, entry.plan.images, entry.plan.patients, entry.epochs, entry.minutes)
            for entry in study.networks
        ),
    )  # fmt: skip


def heat_map(study: Generalisation) -> Plot:
    """The matrix as colours; a star where the difference from the mixed network has P below .05 after Holm."""
    centres = [centre.name for centre in study.centres]
    with fonts_for(centres):
        return _heat_map(study, labels_of("centre", centres) | {ALL: ALL})


def _heat_map(study: Generalisation, labels: dict[str, str]) -> Plot:
    names = list(labels)
    networks = [trained.plan.name for trained in study.networks]
    values = np.array([[study.cell(network, centre).figure.value for centre in names] for network in networks])
    plot = Plot(figsize=(2.6 + 1.25 * len(names), 1.5 + 0.55 * len(networks)), layout="constrained")
    axes = plot.subplots()
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    shown = axes.imshow(values, cmap="viridis", aspect="auto", vmin=low, vmax=max(high, low + 1e-6))
    for i, network in enumerate(networks):
        for j, centre in enumerate(names):
            entry = study.cell(network, centre)
            star = " *" if entry.p_holm < 0.05 else ""
            share = (values[i, j] - low) / max(high - low, 1e-6)
            colour = "#ffffff" if share < _DARK_BELOW else _INK
            axes.text(j, i, f"{values[i, j]:.2f}{star}", ha="center", va="center", color=colour, fontsize=10)
    shown_names = list(labels.values())
    axes.set_xticks(range(len(names)), shown_names, rotation=25 if max(map(len, shown_names)) > 10 else 0, color=_INK)
    axes.set_yticks(range(len(networks)), [relabelled(network, labels) for network in networks], color=_INK)
    axes.axhline(networks.index(MIXED) - 0.5, color="#ffffff", linewidth=3)
    axes.axhline(networks.index(MIXED) + 0.5, color="#ffffff", linewidth=3)
    axes.axvline(len(names) - 1.5, color="#ffffff", linewidth=3)
    axes.set_xlabel("test patients of", color=_MUTED)
    axes.set_ylabel("trained on", color=_MUTED)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    plot.colorbar(shown, ax=axes, label=MEASURES[study.options.role])
    axes.set_title("* differs from the mixed network, P < .05 after Holm", fontsize=9, color=_MUTED, loc="left")
    return plot


def relabelled(network: str, labels: dict[str, str]) -> str:
    """A network's name, "only CENTRE" or "without CENTRE", with what stands for the centre."""
    kind, space, centre = network.partition(" ")
    return f"{kind}{space}{labels.get(centre, centre).strip()}"


def _with_sign(text: str) -> str:
    return text if text.startswith(("<", ">", "-")) else f"= {text}"
