"""What weights were taught by, and the rule that simulated-taught weights never answer for a patient unmarked.

The rule stands here alone. Every way to an answer (command line, app, library) goes through `check_answer`, and every
output (screen, JSON, CSV, page) carries the mark it returns.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from streamer.errors import WeightsError

Teacher = Literal["simulated", "patients"]

MARK = "taught by simulated images: meaningless for a patient"
"""What stands beside every answer that simulated-taught weights give for a picture not known to be simulated."""
SIMULATED_NOTE = "simulated images: no statement about patients"
"""What stands on every table and figure drawn from simulated images."""
FLAG = "--meaningless-for-patients"
"""The flag without which such an answer is not given at all."""


def teachers(simulated: Iterable[bool]) -> tuple[Teacher, ...]:
    """What a training set teaches by, from whether each of its images is simulated."""
    kinds = set(simulated)
    found: list[Teacher] = []
    if True in kinds:
        found.append("simulated")
    if False in kinds:
        found.append("patients")
    return tuple(found)


def check_answer(taught_by: Sequence[str], simulated: bool, *, allowed: bool, place: str) -> str | None:
    """Decide whether weights may answer for a picture, and what the answer must be marked with.

    Args:
        taught_by: as the weights' manifest says; weights that do not say are taken for simulated-taught.
        simulated: whether the picture itself says that a phantom made it.
        allowed: whether the user has asked for marked answers (`FLAG`).
        place: names the picture in the error.

    Returns:
        The mark; None where none is needed.

    Raises:
        WeightsError: the weights were taught by simulated images, the picture is not simulated, and it is not allowed.

    Example:
        >>> check_answer(["simulated"], False, allowed=True, place="view.jpg")
        'taught by simulated images: meaningless for a patient'
    """
    if simulated or ("simulated" not in taught_by and "patients" in taught_by):
        return None
    if not allowed:
        raise WeightsError(
            f"{place} is not a simulated image, and these weights were taught by simulated images: an answer would be "
            f"meaningless for a patient ({FLAG} gives it all the same, marked)"
        )
    return MARK
