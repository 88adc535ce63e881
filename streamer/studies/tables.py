"""Tables of a study: shown on its page, written as CSV."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isinf, isnan

from streamer.metrics.estimate import Figure
from streamer.studies.csv_file import Cell, csv_text


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        name: file name without suffix.
        title: heading on the page.
        headings, rows: as shown.
        columns, records: as written to CSV, numbers in full; empty for a table that is only shown.
        note: what a reader must know; may be empty.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    columns: tuple[str, ...] = ()
    records: tuple[tuple[Cell, ...], ...] = ()
    note: str = ""


def as_csv(tables: Sequence[Table]) -> str:
    """Records of tables of one name, one below the other."""
    return csv_text(tables[0].columns, [record for table in tables for record in table.records])


NOT_ESTIMABLE = "not estimable"
"""Said of an interval where the sample has no variance, or too few patients to draw from."""


def area_text(value: float, low: float, high: float) -> str:
    """For example "0.897 (0.842 to 0.952)"."""
    if isnan(value):
        return "not defined"
    return f"{value:.3f} ({low:.3f} to {high:.3f})" if not isnan(low) else f"{value:.3f} (interval {NOT_ESTIMABLE})"


def interval_word(value: float, low: float, made: str) -> str:
    """How an interval was made, for a record, or that there is none."""
    return "" if isnan(value) else NOT_ESTIMABLE if isnan(low) else made


def figure_text(figure: Figure) -> str:
    """A figure with its interval."""
    return area_text(figure.value, figure.low, figure.high)


def p_text(p: float) -> str:
    """For example "P = .051", as Radiology prints it; "-" where there is no test."""
    if isnan(p):
        return "-"
    if p < 0.001:
        return "< .001"
    if p >= 0.995:
        return "> .99"
    return f"{p:.3f}".lstrip("0") if p < 0.1 else f"{p:.2f}".lstrip("0")


def number(value: float) -> float | None:
    """A number for a record; None where it is not defined or infinite."""
    return None if isnan(value) or isinf(value) else value
