"""Tables as text: aligned columns for a terminal or a log, Markdown for a page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class TextTable:
    """A table of strings.

    Attributes:
        headings: of the columns.
        rows: each as long as the headings.
        title: above the table; may be empty.
        left: positions of the columns that are aligned left; numbers read better on the right.

    Example:
        >>> print(TextTable(headings=("stage", "ms"), rows=[("detection", "4.1"), ("crops", "12.0")]).text())
        stage        ms
        ---------  ----
        detection   4.1
        crops      12.0
    """

    headings: tuple[str, ...]
    rows: Sequence[Sequence[str]]
    title: str = ""
    left: frozenset[int] = frozenset({0})

    def text(self) -> str:
        """Aligned columns, two blanks between them."""
        widths = [max(map(len, column)) for column in zip(self.headings, *self.rows, strict=True)]
        lines = [self._line(row, widths) for row in (self.headings, ["-" * width for width in widths], *self.rows)]
        return "\n".join([self.title, *lines] if self.title else lines)

    def markdown(self) -> str:
        """A GitHub table; a pipe in a cell is escaped."""
        rule = ["---" if position in self.left else "---:" for position in range(len(self.headings))]
        lines = [f"| {' | '.join(_escaped(cell) for cell in row)} |" for row in (self.headings, rule, *self.rows)]
        return "\n".join([f"### {self.title}", "", *lines] if self.title else lines)

    def _line(self, row: Sequence[str], widths: Sequence[int]) -> str:
        cells = zip(row, widths, strict=True)
        aligned = (cell.ljust(w) if at in self.left else cell.rjust(w) for at, (cell, w) in enumerate(cells))
        return "  ".join(aligned).rstrip()


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|")
