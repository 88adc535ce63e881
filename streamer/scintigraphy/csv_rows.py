"""Rows of a CSV file that a user wrote: data, readings, predictions."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path

from streamer.data.csv_columns import refuse_slips
from streamer.errors import DataError, cause


def csv_rows(
    path: Path, required: Sequence[str], *, what: str, optional: Sequence[str] = ()
) -> Iterator[tuple[str, dict[str, str]]]:
    """Rows of a CSV file with the place of each ("readings.csv, line 3"); values without spaces around them.

    Args:
        path: the file; UTF-8, commas between columns.
        required: columns that it must have; others may be there or not.
        what: names the file in an error.
        optional: columns that are read where they are there.

    Raises:
        DataError: it cannot be read, lacks a column, has one twice or nearly calls one so, or has no rows.
    """
    empty = True
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            names = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = names
            missing = [name for name in required if name not in names]
            if missing:
                semicolons = "; its columns stand between semicolons: save it with commas" if _is_split(names) else ""
                raise DataError(f"{path} lacks the column {missing[0]!r}; it needs {', '.join(required)}{semicolons}")
            refuse_slips(path, names, (*required, *optional))
            for row in reader:
                empty = False
                yield f"{path}, line {reader.line_num}", {name: (row.get(name) or "").strip() for name in names}
    except UnicodeDecodeError as error:
        raise DataError(f"cannot read the {what} {path}: it is not UTF-8; save it as CSV UTF-8") from error
    except (OSError, csv.Error) as error:
        raise DataError(f"cannot read the {what} {path}: {cause(error)}") from error
    if empty:
        raise DataError(f"{path} has a header and no rows")


def _is_split(names: Sequence[str]) -> bool:
    return len(names) == 1 and ";" in names[0]
