"""Looks for letters in what is left of a picture, with Tesseract. What they say is not kept: it may be a name."""

from __future__ import annotations

import csv
import io
import os
import shutil
import subprocess
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from streamer.types import Image

_MIN_CONFIDENCE = 60.0  # of 100; speckle is read with less
_MIN_LETTERS = 3
_SCALE = 2  # letters of a scanner are 10 to 20 px high, Tesseract wants 20 and more
_MAX_STROKE_PX, _MIN_CONTRAST = 7, 90
"""Letters are brighter, or darker, than what is around them within the width of a stroke, by more than speckle is.

Measured on 24 names written into three frames of real sweeps, white to grey and coloured, 11 and 20 px high: 22 are
read so, 10 in the grey picture as it is, none wrongly in either.
"""
_TIMEOUT_S = 60
_ONE_THREAD = {"OMP_THREAD_LIMIT": "1"}  # its threads wait for one another more than they work


@dataclass(frozen=True, slots=True, kw_only=True)
class TextFound:
    """Letters in a frame: its index from 0, and their box in pixels."""

    frame: int
    box: tuple[int, int, int, int]


def can_search() -> bool:
    """Whether Tesseract is installed."""
    return shutil.which("tesseract") is not None


def find_text(image: Image, frame: int) -> list[TextFound]:
    """Words in a picture; none where Tesseract cannot be run.

    Args:
        image: RGB, shape (height, width, 3).
        frame: its index.
    """
    return [found for letters in _letters(image) for found in _words(letters, frame)]


def _letters(image: Image) -> list[npt.NDArray[np.uint8]]:
    """What stands out of its surroundings, brighter and darker, as Tesseract reads it best: black on white."""
    larger = cv2.resize(image, None, fx=_SCALE, fy=_SCALE, interpolation=cv2.INTER_CUBIC)
    brightest = larger.max(axis=2)  # of a coloured letter, too
    around = np.ones((_SCALE * _MAX_STROKE_PX + 1,) * 2, np.uint8)
    kinds = (cv2.MORPH_TOPHAT, cv2.MORPH_BLACKHAT)
    standing_out = [cv2.morphologyEx(brightest, kind, around) > _MIN_CONTRAST for kind in kinds]
    return [np.where(one, 0, 255).astype(np.uint8) for one in standing_out if one.any()]


def _words(letters: npt.NDArray[np.uint8], frame: int) -> list[TextFound]:
    encoded = cv2.imencode(".png", letters)[1].tobytes()
    call = ["tesseract", "stdin", "stdout", "--psm", "11", "tsv"]
    try:
        said = subprocess.run(
            call, input=encoded, capture_output=True, check=True, timeout=_TIMEOUT_S, env=os.environ | _ONE_THREAD
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    rows = csv.DictReader(io.StringIO(said.decode("utf-8", "replace")), delimiter="\t", quoting=csv.QUOTE_NONE)
    return [found for row in rows if (found := _word(row, frame)) is not None]


def _word(row: dict[str, str], frame: int) -> TextFound | None:
    try:
        confidence = float(row["conf"])
        left, top, width, height = (int(row[name]) // _SCALE for name in ("left", "top", "width", "height"))
    except (KeyError, TypeError, ValueError):
        return None
    letters = sum(character.isalnum() for character in row.get("text") or "")
    if confidence < _MIN_CONFIDENCE or letters < _MIN_LETTERS:
        return None
    return TextFound(frame=frame, box=(left, top, left + width, top + height))
