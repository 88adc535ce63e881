"""Figures as tables: CSV for machines, Markdown for documents."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from math import isnan

from streamer.evaluation.result import Result

COLUMNS = ("name", "data", "split", "value", "low", "high", "count", "count_of", "clusters", "clusters_of", "method")


def as_row(result: Result) -> dict[str, str | int | float | None]:
    """A result as plain data, a value a column; None where a number is not defined."""
    figure = result.figure
    return {
        "name": result.name,
        "data": result.data,
        "split": result.split,
        "value": _number(figure.value),
        "low": _number(figure.low),
        "high": _number(figure.high),
        "count": figure.count,
        "count_of": result.count_of,
        "clusters": figure.clusters,
        "clusters_of": result.clusters_of,
        "method": figure.method,
    }


def as_csv(results: Sequence[Result]) -> str:
    """All results, a line each."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows(as_row(result) for result in results)
    return stream.getvalue()


def as_markdown(results: Sequence[Result]) -> str:
    """One table for each part of the data: measure, value with its interval, number, method."""
    return "\n".join(
        f"### {data} ({split})\n\n"
        + "| measure | value (95 % interval) | n | interval by |\n|---|---|---|---|\n"
        + "".join(
            f"| {result.name} | {value_text(result)} | {number_text(result)} | {result.figure.method} |\n"
            for result in rows
        )
        for (data, split), rows in by_data(results).items()
    )


def by_data(results: Sequence[Result]) -> Mapping[tuple[str, str], list[Result]]:
    """Results grouped by data and split, in the order given."""
    groups: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        groups.setdefault((result.data, result.split), []).append(result)
    return groups


def value_text(result: Result) -> str:
    """For example "0.873 (0.851 to 0.893)"."""
    return interval_text(result.figure.value, result.figure.low, result.figure.high)


def interval_text(value: float, low: float, high: float) -> str:
    """A value and its interval as text, three decimals below 10, one above; no minus before a zero.

    Example:
        >>> interval_text(0.0, -0.0001, 0.25)
        '0.000 (0.000 to 0.250)'
    """
    if isnan(value):
        return "not defined"
    digits = 3 if value < 10 else 1
    bounds = "no interval" if isnan(low) else f"{low:z.{digits}f} to {high:z.{digits}f}"
    return f"{value:z.{digits}f} ({bounds})"


def number_text(result: Result) -> str:
    """For example "468 images of 10 groups"."""
    figure = result.figure
    text = f"{figure.count} {result.count_of}"
    return text if figure.clusters == figure.count else f"{text} of {figure.clusters} {result.clusters_of}"


def _number(value: float) -> float | None:
    return None if isnan(value) else value
