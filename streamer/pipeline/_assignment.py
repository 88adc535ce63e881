"""Rows to columns of a matrix so that their values add up to most: Jonker and Volgenant by shortest paths.

As `scipy.optimize.linear_sum_assignment` has it, ties included (Crouse, IEEE Transactions on Aerospace and Electronic
Systems 2016;52:1679-1696), for the few boxes of a frame: to import scipy's takes longer than to analyse ten frames.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt


def assigned(values: npt.NDArray[np.float32]) -> list[tuple[int, int]]:
    """Pairs of row and column, none twice, whose values add up to most; as many as the matrix allows, by row.

    Args:
        values: finite, shape (n, m).

    Example:
        >>> assigned(np.array([[0.9, 0.8], [0.7, 0.1]], np.float32))
        [(0, 1), (1, 0)]
    """
    costs = -values.astype(np.float64)
    if costs.shape[0] <= costs.shape[1]:
        return list(enumerate(_Assignment(costs.tolist()).solve()))
    rows = _Assignment(costs.T.tolist()).solve()
    return sorted((row, column) for column, row in enumerate(rows))


@dataclass(slots=True)
class _Path:
    """The cheapest way from a row that has no column to a column that has no row."""

    shortest: list[float]
    row_before: list[int]
    rows: set[int] = field(default_factory=set)
    columns: set[int] = field(default_factory=set)
    end: int = -1
    length: float = 0.0


class _Assignment:
    """Columns of rows, of which there are no more than columns, at least cost; one row after the other."""

    def __init__(self, costs: list[list[float]]) -> None:
        self._costs = costs
        rows, columns = len(costs), len(costs[0]) if costs else 0
        self._of_row, self._of_column = [0.0] * rows, [0.0] * columns  # the dual variables
        self._column_of, self._row_of = [-1] * rows, [-1] * columns

    def solve(self) -> list[int]:
        """The column of each row."""
        for row in range(len(self._costs)):
            self._take(row, self._path_from(row))
        return self._column_of

    def _path_from(self, row: int) -> _Path:
        columns = len(self._row_of)
        path = _Path([math.inf] * columns, [-1] * columns)
        remaining = list(range(columns - 1, -1, -1))  # in this order ties go to the first column
        while path.end < 0:
            path.rows.add(row)
            position = self._nearest(row, remaining, path)
            column = remaining[position]
            path.length = path.shortest[column]
            path.columns.add(column)
            remaining[position] = remaining[-1]
            remaining.pop()
            if self._row_of[column] < 0:
                path.end = column
            else:
                row = self._row_of[column]
        return path

    def _nearest(self, row: int, remaining: list[int], path: _Path) -> int:
        """Position among the remaining columns of the one that is reached at least cost, now also by way of `row`."""
        lowest, nearest = math.inf, -1
        for position, column in enumerate(remaining):
            length = path.length + self._costs[row][column] - self._of_row[row] - self._of_column[column]
            if length < path.shortest[column]:
                path.shortest[column], path.row_before[column] = length, row
            length = path.shortest[column]
            if length < lowest or (length == lowest and self._row_of[column] < 0):
                lowest, nearest = length, position
        return nearest

    def _take(self, start: int, path: _Path) -> None:
        """Give `start` a column: each row on the path takes the column after it."""
        for row in path.rows:
            gain = path.length if row == start else path.length - path.shortest[self._column_of[row]]
            self._of_row[row] += gain
        for column in path.columns:
            self._of_column[column] -= path.length - path.shortest[column]
        column = path.end
        while True:
            row = path.row_before[column]
            self._row_of[column] = row
            self._column_of[row], column = column, self._column_of[row]
            if row == start:
                return
