"""In which plane a sweep was made, as the header names its view."""

from __future__ import annotations

from pydicom.dataset import Dataset

from streamer.dicom.attributes import sequence, text
from streamer.types import Plane

_WORDS: dict[Plane, tuple[str, ...]] = {
    "transverse": ("transverse", "axial"),
    "longitudinal": ("longitudinal", "sagittal"),
}


def plane_of(data: Dataset) -> Plane | None:
    """The plane that View Code Sequence or View Name names; None where they name none, or both.

    The words are looked for rather than codes: writers use codes of several schemes and versions for the same view.
    """
    named = [text(item, "CodeMeaning") for item in sequence(data, "ViewCodeSequence")]
    said = " ".join([*named, text(data, "ViewName")]).lower()
    found: list[Plane] = [plane for plane, words in _WORDS.items() if any(word in said for word in words)]
    return found[0] if len(found) == 1 else None
