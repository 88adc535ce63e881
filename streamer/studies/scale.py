"""Rating scales: C-TIRADS, five numbered grades, or any range of numbers."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import isfinite

from streamer.errors import DataError

C_TIRADS = ("3", "4a", "4b", "4c", "5")
"""Categories that the paper's readers gave, from the least suspicious on (Zhou et al., Endocrine 2020;70:256-279)."""

_MAX_CATEGORIES = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """What a rating can be.

    Attributes:
        name: as `--scale` names it.
        low, high: bounds of the numbers that ratings become; C-TIRADS 3 to 5 become 1 to 5.
        labels: of the categories, from `low` on in steps of 1; empty where any number in the range will do.
    """

    name: str
    low: float
    high: float
    labels: tuple[str, ...]

    def parse(self, text: str) -> float:
        """A rating as a number.

        Raises:
            ValueError: it is not on the scale; the message says what is.
        """
        word = text.strip().lower()
        if self.labels:
            if word in self.labels:
                return self.low + self.labels.index(word)
            if self.labels != C_TIRADS and _number(word) in _grades(self):
                return _number(word)
            raise ValueError(f"the rating {text!r} is not one of {', '.join(self.labels)}")
        value = _number(word)
        if not self.low <= value <= self.high:
            raise ValueError(f"the rating {text!r} is not a number from {self.low:g} to {self.high:g}")
        return value

    def label(self, value: float) -> str:
        """A rating as its reader gave it."""
        return self.labels[round(value - self.low)] if self.labels else f"{value:g}"


def scale_named(name: str) -> Scale:
    """The scale that a user names: "c-tirads", or a range such as "1-5" or "0-100".

    Raises:
        DataError: it is neither.
    """
    if name.lower() == "c-tirads":
        return Scale(name="c-tirads", low=1.0, high=5.0, labels=C_TIRADS)
    low, _, high = name.partition("-")
    first, last = _number(low), _number(high)
    if not first < last:
        raise DataError(f"--scale is c-tirads or a range such as 1-5 or 0-100, got {name!r}")
    whole = first.is_integer() and last.is_integer() and last - first < _MAX_CATEGORIES
    labels = tuple(str(grade) for grade in range(int(first), int(last) + 1)) if whole else ()
    return Scale(name=name, low=first, high=last, labels=labels)


def scale_of(ratings: Iterable[str]) -> Scale:
    """The scale that ratings seem to be on: C-TIRADS if any is 4a, 4b or 4c, else 1 to 5."""
    thirds = {"4a", "4b", "4c"}
    return scale_named("c-tirads" if any(text.strip().lower() in thirds for text in ratings) else "1-5")


def _grades(scale: Scale) -> set[float]:
    return {scale.low + step for step in range(len(scale.labels))}


def _number(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        return float("nan")
    return value if isfinite(value) else float("nan")
