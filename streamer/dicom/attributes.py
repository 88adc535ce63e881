"""Reads attributes of a data set that may hold anything: what is malformed counts as absent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

# pydicom converts a value when it is first asked for; these are what its converters raise on malformed ones.
_MALFORMED = (ValueError, TypeError, AttributeError, OverflowError, NotImplementedError, KeyError, UnicodeError)


def value(data: Dataset, keyword: str) -> Any:
    """The value of an attribute; None where it is absent, empty or malformed."""
    try:
        found = data.get(keyword)
    except _MALFORMED:
        return None
    except Exception:  # a sequence that breaks off inside raises struct.error, BytesLengthException and others
        return None
    return None if found is None or found == "" else found


def numbers(data: Dataset, keyword: str) -> tuple[float, ...]:
    """All values of a numeric attribute as finite floats; empty where one of them is no number."""
    found = value(data, keyword)
    if found is None:
        return ()
    several: Iterable[Any] = found if isinstance(found, (MultiValue, list, tuple)) else (found,)
    try:
        converted = tuple(float(one) for one in several)
    except _MALFORMED:
        return ()
    return converted if all(math.isfinite(one) for one in converted) else ()


def number(data: Dataset, keyword: str) -> float | None:
    """The first value of a numeric attribute; None where it is absent or no number."""
    found = numbers(data, keyword)
    return found[0] if found else None


def integer(data: Dataset, keyword: str) -> int | None:
    """A whole number; None where it is absent or none."""
    found = number(data, keyword)
    return int(found) if found is not None and found == int(found) else None


def text(data: Dataset, keyword: str) -> str:
    """An attribute as text, its values joined by a backslash; "" where absent. Never for a message or a log."""
    found = value(data, keyword)
    if found is None:
        return ""
    several = found if isinstance(found, (MultiValue, list, tuple)) else (found,)
    try:
        return "\\".join(str(one).strip(" \0") for one in several)
    except _MALFORMED:
        return ""


def sequence(data: Dataset, keyword: str) -> list[Dataset]:
    """The items of a sequence; empty where it is absent or malformed."""
    found = value(data, keyword)
    try:
        return [item for item in found if isinstance(item, Dataset)] if found is not None else []
    except TypeError:
        return []
