"""CSV files of studies: one rule for headings and rows that are read, and nothing written that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from streamer.errors import DataError, cause

Cell = str | int | float | bool | None

# Text that a spreadsheet takes for a formula (OWASP, CSV injection), after any number of marks of an earlier export.
_FORMULA = re.compile(r"'*[=+\-@\t\r]")
_MARKED_FORMULA = re.compile(r"'+[=+\-@\t\r]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


def read_rows(
    path: Path, required: Sequence[str], *, aliases: Mapping[str, str] | None = None
) -> list[tuple[int, dict[str, str]]]:
    """Rows with the lines they end in; headings in lower case under the names used here, values stripped.

    The mark that `csv_text` puts before a formula is taken off again.

    Args:
        path: the file.
        required: columns without which it is not what was asked for.
        aliases: other names of columns; where both are there, the alias is a column of its own.

    Raises:
        DataError: the file cannot be read, lacks a column or has one twice, a row has more values than there are
            columns, or there is no row.
    """
    other = aliases or {}
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.reader(stream)
            given = [name.strip().lower() for name in next(reader, [])]
            names = [other[name] if name in other and other[name] not in given else name for name in given]
            _check_headings(path, given, names, required)
            rows = []
            for values in reader:
                if not values:  # a blank line
                    continue
                if any(value.strip() for value in values[len(names) :]):
                    raise DataError(
                        f"{path}, row {reader.line_num}: {len(values)} values for {len(names)} columns: "
                        "put quotes round a value that holds a comma"
                    )
                full = [*values, *[""] * (len(names) - len(values))]
                row = {name: _unmarked(value) for name, value in zip(names, full, strict=False)}
                rows.append((reader.line_num, row))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {path}: {cause(error)}") from error
    if not rows:
        raise DataError(f"{path} has a header and no rows")
    return rows


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Cell]]) -> str:
    """A CSV file in which text that a spreadsheet would run as a formula has an apostrophe before it.

    Numbers stay as they are, those in text too, and `read_rows` takes the apostrophe off.

    Example:
        >>> print(csv_text(("reader", "difference"), [("=1+1", -0.25), ("-3", None)]), end="")
        reader,difference
        '=1+1,-0.25
        -3,
    """
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([_marked(column) for column in columns])
    writer.writerows([_marked(cell) for cell in row] for row in rows)
    return stream.getvalue()


def _check_headings(path: Path, given: Sequence[str], names: Sequence[str], required: Sequence[str]) -> None:
    for name in required:
        if name not in names:
            raise DataError(f"{path} lacks the column {name!r}; it needs {', '.join(required)}")
    for number, name in enumerate(names):
        if name and name in names[:number]:
            first = given[names.index(name)]
            both = f"{given[number]!r} twice" if first == given[number] else f"both {first!r} and {given[number]!r}"
            raise DataError(f"{path} has the column {both}: keep one")


def _marked(cell: Cell) -> Cell:
    if isinstance(cell, str) and _FORMULA.match(cell) and not _NUMBER.fullmatch(cell):
        return f"'{cell}"
    return "" if cell is None else cell


def _unmarked(value: str) -> str:
    text = value.strip()
    return text[1:].strip() if _MARKED_FORMULA.match(text) else text
