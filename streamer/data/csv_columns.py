"""Names of a CSV file's columns: slips that would leave a column out without a word."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from streamer.errors import DataError

_TELLING = 4
"""Letters from which the beginning of a name says which column is meant."""
_SPELLINGS = (("center", "centre"), ("color", "colour"))


def refuse_slips(path: Path, columns: Sequence[str], known: Sequence[str]) -> None:
    """Refuse a column that is there twice, or is nearly called what an absent one is.

    Args:
        path: names the file in the error.
        columns: as the file has them.
        known: names of columns that are read.

    Raises:
        DataError: names the column and what to call it.

    Example:
        >>> refuse_slips(Path("a.csv"), ["image", "Patient"], ["patient"])
        Traceback (most recent call last):
        ...
        streamer.errors.DataError: a.csv has a column 'Patient': call it 'patient', or something else if it is another
    """
    for number, column in enumerate(columns):
        if column in known and column in columns[:number]:
            raise DataError(f"{path} has the column {column!r} twice: keep one")
    for absent in sorted(set(known) - set(columns)):
        for column in columns:
            if _may_mean(column, absent):
                raise DataError(
                    f"{path} has a column {column!r}: call it {absent!r}, or something else if it is another"
                )


def _may_mean(column: str, known: str) -> bool:
    name = column.strip().casefold()
    for american, british in _SPELLINGS:
        name = name.replace(american, british)
    return name in (known, f"{known}_id", f"{known} id") or (len(name) >= _TELLING and known.startswith(name))
