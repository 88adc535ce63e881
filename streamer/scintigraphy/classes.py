"""The four classes of Front Endocrinol 2023;14:1224191, their order in every output, and how folders may name them."""

from __future__ import annotations

from typing import Literal, cast

from streamer.errors import DataError
from streamer.models.registry import SCINTIGRAPHY

Diagnosis = Literal["graves", "normal", "subacute", "tumour"]

CLASSES = cast("tuple[Diagnosis, ...]", SCINTIGRAPHY.classes)
"""Order of the network's outputs and of every table: that of the paper's Figure 1."""

TITLES: dict[Diagnosis, str] = {
    "graves": "Graves' disease",
    "normal": "Normal thyroid",
    "subacute": "Subacute thyroiditis",
    "tumour": "Thyroid tumour",
}

_STEMS: tuple[tuple[str, Diagnosis], ...] = (
    ("graves", "graves"),
    ("normal", "normal"),
    ("subacute", "subacute"),
    ("thyroidtumo", "tumour"),
    ("tumo", "tumour"),
)
"""How a name begins once all but its letters are gone: "Graves' disease", "subacute_thyroiditis", "thyroid tumor"."""
_ABBREVIATIONS: dict[str, Diagnosis] = {"gd": "graves", "nt": "normal", "sat": "subacute", "tt": "tumour"}


def parse_class(name: str) -> Diagnosis | None:
    """The class that a folder or a CSV cell names; None if it names none.

    Example:
        >>> parse_class("Subacute thyroiditis")
        'subacute'
    """
    letters = "".join(letter for letter in name.casefold() if letter.isalpha())
    if letters in _ABBREVIATIONS:
        return _ABBREVIATIONS[letters]
    return next((found for stem, found in _STEMS if letters.startswith(stem)), None)


def required_class(name: str, place: str) -> Diagnosis:
    """As `parse_class`.

    Raises:
        DataError: the name is none of the four classes; `place` says where it stands.
    """
    found = parse_class(name)
    if found is None:
        raise DataError(f"{place}: {name!r} is no class; the classes are {', '.join(CLASSES)}")
    return found
